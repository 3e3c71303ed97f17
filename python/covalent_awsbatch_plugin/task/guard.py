"""What becomes of a task's job and objects, whichever way its `run` ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from covalent._shared_files.exceptions import TaskCancelledError

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.agreement import naming
from covalent_awsbatch_plugin.options.settings import Settings

from . import connection, sharing, termination

if TYPE_CHECKING:
    from typing_extensions import Self

_CLEANUP_SECONDS = 30  # a task that is over waits no longer for the deletion of its objects
_LOGGED_CHARS = 1000

_log = logging.getLogger(__name__)


class TaskGuard:
    """Encloses the steps of a task, which say here how far they are.

    A job that nobody will watch any more is terminated, or the task's error stream says that it may go on; and the
    objects of a task that is over are deleted if `s3_cleanup` says so.

    Args:
        executor: The task's executor, for its streams.
        settings: Its options, whenever they are asked for.
        task_metadata: `dispatch_id` and `node_id`.

    Attributes:
        client: The connection by which there may be a job.
        uploading: Whether there may be objects.
        submitting: Whether there may be a job.
        job_id: The job, once there is one.
        queue: The job's queue, if it is known not to be the first one of the task.
    """

    client: Client

    def __init__(self, executor: Any, settings: Callable[[], Settings], task_metadata: dict[str, Any]) -> None:
        self.uploading = self.submitting = False
        self.job_id: str | None = None
        self.queue = ""
        self._executor = executor
        self._settings = settings
        self._task_metadata = task_metadata
        self._arguments: sharing.Arguments | None = None

    async def share(self, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Have the task's large arguments in the bucket, until it has ended.

        An image may have any program, which may know nothing of references; it gets them in the pickle.

        Args:
            args: Positional arguments.
            kwargs: Keyword arguments.

        Returns:
            Both, to be uploaded in their place.
        """
        settings = self._settings()
        if settings.source == "image":
            return args, kwargs
        self._arguments = sharing.Arguments((self.client, settings.s3_bucket_name, self._task_metadata["dispatch_id"]))
        return await self._arguments.store(args, kwargs)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        over = error is None
        try:
            if error is not None:
                over = await self._is_over(error)
        finally:
            await self._clean_up(over=over, succeeded=error is None)

    async def _is_over(self, error: BaseException) -> bool:
        """Deal with what ended the task; whether its job is surely over, if there was one."""
        if isinstance(error, errors.AWSBatchError):
            return await self._is_over_by_our_error(error)
        if isinstance(error, TaskCancelledError):
            return True
        if isinstance(error, asyncio.CancelledError):
            if termination.is_spared(self._settings):
                return False
            if self.job_id is None:
                return True
            reason = termination.cancellation(self._task_metadata)
            return await termination.is_accepted(termination.request(self.client, self.job_id, reason))
        if isinstance(error, Exception) and self.job_id is not None:
            return await self._give_up(self.job_id)
        return False

    async def _is_over_by_our_error(self, error: errors.AWSBatchError) -> bool:
        # Covalent's page shows its log from WARNING on, and no electron's streams.
        _log.warning("%s: %s", termination.node(self._task_metadata), _sentence(error))
        # What a client gets of a failed electron is its error stream.
        print(error.message, file=self._executor.task_stderr)
        if isinstance(error, errors.JobFailedError):
            return True
        if self.job_id is None:
            # Without AWS's own word nobody knows whether there is a job after all.
            return not self.submitting or bool(error.details.get("code"))
        if isinstance(error, (errors.AccessError, errors.ServiceError)):
            print(self._may_go_on(self.job_id), file=self._executor.task_stderr)
            return False
        if isinstance(error, errors.ResultError):
            return False
        return await self._give_up(self.job_id)

    async def _give_up(self, job_id: str) -> bool:
        """End a job that nobody will watch any more: its task has met with an error that says nothing of the job.

        Returns:
            Whether AWS took the request.
        """
        reason = f"Its task failed in Covalent: {termination.node(self._task_metadata)}"
        ended = await termination.is_accepted(termination.request(self.client, job_id, reason))
        line = f"Job {job_id} was terminated: nobody watches it any more." if ended else self._may_go_on(job_id)
        # Of an error that is none of ours Covalent keeps the text, and not the streams.
        _log.error("%s", line)
        print(line, file=self._executor.task_stderr)
        return ended

    def _may_go_on(self, job_id: str) -> str:
        queue = self.queue or self._executor.batch_queue
        return f"Job {job_id} may go on in queue {queue}: `covalent-awsbatch jobs` shows and ends it."

    async def _clean_up(self, *, over: bool, succeeded: bool) -> None:
        """Delete the task's objects if `s3_cleanup` says so. A failure of this is none of the task.

        A job that may go on needs its function, and a result that could not be read may be read later.
        """
        name = naming.of_task(naming.JOB_NAME, self._task_metadata)
        keys: list[str] = []
        try:
            settings = self._settings()
            deletes = settings.s3_cleanup == "always" or (settings.s3_cleanup == "success" and succeeded)
            if deletes and over and self.uploading:
                task = self._task_metadata["dispatch_id"], self._task_metadata["node_id"]
                keys = naming.task_keys(*task, settings.nodes, settings.retry_attempts)
        except Exception as error:  # noqa: BLE001  (an option that cannot work)
            _log.debug("The objects of %s stay where they are: %r", name, error)
        keys += self._arguments.release(is_needed=not keys) if self._arguments else []
        try:
            if keys:
                await asyncio.wait_for(self._delete(settings, keys), _CLEANUP_SECONDS)
        except Exception as error:  # noqa: BLE001
            _log.debug("The objects of %s stay where they are: %r", name, error)

    async def _delete(self, settings: Settings, keys: list[str]) -> None:
        if self._arguments:
            await self._arguments.uploads_ended()
        await connection.client(settings).delete(settings.s3_bucket_name, keys)


def _sentence(error: errors.AWSBatchError) -> str:
    """Why a task failed, without what its function said or printed."""
    if error.details.get("cause") == "exception":
        raised = error.details.get("exception") or "an exception"
        job = error.details.get("job_id")
        return f"its function raised {raised} in job {job}; the electron's stderr has the traceback"
    return error.message.partition("\n")[0][:_LOGGED_CHARS]
