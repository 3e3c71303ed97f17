"""What happened in a run: what Covalent and AWS said over time, at each start of the server, and at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

COVALENT_ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
JOB_ENDED = frozenset({"SUCCEEDED", "FAILED"})


@dataclass(frozen=True, order=True)
class Electron:
    """A node of a dispatch's graph that is no parameter."""

    dispatch: str
    node: int

    @property
    def job_name(self) -> str:
        """The name of its job, if it has one."""
        return f"covalent-batch-{self.dispatch}-{self.node}"


@dataclass(frozen=True)
class Job:
    """A job as AWS has it.

    Attributes:
        id: Its id.
        name: Its name.
        status: Its status.
        is_terminated: Whether it ended because somebody asked for it.
    """

    id: str
    name: str
    status: str
    is_terminated: bool = False

    @property
    def is_live(self) -> bool:
        """Whether it has not ended."""
        return self.status not in JOB_ENDED


@dataclass(frozen=True)
class Observation:
    """One look at everything. Covalent was asked first, and AWS when it had answered.

    Attributes:
        seconds: Since the beginning.
        electrons: What Covalent said of each electron.
        jobs: What AWS said of each job.
    """

    seconds: float
    electrons: Mapping[Electron, str]
    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class Sweep:
    """A look for orphans, with their end.

    Attributes:
        electrons: What Covalent said before of the electrons of servers that had ended.
        jobs: Live jobs of those electrons before.
        orphans: Ids of the jobs that `covalent-awsbatch jobs --orphans` named.
        after: All jobs, after `--terminate`.
    """

    electrons: Mapping[Electron, str]
    jobs: tuple[Job, ...]
    orphans: frozenset[str]
    after: tuple[Job, ...]


@dataclass(frozen=True)
class History:
    """A run.

    Attributes:
        local: Electrons that ran in the server, without a job.
        observations: In order of time; the last one when all had come to rest.
        sweeps: One after each start of a server that follows another one, and one at the end.
        dispatches: What Covalent said of each dispatch at the end.
        outputs: What electrons that are COMPLETED returned, of those that have a job: the name of the job that ran.
        cancelled: Electrons of which somebody asked that they be cancelled, as who stops a server does.
    """

    local: frozenset[Electron]
    observations: tuple[Observation, ...]
    sweeps: tuple[Sweep, ...] = ()
    dispatches: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[Electron, str] = field(default_factory=dict)
    cancelled: frozenset[Electron] = frozenset()

    @property
    def end(self) -> Observation:
        """What was seen last."""
        return self.observations[-1]

    @property
    def lost(self) -> frozenset[Electron]:
        """Electrons of servers that ended before them: nobody goes on with these."""
        return frozenset(
            electron
            for sweep in self.sweeps
            for electron, status in sweep.electrons.items()
            if status not in COVALENT_ENDED
        )

    @property
    def orphans(self) -> frozenset[str]:
        """Names of the jobs that were found as orphans."""
        return frozenset(job.name for sweep in self.sweeps for job in sweep.after if job.id in sweep.orphans)
