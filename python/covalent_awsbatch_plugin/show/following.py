"""A dispatch or a job that is looked at again and again until it has ended, with what its jobs write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.errors import AccessError, AWSBatchError
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.server import api, database
from covalent_awsbatch_plugin.server.api import ServerUnreachableError
from covalent_awsbatch_plugin.server.database import DatabaseError

from . import named, reading
from .named import Named, Task
from .reading import Line

SECONDS = 2.0
"""Between two looks."""


class Following:
    """What is known of it, from Covalent's database, AWS Batch and CloudWatch Logs.

    Args:
        connection: By which AWS is asked.
        settings: Whose queue and log group count.
        found: What is followed.
        tasks: Its electrons.
        node_id: The node, if only one is followed.
        report: Is told what could not be had, each once.

    Attributes:
        named: What is followed, as it was when it was last looked at.
        tasks: Its electrons, likewise.
        reader: What reads their logs.
        problems: What could not be had.
        may_read: Whether AWS lets this user read the logs.
    """

    def __init__(  # noqa: PLR0913, PLR0917  (each is a source of its own)
        self,
        connection: Client,
        settings: Settings,
        found: Named,
        tasks: list[Task],
        node_id: int | None,
        report: Callable[[str], None],
    ) -> None:
        self.named = found
        self.tasks = tasks
        self.reader = reading.Reader(connection, settings.batch_job_log_group_name)
        self.problems: dict[str, None] = {}
        self.may_read = True
        self._connection = connection
        self._settings = settings
        self._node_id = node_id
        self._tell = report
        if found.problem:
            self.report(f"Only what AWS tells is known: {found.problem}.")

    def look(self) -> list[Line]:
        """What is new in CloudWatch Logs; the jobs are described anew."""
        self.reader.follow(self.tasks)
        if not self.reader.jobs:
            return []
        try:
            asyncio.run(self.reader.describe())
            return asyncio.run(self.reader.lines()) if self.may_read else []
        except AccessError as error:
            self.may_read = False
            self.report(error.message)
        except AWSBatchError as error:
            self.report(error.message)
        return []

    def refresh(self) -> None:
        """Reads what Covalent's database has of the electrons now."""
        if not self.named.family:
            return
        try:
            family = tuple(database.family(self.named.dispatch_id))
            self.named = Named(self.named.dispatch_id, self.named.node_id, family or self.named.family)
            self.tasks = named.tasks(self.named, self._connection, self._settings.queues, self._node_id)
        except (DatabaseError, AWSBatchError) as error:
            self.report(str(error))

    def is_over(self) -> bool:
        """Whether nothing more is to come: two looks after the last job has ended, as lines may be late."""
        if any(not one.has_ended or one.looks < 2 for one in self.reader.jobs):
            return False
        if not self.named.family:
            return True
        only_one = self.named.node_id is not None or self._node_id is not None
        if all(task.electron.has_ended for task in self.tasks) if only_one else self.named.family[0].has_ended:
            return True
        if only_one and self.named.node_id is not None:
            return True  # a job was asked for
        try:
            with api.answers_of_covalent():
                api.dispatches(dispatch_id=[self.named.dispatch_id])
        except ServerUnreachableError as error:
            self.report(
                f"Dispatch {self.named.dispatch_id} is {self.named.family[0].status}, and nobody goes on with it: "
                f"{error}; start it with `covalent start`, then `covalent-awsbatch resume` goes on."
            )
            return True
        return False

    def kept(self) -> list[Line]:
        """What Covalent keeps of electrons of which there is no log: it has expired, or there never was a job."""
        read = {one.task.label for one in self.reader.jobs if one.lines}
        return [
            Line(task, 0, 0, text)
            for task in self.tasks
            if task.label not in read and (task.electron.has_ended or not self.may_read)
            for stream in ("stdout", "stderr")
            for text in task.electron.text(stream).splitlines()
        ]

    def report(self, problem: str) -> None:
        """Has it said what could not be had, once.

        Args:
            problem: What, as a sentence.
        """
        if problem not in self.problems:
            self.problems[problem] = None
            self._tell(problem)
