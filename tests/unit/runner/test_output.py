"""Output is passed on at once, and its end is kept."""

from __future__ import annotations

import os

import pytest

from covalent_awsbatch_plugin.runner.output import Pump, Tail, text_stream, write


def test_only_the_end_is_kept_and_a_line_says_so() -> None:
    tail = Tail(limit=10)
    for _ in range(100):
        tail.add(b"0123456789")
    tail.add(b"end")
    assert tail.text() == "[the first 993 bytes are left out]\n3456789end"


@pytest.mark.parametrize("limit", range(4, 12))
def test_the_cut_does_not_break_a_character(limit: int) -> None:
    tail = Tail(limit=limit)
    tail.add("aä€😀😀".encode())
    first, rest = tail.text().split("\n")
    assert "\ufffd" not in rest
    assert int(first.split()[2]) + len(rest.encode()) == len("aä€😀😀".encode())


def test_a_pump_passes_on_at_once_and_keeps() -> None:
    (source, into), (out, target) = os.pipe(), os.pipe()
    pump = Pump(source, target)
    pump.start()
    for said in (b"one ", b"\xff", "zwölf".encode()):
        os.write(into, said)
        assert os.read(out, 100) == said
    os.close(into)
    pump.join(60)
    assert pump.tail.text() == "one \ufffdzwölf"
    os.close(out)
    os.close(target)


def test_a_target_that_is_gone_keeps_nobody_waiting() -> None:
    (source, into), (out, target) = os.pipe(), os.pipe()
    os.close(out)
    pump = Pump(source, target)
    pump.start()
    write(into, b"x" * 1_000_000)
    os.close(into)
    pump.join(60)
    assert pump.tail.text() == "x" * 1_000_000
    os.close(target)


def test_a_text_stream_writes_whatever_there_is_at_once() -> None:
    out, target = os.pipe()
    stream = text_stream(target, "<stdout>")
    print("half a line, lone \udc80 surrogate", end="", file=stream)
    assert os.read(out, 100) == b"half a line, lone \\udc80 surrogate"
    stream.buffer.write(b"\xff")
    assert os.read(out, 100) == b"\xff"
    assert (stream.name, stream.fileno(), stream.isatty()) == ("<stdout>", target, False)
    os.close(target)
    print("nobody hears this", file=stream)
    os.close(out)
