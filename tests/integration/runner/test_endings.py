"""What a function can do to the process that it runs in, and the job still ends with a word."""

from __future__ import annotations

import os
import platform
import sys
import threading
import time

import cloudpickle
import pytest
from support.bench import Bench

from covalent_awsbatch_plugin.runner.envelope import SEPARATE_OUTPUT_BYTES
from covalent_awsbatch_plugin.runner.explanation import MAX_TEXT_CHARS


@pytest.mark.parametrize("size", [10, SEPARATE_OUTPUT_BYTES])
@pytest.mark.parametrize("first", [0, 3])
def test_all_descriptors_are_closed(bench: Bench, first: int, size: int) -> None:
    def close(first: int, size: int) -> str:
        print("before", flush=True)
        os.closerange(first, 4096)
        print("after")
        return "x" * size

    bench.put_electron(close, first, size)
    code, _, err = bench.run()
    assert code == 0, err
    assert bench.stored_value() == "x" * size
    assert bench.envelope()["stdout"] == ("before\n" if first == 0 else "before\nafter\n")


def test_a_failure_after_all_descriptors_are_closed(bench: Bench) -> None:
    def close() -> None:
        os.closerange(0, 4096)
        raise ValueError("no number")

    bench.put_electron(close)
    assert bench.run()[0] == 1
    assert bench.envelope()["traceback"].endswith("ValueError: no number")


def test_no_descriptor_is_left(bench: Bench) -> None:
    def open_as_many_as_there_are() -> int:
        taken = 0
        try:
            while os.dup(0):
                taken += 1
        except OSError:
            return taken

    bench.put_electron(open_as_many_as_there_are)
    code, _, err = bench.run()
    assert code == 0, err
    assert bench.value() > 100


def test_a_thread_that_does_not_end_keeps_the_job_for_a_bounded_time(bench: Bench) -> None:
    def start_thread() -> str:
        threading.Thread(target=time.sleep, args=(1000,)).start()
        return "done"

    bench.put_electron(start_thread)
    code, _, err = bench.run()
    assert (code, bench.value()) == (0, "done")
    assert "threads that are no daemons" in err


def test_threads_may_end_what_they_do(bench: Bench) -> None:
    def start_thread() -> str:
        import atexit

        released = threading.Event()
        atexit.register(print, "at exit", flush=True)
        threading.Thread(target=lambda: released.wait(60) and print("in the thread", flush=True)).start()
        threading.Timer(0.2, released.set).start()
        return "done"

    bench.put_electron(start_thread)
    code, out, err = bench.run()
    assert (code, out, err) == (0, "in the thread\nat exit\n", "")
    assert bench.envelope()["stdout"] == out


def test_an_exception_with_an_enormous_text_keeps_its_beginning_its_end_and_the_hint(bench: Bench) -> None:
    def fail() -> None:
        raise ModuleNotFoundError("begin " + "x" * 70_000_000 + " end", name="missing")

    bench.put_electron(fail)
    code, _, err = bench.run()
    assert code == 1
    traceback = bench.envelope()["traceback"]
    assert len(traceback) < MAX_TEXT_CHARS + 1000
    assert traceback.startswith("Traceback (most recent call last):")
    assert "begin xxx" in traceback
    assert "xxx end\nThe module 'missing' is not installed" in traceback
    assert len(err) < MAX_TEXT_CHARS + 1000


def test_a_traceback_moves_no_cursor_and_output_stays_as_it_is(bench: Bench) -> None:
    def fail() -> None:
        print("\x1b[31mred\x1b[0m")
        os.write(1, b"no UTF-8: \xff\n")
        raise ValueError("\x1b]0;title\x07 \u202etxt \udc80")

    bench.put_electron(fail)
    assert bench.run()[0] == 1
    envelope = bench.envelope()
    assert envelope["stdout"] == "\x1b[31mred\x1b[0m\nno UTF-8: \ufffd\n"
    assert envelope["traceback"].endswith("ValueError: \\x1b]0;title\\x07 \\u202etxt \\udc80")


def test_versions_are_told_only_where_they_differ(bench: Bench) -> None:
    class Broken:
        def __reduce__(self) -> tuple[object, ...]:
            return int, ("no number",)

    versions = {"python": platform.python_version(), "cloudpickle": cloudpickle.__version__}
    bench.put(print, Broken(), metadata={f"covalent-awsbatch-{name}": value for name, value in versions.items()})
    assert bench.run()[0] == 1
    assert bench.envelope()["traceback"].endswith("invalid literal for int() with base 10: 'no number'")
    versions["cloudpickle"] = "0.1"
    bench.put(print, Broken(), metadata={f"covalent-awsbatch-{name}": value for name, value in versions.items()})
    assert bench.run()[0] == 1
    assert "with cloudpickle 0.1 and is read by" in bench.envelope()["traceback"]


def test_a_module_that_is_missing_in_covalents_own_nodes_has_another_remedy(bench: Bench) -> None:
    class Value:
        def __reduce__(self) -> tuple[object, ...]:
            return __import__, ("only_there",)

    def _auto_list_node(*values: object) -> list[object]:
        return list(values)

    bench.put_electron(_auto_list_node, Value())
    assert bench.run()[0] == 1
    told = bench.envelope()["traceback"]
    assert ":electron_list:" in told
    assert "only the DepsPip of the electrons around them: name it there, install it in the image" in told

    def own(value: object) -> None:
        pass

    bench.put_electron(own, Value())
    assert bench.run()[0] == 1
    told = bench.envelope()["traceback"]
    assert ":electron_list:" not in told
    assert "goes along with ct.DepsModule" in told
    assert "only_there" not in sys.modules


@pytest.mark.parametrize("module", ["boto3", "botocore.config", "covalent_aws_plugins"])
def test_a_module_that_came_along_with_the_former_version_is_told_as_such(bench: Bench, module: str) -> None:
    def fail() -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    bench.put_electron(fail)
    assert bench.run()[0] == 1
    told = bench.envelope()["traceback"]
    assert f"The module {module!r} is not installed in this container: it came along with version 0.42.0" in told
    assert "name it in the electron's DepsPip" in told
