"""What a function prints in a job, by whatever means: in the container's log at once, and in the envelope."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.bench import Bench


def test_children_and_native_code_are_heard_in_order(bench: Bench) -> None:
    def speak() -> None:
        import ctypes

        native = ctypes.CDLL(None)
        print("python")
        subprocess.run(["sh", "-c", "echo child; echo trouble >&2"], check=True)
        os.write(1, b"descriptor\n")
        native.puts(b"native")
        native.fflush(None)
        os.system("echo shell")
        print("python again", end="")

    bench.put_electron(speak)
    code, out, err = bench.run()
    printed = "python\nchild\ndescriptor\nnative\nshell\npython again"
    assert (code, out, err) == (0, printed, "trouble\n")
    envelope = bench.envelope()
    assert (envelope["stdout"], envelope["stderr"]) == (printed, "trouble\n")


def test_what_native_code_still_holds_is_heard(bench: Bench) -> None:
    def speak() -> None:
        import ctypes

        ctypes.CDLL(None).puts(b"buffered until the exit")

    bench.put_electron(speak)
    code, out, _ = bench.run()
    assert (code, out, bench.envelope()["stdout"]) == (0, *2 * ("buffered until the exit\n",))


def test_why_a_command_failed_is_heard(bench: Bench) -> None:
    def call() -> None:
        subprocess.run(["sh", "-c", "echo ERROR: no such table >&2; exit 42"], check=True)

    bench.put_electron(call)
    assert bench.run()[0] == 1
    envelope = bench.envelope()
    assert envelope["exception"] == "CalledProcessError"
    assert envelope["stderr"] == "ERROR: no such table\n"


def test_everything_appears_at_once(bench: Bench) -> None:
    def speak(pipe: str) -> None:
        print("half a line", end="")
        subprocess.run(["sh", "-c", "printf ' and a child'"], check=True)
        Path(pipe).read_bytes()  # waits for whoever has read that

    pipe = Path(bench.environment["HOME"]) / "pipe"
    os.mkfifo(pipe)
    bench.put_electron(speak, str(pipe))
    with bench.start() as process:
        assert process.stdout is not None
        expected = b"half a line and a child"
        heard = b""
        while len(heard) < len(expected):
            heard += os.read(process.stdout.fileno(), 100)
        assert heard == expected
        pipe.write_bytes(b"")
        process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.parametrize("end", ["segfault", "exit", "killed"])
def test_what_was_printed_before_a_crash_is_heard(bench: Bench, end: str) -> None:
    def crash(end: str) -> None:
        import ctypes

        print("x" * 1_000_000)
        print("the end")
        if end == "segfault":
            ctypes.string_at(1)
        elif end == "exit":
            os._exit(7)
        os.kill(os.getpid(), signal.SIGKILL)

    bench.put_electron(crash, end)
    code, out, err = bench.run()
    expected, words = {
        "segfault": (139, "was killed by SIGSEGV: native code crashed"),
        "exit": (7, "ended with exit status 7 and without a result"),
        "killed": (137, "was killed by SIGKILL, most often for want of memory"),
    }[end]
    assert code == expected
    assert out.endswith("xxx\nthe end\n")
    envelope = bench.envelope()
    assert (envelope["status"], envelope["stdout"]) == ("failed", out)
    assert words in envelope["traceback"]
    assert envelope["traceback"] in err
    if end == "segfault":
        assert "Fatal Python error: Segmentation fault" in envelope["stderr"]
        assert "in crash" in envelope["stderr"]
        assert err.startswith(envelope["stderr"])


def test_processes_that_are_left_do_not_keep_the_job(bench: Bench) -> None:
    def leave(in_its_own_session: bool) -> int:
        command = ["sh", "-c", "echo started; exec sleep 1000"]
        child = subprocess.Popen(command, start_new_session=in_its_own_session)
        return child.pid

    bench.put_electron(leave, True)
    code, out, _ = bench.run()
    left = bench.value()
    with contextlib.suppress(ProcessLookupError):
        os.kill(left, signal.SIGKILL)
    assert (code, out, bench.envelope()["stdout"]) == (0, "started\n", "started\n")


def test_a_reader_that_is_gone_does_not_disturb(bench: Bench) -> None:
    def speak(pipe: str) -> int:
        Path(pipe).read_bytes()
        for _ in range(10_000):
            print("x" * 100)
        return subprocess.run(["sh", "-c", "echo child"], check=False).returncode

    pipe = Path(bench.environment["HOME"]) / "pipe"
    os.mkfifo(pipe)
    bench.put_electron(speak, str(pipe))
    with bench.start() as process:
        assert process.stdout is not None
        process.stdout.close()
        pipe.write_bytes(b"")
        assert process.wait(timeout=60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert bench.value() == 0
    assert bench.envelope()["stdout"].endswith("xxx\nchild\n")


def test_many_threads_and_processes_lose_nothing(bench: Bench) -> None:
    def speak(lines: int) -> None:
        from multiprocessing import get_context

        def print_lines(name: str) -> None:
            for number in range(lines):
                print(f"{name}-{number}\n", end="")

        threads = [threading.Thread(target=print_lines, args=(f"thread{i}",)) for i in range(3)]
        processes = [get_context("fork").Process(target=print_lines, args=(f"process{i}",)) for i in range(3)]
        for one in (*processes, *threads):
            one.start()
        for one in (*processes, *threads):
            one.join()

    bench.put_electron(speak, 500)
    code, out, err = bench.run()
    assert code == 0, err
    expected = {f"{kind}{i}-{number}" for kind in ("thread", "process") for i in range(3) for number in range(500)}
    assert sorted(out.splitlines()) == sorted(expected)
    assert bench.envelope()["stdout"] == out


def test_the_log_of_covalent_is_not_the_functions(bench: Bench) -> None:
    def log() -> str:
        from covalent._shared_files.logger import app_log

        app_log.warning("Covalent's own business")
        logging.getLogger().warning("the function's")
        return sys.stdout.name

    bench.put_electron(log)
    code, out, err = bench.run()
    envelope = bench.envelope()
    assert (code, out, envelope["stdout"]) == (0, "", "")
    assert envelope["stderr"] == "the function's\n"
    assert "Covalent's own business\n" in err
