"""The executor that Covalent loads under the name `awsbatch`: each task becomes one AWS Batch job.

`AWSBatchExecutor.run` is the way of one task; the methods after it are its steps, in their order.
"""

from __future__ import annotations

from .server import plugin  # imports Covalent, which has to come first

# isort: split
import logging
from typing import TYPE_CHECKING, Any

from covalent._shared_files.util_classes import RESULT_STATUS
from covalent.executor.executor_plugins.remote_executor import RemoteExecutor
from covalent.executor.schemas import TaskUpdate

from . import environment, errors, server, task
from .agreement.naming import FUNC_FILENAME, of_task
from .options.attributes import Options
from .options.settings import DEFAULTS, OPTIONS
from .server import packing, questions
from .task import startup

if TYPE_CHECKING:
    from .deploy.infra import ExecutorInfraDefaults
    from .deploy.plugin_defaults import ExecutorPluginDefaults

__all__ = ["AWSBatchExecutor", "ExecutorInfraDefaults", "ExecutorPluginDefaults"]

EXECUTOR_PLUGIN_NAME = "AWSBatchExecutor"

# Covalent writes these into the user's configuration file. They are the options that version 0.42.0 wrote: with a key
# more in its section that version fails, and there would be no way back to it.
_EXECUTOR_PLUGIN_DEFAULTS = {name: DEFAULTS[name] for name in OPTIONS[:16]}

_log = logging.getLogger(__name__)

plugin.join_covalents_log()
startup.resume_left()


