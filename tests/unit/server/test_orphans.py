"""Who waits for a job: the two witnesses and the verdict."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import covalent as ct
import pytest

from covalent_awsbatch_plugin.server import presence
from covalent_awsbatch_plugin.server.orphans import Job, Records, Verdict, classify

WAITER = """
import os, sys
from covalent_awsbatch_plugin.server import presence

presence.note(sys.argv[1])
presence.note(sys.argv[1])
child = os.fork() if "fork" in sys.argv else None
if child != 0:
    print(child or "noted", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path) -> Iterator[Path]:
    """Covalent's cache in a directory of its own, where nothing is noted."""
    before = ct.get_config("dispatcher.cache_dir")
    ct.set_config("dispatcher.cache_dir", str(tmp_path))
    yield tmp_path / "awsbatch"
    ct.set_config("dispatcher.cache_dir", before)


@pytest.fixture
def waiter() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process that waits for the jobs of a dispatch, and lives on."""
    processes = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", WAITER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_a_process_waits_until_it_is_killed(waiter: Callable[..., subprocess.Popen[str]], cache: Path) -> None:
    process = waiter("d-1")
    assert process.stdout is not None
    assert process.stdout.readline() == "noted\n"
    assert presence.waiting() == ({"d-1"}, set())
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert presence.waiting() == (set(), {"d-1"})
    (notes,) = cache.iterdir()
    assert notes.read_text() == "d-1\n"
    assert cache.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in cache.glob("*.dispatches")} == {0o600}


def test_a_forked_child_does_not_wait_in_its_parents_place(waiter: Callable[..., subprocess.Popen[str]]) -> None:
    process = waiter("d-1", "fork")
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert presence.waiting() == (set(), {"d-1"})
    os.kill(child, signal.SIGKILL)


def test_one_process_waits_for_what_another_one_lost(waiter: Callable[..., subprocess.Popen[str]]) -> None:
    for end in (True, False):
        process = waiter("d-1")
        assert process.stdout is not None
        process.stdout.readline()
        if end:
            process.kill()
            process.wait()
    assert presence.waiting() == ({"d-1"}, {"d-1"})


def test_this_process_keeps_its_lock_while_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "_files_by_pid", {})
    presence.note("mine")
    for _ in range(2):
        assert presence.waiting() == ({"mine"}, set())
    code = "from covalent_awsbatch_plugin.server import presence; print(*presence.waiting().living)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "mine\n"


def test_a_directory_that_cannot_be_written_fails_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(presence, "_files_by_pid", {})
    cache.write_text("in the way")
    presence.note("d-1")
    assert "will not be recognised" in caplog.text
    assert presence.waiting() == (set(), set())


def test_notes_of_long_ago_are_forgotten(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "_files_by_pid", {})
    cache.mkdir()
    old, new = cache / "old.dispatches", cache / "new.dispatches"
    old.write_text("long ago\n")
    new.write_text("recently\n")
    os.utime(old, (0, time.time() - 31 * 24 * 3600))
    presence.note("now")
    assert presence.waiting() == ({"now"}, {"recently"})
    assert not old.exists()


@pytest.mark.parametrize(
    ("dispatch", "electron", "living", "dead", "verdict"),
    [
        ("RUNNING", "RUNNING", True, False, Verdict.AWAITED),
        ("RUNNING", "RUNNING", True, True, Verdict.AWAITED),
        ("RUNNING", "RUNNING", False, True, Verdict.ORPHAN),
        ("RUNNING", "RUNNING", False, False, Verdict.UNKNOWN),
        ("RUNNING", "COMPLETED", True, False, Verdict.ORPHAN),
        ("RUNNING", "DISPATCHING", True, False, Verdict.ORPHAN),
        ("CANCELLED", "", True, False, Verdict.ORPHAN),
        ("FAILED", "", False, False, Verdict.ORPHAN),
        ("", "", True, False, Verdict.AWAITED),
        ("", "", False, True, Verdict.ORPHAN),
        ("", "", False, False, Verdict.FOREIGN),
        (None, "", True, False, Verdict.UNKNOWN),
        (None, "", False, True, Verdict.UNKNOWN),
        (None, "", False, False, Verdict.FOREIGN),
    ],
)
def test_the_verdict(dispatch: str | None, electron: str, living: bool, dead: bool, verdict: Verdict) -> None:
    known = None
    if dispatch is not None:
        known = Records({"d": dispatch} if dispatch else {}, {("d", 3): electron} if electron else {})
    waiting = presence.Waiting(frozenset("d" if living else ""), frozenset("d" if dead else ""))
    job = Job("id", "covalent-batch-d-3", "RUNNABLE", 0, "d", 3)
    assert [one.verdict for one in classify([job], known, waiting)] == [verdict]
    over = Job("id", "covalent-batch-d-3", "SUCCEEDED", 0, "d", 3)
    assert [one.verdict for one in classify([over], known, waiting)] == [Verdict.ENDED]
