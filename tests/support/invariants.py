"""What holds in every history: one end for each electron, one owner for each job, and Covalent agrees with AWS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from .history import COVALENT_ENDED, Electron, History, Observation

NOT_BEGUN = "NEW_OBJECT"


def violations(history: History) -> list[str]:
    """Everything in a history that must not be, as sentences; empty if all is well."""
    rules = (
        _one_end,
        _final,
        _one_job,
        _no_job_is_left,
        _orphans,
        _agreement,
        _on_request,
        _no_sooner,
        _own_result,
        _dispatches,
    )
    return [sentence for rule in rules for sentence in rule(history)]


def _one_end(history: History) -> Iterator[str]:
    """What has ended stays as it ended."""
    ended: dict[Electron, str] = {}
    for observation in history.observations:
        for electron, status in observation.electrons.items():
            before = ended.get(electron)
            if before is not None and status != before:
                yield f"{_called(electron)} was {before} and became {status}"
            if status in COVALENT_ENDED:
                ended[electron] = status


def _final(history: History) -> Iterator[str]:
    """In the end each electron has ended, but for those that never began, and those that a server lost."""
    names = {job.name for job in history.end.jobs}
    for electron, status in history.end.electrons.items():
        if status in COVALENT_ENDED:
            continue
        if electron.job_name in history.orphans:
            yield f"{_called(electron)} is {status}, though its job was ended as an orphan"
        elif electron not in history.lost and status != NOT_BEGUN:
            yield f"{_called(electron)} is {status} in the end"
        elif status == NOT_BEGUN and electron.job_name in names:
            yield f"{_called(electron)} has not begun, and has a job"


def _one_job(history: History) -> Iterator[str]:
    """An electron's job is submitted once; a local electron has none; and each job is some electron's."""
    known = {electron.job_name: electron for electron in history.end.electrons}
    for name, count in Counter(job.name for job in history.end.jobs).items():
        if count > 1:
            yield f"{name} was submitted {count} times"
        if name not in known:
            yield f"{name} is the job of no electron"
        elif known[name] in history.local:
            yield f"{name} is the job of a local electron"
    for observation in history.observations:
        live = Counter(job.name for job in observation.jobs if job.is_live)
        for name in [name for name, count in live.items() if count > 1]:
            yield f"{name} had {live[name]} live jobs at {observation.seconds:.1f} s"


def _no_job_is_left(history: History) -> Iterator[str]:
    """In the end no job is under way, and none that was there has gone."""
    for job in history.end.jobs:
        if job.is_live:
            yield f"{job.name} is left {job.status} in the end"
    kept = {job.id for job in history.end.jobs}
    seen = {job.id: job for observation in history.observations for job in observation.jobs}
    for job_id in seen.keys() - kept:
        yield f"{seen[job_id].name} is lost: AWS knew it and knows it no more"


def _orphans(history: History) -> Iterator[str]:
    """A job without a server is found and ended; one with a server is left alone."""
    for sweep in history.sweeps:
        after = {job.id: job for job in sweep.after}
        ownerless = {job.id for job in sweep.jobs}
        for job_id in ownerless | sweep.orphans:
            job = after[job_id]
            if job_id not in ownerless:
                yield f"{job.name} was ended as an orphan, and has a server"
            elif job.is_live and job_id in sweep.orphans:
                yield f"{job.name} is an orphan, and was not ended"
            elif job.is_live:
                yield f"{job.name} has no server, and was not found as an orphan"


def _agreement(history: History) -> Iterator[str]:
    """In the end Covalent says of each electron what AWS says of its job; local ones do nothing that can fail."""
    jobs = {job.name: job for job in history.end.jobs}
    for electron, status in history.end.electrons.items():
        if electron in history.local:
            if status == "FAILED":
                yield f"{_called(electron)} is FAILED, and ran in the server"
            continue
        job = jobs.get(electron.job_name)
        said = "does not exist" if job is None else f"{job.status}{' by request' if job.is_terminated else ''}"
        if status == "COMPLETED" and (job is None or job.status != "SUCCEEDED"):
            yield f"{_called(electron)} is COMPLETED, and its job {said}"
        if status == "COMPLETED" and electron in history.lost:
            yield f"{_called(electron)} is COMPLETED, and its server had ended before"
        if status == "FAILED" and (job is None or job.status != "FAILED" or job.is_terminated):
            yield f"{_called(electron)} is FAILED, and its job {said}"


def _on_request(history: History) -> Iterator[str]:
    """CANCELLED is what somebody wanted to be cancelled, and what was ended as an orphan."""
    for electron, status in history.end.electrons.items():
        wanted = electron in history.cancelled or electron.job_name in history.orphans
        if status == "CANCELLED" and not wanted:
            yield f"{_called(electron)} is CANCELLED, and nobody asked for it"


def _no_sooner(history: History) -> Iterator[str]:
    """An electron is not COMPLETED before its job has succeeded."""
    for observation in history.observations:
        jobs = {job.name: job for job in observation.jobs}
        for electron in _completed(history, observation):
            job = jobs.get(electron.job_name)
            if job is None or job.status != "SUCCEEDED":
                said = "no job" if job is None else f"a job that is {job.status}"
                yield f"{_called(electron)} was COMPLETED with {said} at {observation.seconds:.1f} s"


def _own_result(history: History) -> Iterator[str]:
    """A result is that of the electron's own job."""
    for electron in _completed(history, history.end):
        output = history.outputs.get(electron)
        if output != electron.job_name:
            yield f"{_called(electron)} has the result {output!r}"


def _dispatches(history: History) -> Iterator[str]:
    """A dispatch has ended unless a server lost it, and is COMPLETED if and only if all its electrons are."""
    given_up = {electron.dispatch for electron in history.end.electrons if electron.job_name in history.orphans}
    lost = {electron.dispatch for electron in history.lost} - given_up
    for dispatch, status in history.dispatches.items():
        found = {said for electron, said in history.end.electrons.items() if electron.dispatch == dispatch}
        if status not in COVALENT_ENDED and dispatch not in lost:
            yield f"dispatch {dispatch} is {status} in the end"
        if (status == "COMPLETED") != (found == {"COMPLETED"}) and dispatch not in lost:
            yield f"dispatch {dispatch} is {status}, and its electrons {', '.join(sorted(found))}"


def _completed(history: History, observation: Observation) -> list[Electron]:
    return [
        electron
        for electron, status in observation.electrons.items()
        if status == "COMPLETED" and electron not in history.local
    ]


def _called(electron: Electron) -> str:
    return f"electron {electron.node} of {electron.dispatch}"
