"""Processes that a function starts in a job: those of multiprocessing, and others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from support.bench import Bench


def test_a_worker_is_terminated_in_its_first_moment(bench: Bench) -> None:
    def start_and_terminate(times: int) -> int:
        from multiprocessing import get_context

        for _ in range(times):
            process = get_context("fork").Process(target=time.sleep, args=(1000,))
            process.start()
            process.terminate()
            process.join()
        return times

    bench.put_electron(start_and_terminate, 50)
    code, _, err = bench.run()
    assert (code, bench.value()) == (0, 50), err


def test_two_hundred_pools(bench: Bench) -> None:
    def pools(times: int) -> float:
        import math
        from multiprocessing import Pool

        total = 0.0
        for _ in range(times):
            with Pool(4) as pool:
                total += sum(pool.map(math.sqrt, range(4)))
        return total

    bench.put_electron(pools, 200)
    code, _, err = bench.run()
    assert code == 0, err
    assert bench.value() == pytest.approx(200 * sum(i**0.5 for i in range(4)))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_every_way_of_starting_workers(bench: Bench, method: str) -> None:
    def pools(method: str) -> list[float]:
        import math
        from multiprocessing import get_context

        roots: list[float] = []
        for _ in range(2):
            with get_context(method).Pool(2) as pool:
                roots += pool.map(math.sqrt, [4, 9])
        return roots

    bench.put_electron(pools, method)
    code, _, err = bench.run()
    assert (code, bench.value()) == (0, [2, 3, 2, 3]), err


def test_loaders_that_are_given_up_half_way(bench: Bench) -> None:
    """As PyTorch's DataLoader: long-lived workers between queues, terminated while they may hold more to deliver."""

    def load(epochs: int) -> int:
        from multiprocessing import get_context

        def work(tasks: Any, batches: Any) -> None:
            for index in iter(tasks.get, None):
                batches.put([index] * 10_000)

        context, seen = get_context("fork"), 0
        for _ in range(epochs):
            tasks, batches = context.Queue(), context.Queue()
            workers = [context.Process(target=work, args=(tasks, batches), daemon=True) for _ in range(3)]
            for worker in workers:
                worker.start()
            for index in range(12):
                tasks.put(index)
            for _ in range(4):
                seen += len(batches.get())
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.join()
        return seen

    bench.put_electron(load, 10)
    code, _, err = bench.run()
    assert (code, bench.value()) == (0, 10 * 4 * 10_000), err


def test_children_find_signals_as_any_program_does(bench: Bench) -> None:
    """SIGTERM neither handled nor ignored nor blocked: in the function's process, a fork of it, and a program."""

    def masks() -> list[tuple[bool, ...]]:
        def of(status: str) -> tuple[bool, ...]:
            masks = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Sig"))
            number = signal.SIGTERM - 1
            return tuple(bool(int(masks[name], 16) >> number & 1) for name in ("SigBlk", "SigIgn", "SigCgt"))

        mine = Path("/proc/self/status").read_text()
        read, write = os.pipe()
        if not os.fork():
            os.write(write, Path("/proc/self/status").read_bytes())
            os._exit(0)
        os.wait()
        forked = os.read(read, 65536).decode()
        program = subprocess.run(["cat", "/proc/self/status"], stdout=subprocess.PIPE, text=True, check=True).stdout
        return [of(mine), of(forked), of(program)]

    bench.put_electron(masks)
    code, _, err = bench.run()
    assert (code, bench.value()) == (0, [(False, False, False)] * 3), err


def test_sigterm_finds_the_function_among_its_workers(bench: Bench) -> None:
    def wait_for_workers() -> None:
        from multiprocessing import Pool

        with Pool(2) as pool:
            print("ready", flush=True)
            pool.map(time.sleep, [1000, 1000])

    bench.put_electron(wait_for_workers)
    process = terminated(bench)
    assert process.returncode == 143
    envelope = bench.envelope()
    assert (envelope["status"], envelope["exception"], envelope["stdout"]) == ("terminated", "Terminated", "ready\n")
    assert "in wait_for_workers" in envelope["traceback"]


def test_a_function_may_answer_to_sigterm_itself(bench: Bench) -> None:
    def save() -> str:
        read, write = os.pipe()
        signal.signal(signal.SIGTERM, lambda _number, _frame: os.write(write, b"saved"))
        print("ready", flush=True)
        return os.read(read, 5).decode()

    bench.put_electron(save)
    process = terminated(bench)
    assert process.returncode == 0
    assert bench.value() == "saved"


def test_a_function_that_does_not_hear_leaves_what_it_printed(bench: Bench) -> None:
    def deaf() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
        while True:
            time.sleep(60)

    bench.put_electron(deaf)
    with bench.start() as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        try:
            envelope = bench.awaited_envelope()
        finally:
            process.kill()
    assert (envelope["status"], envelope["exception"], envelope["stdout"]) == ("terminated", "Terminated", "ready\n")


def test_a_copy_of_the_process_that_comes_back_too_does_not_answer(bench: Bench) -> None:
    def fork() -> str:
        if os.fork():
            os.wait()
            return "original"
        return "copy"

    bench.put_electron(fork)
    code, _, err = bench.run()
    assert (code, bench.value()) == (0, "original"), err


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel has to see to it")
def test_the_function_ends_with_a_runner_that_is_killed(bench: Bench) -> None:
    def wait_for_ever() -> None:
        print(os.getpid(), flush=True)
        while True:
            time.sleep(60)

    bench.put_electron(wait_for_ever)
    with bench.start() as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        handle = os.pidfd_open(worker)
        process.kill()
        process.wait(timeout=60)
    import select

    assert select.select([handle], [], [], 60)[0], "it is still there"
    os.close(handle)


def terminated(bench: Bench) -> subprocess.Popen[Any]:
    """A job that has got SIGTERM after its function had printed a line."""
    with bench.start() as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    return process
