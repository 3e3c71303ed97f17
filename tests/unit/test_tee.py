"""Output is passed on at once, and its end is kept."""

from __future__ import annotations

import io
import sys
import threading

import pytest
from covalent_awsbatch_plugin.tee import Tee, teed


def test_everything_is_passed_on_and_kept() -> None:
    stream = io.BytesIO()
    tee = Tee(stream)
    assert tee.write(b"one ") == 4
    tee.write(memoryview("zwölf\n".encode()))
    assert stream.getvalue().decode() == tee.text() == "one zwölf\n"


def test_only_the_end_is_kept_and_a_line_says_so() -> None:
    stream = io.BytesIO()
    tee = Tee(stream, limit=10)
    for _ in range(100):
        tee.write(b"0123456789")
    tee.write(b"end")
    assert tee.text() == "[the first 993 bytes are left out]\n3456789end"
    assert len(stream.getvalue()) == 1003


@pytest.mark.parametrize("limit", range(4, 12))
def test_the_cut_does_not_break_a_character(limit: int) -> None:
    tee = Tee(io.BytesIO(), limit=limit)
    tee.write("aä€😀😀".encode())
    first, rest = tee.text().split("\n")
    assert "\ufffd" not in rest
    assert int(first.split()[2]) + len(rest.encode()) == len("aä€😀😀".encode())


def test_a_stream_that_is_gone_does_not_matter() -> None:
    stream = io.BytesIO()
    stream.close()
    tee = Tee(stream)
    tee.write(b"kept")
    assert tee.text() == "kept"


def test_the_streams_of_the_process_are_replaced_for_a_while(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    before = sys.stdout, sys.stderr
    with teed() as (out, err):
        print("to out", end="")
        print("lone \udc80 surrogate", file=sys.stderr)
        sys.stdout.buffer.write(b" bytes \xff")
        assert sys.stdout.fileno() == before[0].fileno()
        assert capfdbinary.readouterr().out == b"to out bytes \xff"  # already there
        thread = threading.Thread(target=print, args=("!",))
        thread.start()
        thread.join()
    assert (sys.stdout, sys.stderr) == before
    assert out.text() == "to out bytes \ufffd!\n"
    assert err.text() == "lone \\udc80 surrogate\n"
