"""The checker of histories: it has nothing to say of good ones, and names what is wrong in bad ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.history import Electron, History, Job, Observation, Sweep
from support.invariants import violations

WELL, BAD, GONE, LOCAL = (Electron("d", node) for node in range(4))
SUCCEEDED = Job("1", WELL.job_name, "SUCCEEDED")
FAILED = Job("2", BAD.job_name, "FAILED")
TERMINATED = Job("3", GONE.job_name, "FAILED", is_terminated=True)
JOBS = (SUCCEEDED, FAILED, TERMINATED)
ELECTRONS = {WELL: "COMPLETED", BAD: "FAILED", GONE: "CANCELLED", LOCAL: "COMPLETED"}

GOOD = History(
    local=frozenset({LOCAL}),
    observations=(
        Observation(1.0, dict.fromkeys(ELECTRONS, "RUNNING"), tuple(replace(job, status="RUNNING") for job in JOBS)),
        Observation(9.0, ELECTRONS, JOBS),
    ),
    dispatches={"d": "FAILED"},
    outputs={WELL: WELL.job_name},
    cancelled=frozenset({GONE}),
)

# A server was killed while an electron's job and a local electron ran. The job was ended as an orphan.
ORPHAN = replace(TERMINATED, status="RUNNING", is_terminated=False)
SWEEP = Sweep({**ELECTRONS, GONE: "RUNNING", LOCAL: "RUNNING"}, (ORPHAN,), frozenset({"3"}), JOBS)
KILLED = replace(
    GOOD,
    observations=(*GOOD.observations[:1], Observation(9.0, {**ELECTRONS, LOCAL: "RUNNING"}, JOBS)),
    sweeps=(SWEEP,),
    cancelled=frozenset(),
)


def ending(history: History, electrons: dict[Electron, str] | None = None, *jobs: Job) -> History:
    """The same history with something else in the end: statuses of electrons, and jobs by their ids."""
    end = history.end
    others = tuple(job for job in end.jobs if job.id not in {job.id for job in jobs})
    last = Observation(end.seconds, {**end.electrons, **(electrons or {})}, (*others, *jobs))
    return replace(history, observations=(*history.observations[:-1], last))


def before_the_end(history: History, electrons: dict[Electron, str], *jobs: Job) -> History:
    """The same history with something else seen before the end."""
    seen = Observation(5.0, electrons, jobs)
    return replace(history, observations=(history.observations[0], seen, history.end))


@pytest.mark.parametrize(
    "history",
    [
        GOOD,
        KILLED,
        ending(GOOD, {GONE: "CANCELLED"}, replace(TERMINATED, status="SUCCEEDED", is_terminated=False)),
        replace(ending(GOOD, {Electron("d", 9): "NEW_OBJECT"}), dispatches={"d": "FAILED"}),
        replace(KILLED, sweeps=(replace(SWEEP, orphans=frozenset()),), cancelled=frozenset({GONE})),
    ],
    ids=["good", "killed", "over before it was cancelled", "not begun", "a job that ended before orphans were sought"],
)
def test_of_a_good_history_there_is_nothing_to_say(history: History) -> None:
    assert violations(history) == []


TWIN = replace(SUCCEEDED, id="4")

BAD_HISTORIES = {
    "two jobs for one electron": (ending(GOOD, None, TWIN), f"{WELL.job_name} was submitted 2 times"),
    "two owners at once": (
        before_the_end(GOOD, {WELL: "RUNNING"}, replace(SUCCEEDED, status="RUNNING"), replace(TWIN, status="STARTING")),
        f"{WELL.job_name} had 2 live jobs at 5.0 s",
    ),
    "two ends": (before_the_end(GOOD, {BAD: "COMPLETED"}, FAILED), "electron 1 of d was COMPLETED and became FAILED"),
    "alive again": (
        before_the_end(ending(GOOD, {GONE: "RUNNING"}), {GONE: "CANCELLED"}),
        "CANCELLED and became RUNNING",
    ),
    "running though the job is over": (ending(GOOD, {WELL: "RUNNING"}), "electron 0 of d is RUNNING in the end"),
    "not begun with a job": (ending(GOOD, {GONE: "NEW_OBJECT"}), "electron 2 of d has not begun, and has a job"),
    "completed though the job failed": (
        ending(GOOD, None, replace(SUCCEEDED, status="FAILED")),
        "electron 0 of d is COMPLETED, and its job FAILED",
    ),
    "completed without a job": (
        ending(GOOD, {Electron("d", 9): "COMPLETED"}),
        "electron 9 of d is COMPLETED, and its job",
    ),
    "failed though the job succeeded": (
        ending(GOOD, {WELL: "FAILED"}),
        "electron 0 of d is FAILED, and its job SUCCEEDED",
    ),
    "failed where it was cancelled": (
        ending(GOOD, {GONE: "FAILED"}),
        "electron 2 of d is FAILED, and its job FAILED by request",
    ),
    "cancelled without a request": (
        ending(GOOD, {BAD: "CANCELLED"}),
        "electron 1 of d is CANCELLED, and nobody asked for it",
    ),
    "a local electron that failed": (
        ending(GOOD, {LOCAL: "FAILED"}),
        "electron 3 of d is FAILED, and ran in the server",
    ),
    "completed before its job": (
        before_the_end(GOOD, {WELL: "COMPLETED"}, replace(SUCCEEDED, status="RUNNING")),
        "electron 0 of d was COMPLETED with a job that is RUNNING at 5.0 s",
    ),
    "a job that nobody waits for": (
        ending(GOOD, None, replace(TERMINATED, status="RUNNING")),
        f"{GONE.job_name} is left RUNNING in the end",
    ),
    "a lost job": (before_the_end(GOOD, {}, TWIN), f"{WELL.job_name} is lost"),
    "a job of no electron": (
        ending(GOOD, None, Job("4", "covalent-batch-d-9", "SUCCEEDED")),
        "covalent-batch-d-9 is the job of no electron",
    ),
    "a job of a local electron": (
        ending(GOOD, None, Job("4", LOCAL.job_name, "SUCCEEDED")),
        f"{LOCAL.job_name} is the job of a local electron",
    ),
    "another job's result": (
        replace(GOOD, outputs={WELL: BAD.job_name}),
        f"electron 0 of d has the result '{BAD.job_name}'",
    ),
    "no result": (replace(GOOD, outputs={}), "electron 0 of d has the result None"),
    "an orphan that is not found": (
        replace(KILLED, sweeps=(replace(SWEEP, orphans=frozenset(), after=(ORPHAN,)),), dispatches={"d": "RUNNING"}),
        f"{GONE.job_name} has no server, and was not found as an orphan",
    ),
    "an orphan that is not ended": (
        replace(KILLED, sweeps=(replace(SWEEP, after=(ORPHAN,)),)),
        f"{GONE.job_name} is an orphan, and was not ended",
    ),
    "no orphan": (
        replace(GOOD, sweeps=(Sweep({}, (), frozenset({"3"}), JOBS),)),
        f"{GONE.job_name} was ended as an orphan, and has a server",
    ),
    "running though its job was ended as an orphan": (
        ending(KILLED, {GONE: "RUNNING"}),
        "electron 2 of d is RUNNING, though its job was ended as an orphan",
    ),
    "completed though its server was killed": (
        ending(KILLED, {GONE: "COMPLETED"}, replace(TERMINATED, status="SUCCEEDED")),
        "electron 2 of d is COMPLETED, and its server had ended before",
    ),
    "a dispatch without an end": (replace(GOOD, dispatches={"d": "RUNNING"}), "dispatch d is RUNNING in the end"),
    "a dispatch without an end though its orphan was ended": (
        replace(KILLED, dispatches={"d": "RUNNING"}),
        "dispatch d is RUNNING in the end",
    ),
    "a dispatch that hides a failure": (
        replace(GOOD, dispatches={"d": "COMPLETED"}),
        "dispatch d is COMPLETED, and its electrons CANCELLED, COMPLETED, FAILED",
    ),
}


@pytest.mark.parametrize("name", BAD_HISTORIES)
def test_a_bad_history_is_called_one(name: str) -> None:
    history, sentence = BAD_HISTORIES[name]
    assert any(sentence in found for found in violations(history)), violations(history)
