"""What jobs wrote to CloudWatch Logs, as it comes, each attempt in a stream of its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from covalent_awsbatch_plugin._core import Client, Job

from .named import Task

ENDED = frozenset({"SUCCEEDED", "FAILED", "VANISHED"})
"""States of a job that do not change any more."""

_STREAMS_A_CALL = 100
_DESCRIBED_A_LOOK = 1000
"""Live jobs that are described again, by ten calls: AWS Batch takes some 50 a second of an account."""

# Lines may reach CloudWatch Logs later than newer ones of other jobs.
_OVERLAP_MS = 60_000


@dataclass(frozen=True)
class Line:
    """A line of a job.

    Attributes:
        task: The electron.
        attempt: Which attempt of the electron wrote it, from 1.
        at: When, in milliseconds since 1970.
        text: The line as it was written.
    """

    task: Task
    attempt: int
    at: int
    text: str


@dataclass
class Followed:
    """A job whose log is read.

    Attributes:
        task: Its electron.
        job: What AWS Batch said of it last; None if it has no record of it, or was not asked yet.
        lines: How many lines were read of it.
        looks: How often it was looked at since it had ended.
        attempts_before: How many attempts earlier jobs of the electron have had.
    """

    task: Task
    job: Job | None = None
    lines: int = 0
    looks: int = 0
    attempts_before: int = 0
    is_known: bool = True
    streams: dict[str, int] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """Its state; `VANISHED` if AWS Batch has no record of it."""
        return self.job.status if self.job is not None else "SUBMITTED" if self.is_known else "VANISHED"

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self.status in ENDED


class Reader:
    """Reads the logs of jobs, each line once.

    Args:
        connection: By which AWS is asked.
        group: Name of the log group.
    """

    def __init__(self, connection: Client, group: str) -> None:
        self._connection = connection
        self._group = group
        self._ids: dict[str, int] = {}
        self._newest = 0
        self._read: set[str] = set()
        self._jobs: dict[str, Followed] = {}
        self._described_at: dict[str, int] = {}
        self._look = 0

    @property
    def jobs(self) -> list[Followed]:
        """The jobs that it reads, with nodes of them and earlier jobs of their electrons."""
        return list(self._jobs.values())

    @property
    def of_several_attempts(self) -> set[str]:
        """Names of the electrons that made several attempts."""
        return {
            one.task.label for one in self.jobs if one.attempts_before or (one.job is not None and one.job.attempts > 1)
        }

    def follow(self, tasks: Iterable[Task]) -> None:
        """Read those, too, that have a job.

        Args:
            tasks: Electrons; those that it has are left alone.
        """
        for task in tasks:
            if task.job_id and task.job_id not in self._jobs:
                self._jobs[task.job_id] = Followed(task)

    async def describe(self) -> None:
        """Ask AWS Batch about the jobs: about all of them once, then about some of those that live, in turn.

        Raises:
            AWSBatchError: AWS did not answer.
        """
        self._look += 1
        for one in self.jobs:
            one.looks += one.has_ended
        await self._describe_some()
        while more := [*self._new_nodes(), *self._new_earlier()]:
            self.follow(more)
            await self._describe_some()
        for job_id, one in self._jobs.items():
            one.attempts_before = sum(map(_attempts, self.jobs_of(job_id)[:-1]))

    def jobs_of(self, job_id: str) -> list[Followed]:
        """The jobs of an electron up to one of it, oldest first, as far as AWS Batch has a record of those after them.

        Args:
            job_id: That one, or a node of it; empty for none.
        """
        found: dict[str, Followed] = {}
        following = job_id.partition("#")[0]
        while following in self._jobs and following not in found:
            found[following] = self._jobs[following]
            following = self._previous(following)
        return [*reversed(found.values())]

    def _new_earlier(self) -> Iterable[Task]:
        """The jobs that others follow."""
        for job_id, one in self._jobs.items():
            if "#" not in job_id and (previous := self._previous(job_id)) and previous not in self._jobs:
                yield replace(one.task, job_id=previous)

    def _previous(self, job_id: str) -> str:
        """The job that one follows, as that or its main node says; empty if it is the first, or that is not known."""
        both = (self._jobs.get(job_id), self._jobs.get(f"{job_id}#0"))
        return next((one.job.previous_job for one in both if one and one.job and one.job.previous_job), "")

    def _new_nodes(self) -> Iterable[Task]:
        """The nodes of jobs that have several, as jobs of their own."""
        for job_id, one in self._jobs.items():
            for index in range(one.job.nodes if one.job is not None else 0):
                if (node_id := f"{job_id}#{index}") not in self._jobs:
                    yield replace(one.task, label=f"{one.task.label}#{index}", job_id=node_id)

    async def _describe_some(self) -> None:
        new = [job_id for job_id in self._jobs if job_id not in self._described_at]
        now = self._look
        live = [
            job_id
            for job_id, one in self._jobs.items()
            if not one.has_ended and job_id not in new and self._described_at[job_id] != now
        ]
        live.sort(key=lambda job_id: self._described_at[job_id])
        chosen = [*new, *live[:_DESCRIBED_A_LOOK]]
        found = await self._connection.describe_all(chosen) if chosen else {}
        for job_id in chosen:
            one, job = self._jobs[job_id], found.get(job_id)
            self._described_at[job_id] = self._look
            one.job, one.is_known = job or one.job, job is not None
            if job is not None:
                ended = {stream: number for number, stream in enumerate(job.attempt_log_streams, 1) if stream}
                one.streams |= ended
                if job.log_stream and job.log_stream not in ended:
                    one.streams[job.log_stream] = job.attempts + 1

    async def lines(self) -> list[Line]:
        """What is new in the logs, oldest first.

        Raises:
            AWSBatchError: AWS did not answer, or may not be asked.
        """
        of_streams = {stream: one for one in self.jobs for stream in one.streams}
        # A stream that has ended is read once more than needed.
        live = [stream for stream, one in of_streams.items() if one.looks < 3 or stream not in self._read]
        known = [stream for stream in live if stream in self._read]
        new = [stream for stream in live if stream not in self._read]
        since = max(0, self._newest - _OVERLAP_MS)
        found: list[Line] = []
        for some, start in ((new, 0), (known, since)):
            for first in range(0, len(some), _STREAMS_A_CALL):
                part = some[first : first + _STREAMS_A_CALL]
                found += await self._since(part, start, of_streams, whole=some is new)
        self._read.update(new)
        self._ids = {line: at for line, at in self._ids.items() if at >= self._newest - _OVERLAP_MS}
        return sorted(found, key=lambda line: line.at)

    async def _since(
        self, streams: list[str], start: int, of_streams: dict[str, Followed], *, whole: bool
    ) -> list[Line]:
        """The lines of some streams: all of them, or, where they are many, those that one call gives."""
        found: list[Line] = []
        while True:
            came = 0
            for line_id, stream, at, text in await self._connection.log_lines(self._group, streams, start):
                if line_id not in self._ids:
                    self._ids[line_id] = at
                    self._newest = max(self._newest, at)
                    came, start = came + 1, max(start, at)
                    one = of_streams[stream]
                    one.lines += 1
                    found.append(Line(one.task, one.attempts_before + one.streams[stream], at, text))
            if not (came and whole):
                return found


def _attempts(one: Followed) -> int:
    """How many attempts a job made; one of which AWS Batch has no record any more has made one at least."""
    return max(1, one.job.attempts if one.job is not None else 1)