def __getattr__(name: str) -> Any:
    """What `covalent deploy` looks for here. Every program that imports Covalent comes by, and few of them deploy."""
    if name == "ExecutorInfraDefaults":
        from .deploy import infra

        return infra.ExecutorInfraDefaults
    if name == "ExecutorPluginDefaults":
        from .deploy import plugin_defaults

        return plugin_defaults.ExecutorPluginDefaults
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class AWSBatchExecutor(questions.PatientQuestions, Options, RemoteExecutor):  # type: ignore[misc]  # covalent ships no types
    """Runs electrons and whole lattices as AWS Batch jobs.

    What is left out, or None, is taken from the section `[executors.awsbatch]` of Covalent's configuration, else from
    the default, when and where the task runs: on Covalent's server, as for `executor="awsbatch"`. Each option becomes
    an attribute of the same name; all of them are plain JSON. Creating an executor does no I/O. The constructor
    describes the options.
    """

    SUPPORTS_MANAGED_EXECUTION = packing.OneNodeATask()

    async def run(self, function: Any, args: list[Any], kwargs: dict[str, Any], task_metadata: dict[str, Any]) -> Any:
        """Run a call as an AWS Batch job and return its result. One of Covalent's own nodes mostly needs no job.

        In a dispatch that is resumed, the job that an earlier server submitted is waited for in place of another one.

        Args:
            function: The function; under Covalent its wrapper, which also installs dependencies.
            args: Positional arguments.
            kwargs: Keyword arguments.
            task_metadata: `dispatch_id` and `node_id`.

        Returns:
            The function's result as a `TransportableObject`.

        Raises:
            TaskCancelledError: The task was cancelled from Covalent.
            AWSBatchError: The job failed, or could not be run; what the function printed is on the task's streams.
        """
        if (made := await task.own_nodes.values.made(function, args, kwargs)) is not None:
            return made
        begun = server.handles.take(task_metadata)
        startup.begin_task()
        server.presence.note(task_metadata["dispatch_id"])
        function = await task.own_nodes.inheritance.with_packages(function, task_metadata)
        async with task.guard.TaskGuard(self, self._settings, task_metadata) as guard:
            guard.client = task.connection.client(self._resolve())
            caller = await task.subclasses.caller(self._validate_credentials)
            submits = task.subclasses.overrides(self, AWSBatchExecutor, "submit_task")
            self.platform = await task.queue_platform.found(self._settings(), guard.client)
            if begun:
                guard.uploading = guard.submitting = True
                guard.job_id, guard.queue = await task.takeover.job_of_earlier_server(
                    guard.client, self._settings(), begun, task_metadata
                )
            if guard.job_id is None:
                await self._stop_if_cancelled(task_metadata)
                guard.uploading = True
                environment.prepare.begin(self._settings(), guard.client)
                environment.requested.begin(self._settings(), guard.client, function)
                if self._settings().source != "image" and not submits:
                    # Its job surely has the runner of this version, which knows references.
                    args, kwargs = await guard.share(args, kwargs)
                await self._upload_task(function, args, kwargs, task_metadata)
                await self._stop_if_cancelled(task_metadata)
                guard.submitting = True
                guard.job_id = await self.submit_task(task_metadata, caller)
            job_id = await task.resubmission.last_job(self, guard, None if submits else function, task_metadata, caller)
            # A subclass may look at what it gets, which has no other keys than in 0.42.0.
            own = task.subclasses.overrides(self, AWSBatchExecutor, "query_result")
            metadata = task_metadata if own else {**task_metadata, "job_id": job_id}
            returned, stdout, stderr = await self.query_result(metadata)
        print(stdout, end="", file=self.task_stdout)
        print(stderr, end="", file=self.task_stderr)
        return returned

    async def _validate_credentials(self, raise_exception: bool = True) -> Any:
        """Ask AWS who is calling; once for all tasks with the same credentials.

        Args:
            raise_exception: Whether to raise if AWS does not accept the credentials, or to return False.

        Returns:
            `Account`, `Arn` and `UserId`.
        """
        try:
            return dict(await task.connection.identity(self._settings()))
        except errors.AWSBatchError:
            if raise_exception:
                raise
            return False

    async def _upload_task(self, function: Any, args: Any, kwargs: Any, task_metadata: dict[str, Any]) -> None:
        """Pickle the call into the bucket."""
        settings = self._settings()
        key = of_task(FUNC_FILENAME, task_metadata)
        await task.transfer.upload(
            task.connection.client(settings), settings.s3_bucket_name, key, (function, args, kwargs)
        )

    async def submit_task(self, task_metadata: dict[str, Any], identity: Any = None) -> str:  # noqa: ARG002
        """Submit the job, once, under a revision of the job definition that is registered only when it is new.

        Args:
            task_metadata: `dispatch_id` and `node_id`; `attempts_before` and `previous_job`, if earlier jobs of the
                task have failed.
            identity: What `_validate_credentials` returned; not needed.

        Returns:
            The job's id.
        """
        return await task.submission.submit_task(self._settings(), task_metadata, self)

    async def _poll_task(self, job_id: str, dispatch_id: str, node_id: int) -> None:
        """Wait until the job is over and has left a result.

        Raises:
            TaskCancelledError: It was terminated because Covalent asked for it.
            JobFailedError: It failed. What the function printed is then on the task's streams.
        """
        settings = self._settings()
        connection = task.connection.client(settings)
        own = task.subclasses.overrides(self, AWSBatchExecutor, "get_status")
        if own and await task.subclasses.went_well(self, connection, job_id, settings.poll_freq):
            return
        task_metadata = {"dispatch_id": dispatch_id, "node_id": node_id}
        async with task.live.shown(connection, settings, job_id, task_metadata, self.task_stderr):
            await task.outcome.wait(self, connection, settings, job_id, task_metadata)

    async def get_status(self, job_id: str) -> tuple[str, int]:
        """Look at a job once. Where a subclass does this in its own way, it is asked every `poll_freq` seconds.

        Args:
            job_id: The job's id.

        Returns:
            Its status, such as `RUNNING`, or `VANISHED` if Batch has no record of it; and its exit code, -1 if there is
            none (yet).
        """
        if (job := await task.connection.client(self._settings()).describe(job_id)) is None:
            return "VANISHED", -1
        return job.status, -1 if job.exit_code is None else job.exit_code

    async def query_result(self, task_metadata: dict[str, Any]) -> tuple[Any, str, str]:
        """Bring the result of a job that is over.

        Args:
            task_metadata: `dispatch_id` and `node_id`, and `job_id` where it is known.

        Returns:
            The result, and what the function printed to stdout and stderr.

        Raises:
            ResultError: There is none, or it cannot be used.
        """
        settings = self._settings()
        return await task.result.fetch(task.connection.client(settings), settings, task_metadata)

    async def cancel(self, task_metadata: dict[str, Any], job_handle: Any) -> bool:
        """Terminate a job because Covalent asks for it; its `run` then ends as cancelled.

        Covalent asks for it, too, when its server stops: then the job goes on if `on_server_stop` says so.

        Args:
            task_metadata: `dispatch_id` and `node_id`.
            job_handle: The job's id; empty or None if it was not submitted yet, and then `run` stops by itself.

        Returns:
            Whether AWS took the request, within half a minute: the core goes on asking. AWS takes it for any id, hence
            False if it knows no such job.
        """
        return await task.cancellation.cancel(self._settings, task_metadata, job_handle)

    async def _stop_if_cancelled(self, task_metadata: dict[str, Any], job_id: str | None = None) -> None:
        await task.cancellation.stop_if_asked(self, self._settings, task_metadata, job_id)

    async def receive(self, task_group_metadata: dict[str, Any], data: Any) -> list[TaskUpdate]:
        """Report the end of tasks that nobody runs: cancelled before they began, or orphans that were ended.

        By the same way the server is asked to go on with a dispatch of an earlier one; then there is nothing to report.
        Never raises, since Covalent would have the tasks fail.

        Args:
            task_group_metadata: `dispatch_id` and `node_ids`.
            data: What came with the request; None from Covalent itself.

        Returns:
            A cancellation for each of them.
        """
        ended = await task.cancellation.unbegun(self._settings, task_group_metadata, data)
        return [TaskUpdate(**one, status=RESULT_STATUS.CANCELLED, assets={}) for one in ended]
