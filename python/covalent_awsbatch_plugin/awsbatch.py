"""The executor that Covalent loads under the name `awsbatch`: each task becomes one AWS Batch job."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

if "covalent" not in sys.modules:
    # This is the program's first import, but Covalent has to come first: it will load this module as a plugin, and must
    # find it whole. What it gets is then what the program gets, too; with COVALENT_PLUGIN_LOAD=false it loads nothing.
    _this = sys.modules.pop(__name__)
    import covalent  # noqa: F401

    sys.modules.setdefault(__name__, _this)

from covalent._shared_files.exceptions import TaskCancelledError
from covalent._shared_files.logger import app_log
from covalent._shared_files.util_classes import RESULT_STATUS
from covalent.executor.executor_plugins.remote_executor import RemoteExecutor
from covalent.executor.schemas import TaskUpdate

from . import errors
from ._core import CANCEL_REASON, Client
from .agreement.naming import FUNC_FILENAME, JOB_NAME, RESULT_FILENAME, task_keys
from .options.attributes import Options
from .options.settings import DEFAULTS, OPTIONS, ExecutorPluginDefaults
from .printable import PrintableRecords
from .server import presence, questions
from .task import retrieval, subclasses, transfer, unstarted
from .task.connection import client
from .task.connection import identity as caller_identity
from .task.job_request import job_request

if TYPE_CHECKING:
    from .deploy.infra import ExecutorInfraDefaults

__all__ = ["AWSBatchExecutor", "ExecutorInfraDefaults", "ExecutorPluginDefaults"]

EXECUTOR_PLUGIN_NAME = "AWSBatchExecutor"


def __getattr__(name: str) -> Any:
    """What `covalent deploy` looks for here. Every program that imports Covalent comes by, and few of them deploy."""
    if name == "ExecutorInfraDefaults":
        from .deploy import infra

        return infra.ExecutorInfraDefaults
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# Covalent writes these into the user's configuration file. They are the options that version 0.42.0 wrote: with a key
# more in its section that version fails, and there would be no way back to it.
_EXECUTOR_PLUGIN_DEFAULTS = {name: DEFAULTS[name] for name in OPTIONS[:16]}

_CLEANUP_SECONDS = 30  # a task that is over waits no longer for the deletion of its objects

_TERMINATION_SECONDS = 30  # nor does a cancellation for AWS's answer; the core goes on asking

_background: set[asyncio.Future[bool]] = set()

_log = logging.getLogger(__name__)

# Covalent has a log of its own, at the level of its option sdk.log_level; what this package says goes there, too.
_package_log = logging.getLogger(__package__)
_package_log.setLevel(app_log.level)
_package_log.addHandler(PrintableRecords())
for _handler in app_log.handlers:
    _package_log.addHandler(_handler)


class AWSBatchExecutor(questions.PatientQuestions, Options, RemoteExecutor):  # type: ignore[misc]  # covalent ships no types
    """Runs electrons and whole lattices as AWS Batch jobs.

    What is left out, or None, is taken from the section `[executors.awsbatch]` of Covalent's configuration, else from
    the default, when and where the task runs: on Covalent's server, as for `executor="awsbatch"`. Each option becomes
    an attribute of the same name; all of them are plain JSON. Creating an executor does no I/O.

    Args:
        credentials: Path of a shared credentials file, never the keys themselves; empty (default) for the
            SDK's own place.
        profile: Name of an AWS profile; empty (default) for `AWS_PROFILE` or `default`.
        region: AWS region; default `us-east-1`.
        s3_bucket_name: Bucket for functions and results; default `covalent-batch-job-resources`.
        batch_queue: Job queue, by name or ARN; default `covalent-batch-queue`.
        batch_execution_role_name: Role of the ECS agent, by name or ARN; default `ecsTaskExecutionRole`.
        batch_job_role_name: Role of the container, by name or ARN; default `CovalentBatchJobRole`.
        batch_job_log_group_name: CloudWatch log group of the container's output; default `covalent-batch-job-logs`.
        vcpu: Whole number of vCPUs, on Fargate also 0.25 or 0.5; default 2.
        memory: Memory in GB, less than 4,096; default 3.75. On Fargate the next size that goes with `vcpu`.
        num_gpus: Whole number of GPUs; default 0.
        retry_attempts: How often Batch tries a job, 1 (no retry) to 10; default 3.
        time_limit: Seconds after which an attempt is killed, 60 or more, or 0 for no limit; default 300.
        poll_freq: Seconds that a job's end may go unnoticed, up to 86,400; default 10. Up to 500 running jobs it is one
            at most.
        cache_dir: Directory for temporary files; default `/tmp/covalent`. Accepted for the sake of older workflows.
        container_image_uri: Image of the container; default `public.ecr.aws/covalent/covalent-executor-base:stable`.
        batch_job_definition_name: Name of the job definition; default `covalent-batch-jobs`.
        ecr_repo_name: Name of an ECR repository; empty by default.
        endpoint_url: URL of an AWS-compatible service; empty (default) for AWS.
        environment: Environment variables of the container beside the executor's own; none by default. They stand in
            plain text in Covalent's database and in what AWS Batch says of the job: a secret belongs into Secrets
            Manager or the SSM Parameter Store, where the function reads it with the job role.
        tags: Tags of the job; none by default.
        retry_on: Which failures of an attempt are followed by another one: `any` (default), or `infrastructure` for
            all but those of a container that ran and exited, so for no exception of the function.
        runnable_timeout: Seconds that a job may wait for a machine before the task gives up, up to 31,536,000; 0
            (default) for ever.
        s3_bucket_owner: Account that the bucket has to belong to, as twelve digits; empty (default) for the one of the
            credentials, `any` for no check.
        s3_kms_key_id: KMS key (id, ARN or alias) for what is written to the bucket; empty (default) for the bucket's
            own encryption. The container's program follows it if it is this package's runner.
        s3_cleanup: When a task's objects are deleted: `never` (default), on `success`, or `always`.
        platform: `EC2` (default) or `FARGATE`, as the compute environments behind the queue are.
        assign_public_ip: Whether a container on Fargate gets an address on the internet; default True. Without one it
            pulls images and reaches S3 from private subnets only, by a NAT gateway or by endpoints.
        ephemeral_storage: GB of a container's disk on Fargate, 21 to 200; 0 (default) for Fargate's own 20.
        **unknown: Keys that another version left in the configuration: not used, with one warning.

    Raises:
        SettingsError: Values that AWS would refuse, all of them in one message. What comes from the configuration is
            checked when a task runs, and so is whether it goes together with what was given.
        TypeError: A keyword that is no option.
    """

    async def run(self, function: Any, args: list[Any], kwargs: dict[str, Any], task_metadata: dict[str, Any]) -> Any:
        """Run a call as an AWS Batch job and return its result.

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
        job_id = None
        uploading = submitting = succeeded = over = False
        try:
            connection = client(self._resolve())
            caller = await subclasses.caller(self._validate_credentials)
            await self._stop_if_cancelled(task_metadata)
            uploading = True
            await self._upload_task(function, args, kwargs, task_metadata)
            await self._stop_if_cancelled(task_metadata)
            submitting = True
            job_id = await self.submit_task(task_metadata, caller)
            await self.set_job_handle(handle=job_id)
            # A request that came in between found no handle to terminate the job by.
            await self._stop_if_cancelled(task_metadata, job_id)
            await self._poll_task(job_id, task_metadata["dispatch_id"], task_metadata["node_id"])
            # A subclass may look at what it gets, which has no other keys than in 0.42.0.
            own = subclasses.overrides(self, AWSBatchExecutor, "query_result")
            task = task_metadata if own else {**task_metadata, "job_id": job_id}
            result, stdout, stderr = await self.query_result(task)
            succeeded = over = True
        except errors.AWSBatchError as error:
            # Covalent shows a failed electron by its error stream.
            print(error.message, file=self.task_stderr)
            # Without AWS's own word nobody knows whether there is a job after all.
            settled = not submitting or bool(error.details.get("code"))
            over = isinstance(error, errors.JobFailedError) or (job_id is None and settled)
            if job_id is not None and isinstance(error, (errors.AccessError, errors.ServiceError)):
                print(self._may_go_on(job_id), file=self.task_stderr)
            elif job_id is not None and not isinstance(error, (errors.JobFailedError, errors.ResultError)):
                over = await self._give_up(connection, job_id, task_metadata)
            raise
        except TaskCancelledError:
            over = True
            raise
        except asyncio.CancelledError:
            over = job_id is None
            if job_id is not None:
                over = await _taken(self._ended(job_id, _cancellation(task_metadata), connection))
            raise
        except Exception:
            if job_id is not None:
                over = await self._give_up(connection, job_id, task_metadata)
            raise
        finally:
            # A job that may go on needs its function, and a result that could not be read may be read later.
            if uploading and over:
                await self._clean_up(task_metadata, succeeded)
        print(stdout, end="", file=self.task_stdout)
        print(stderr, end="", file=self.task_stderr)
        return result

    async def _validate_credentials(self, raise_exception: bool = True) -> Any:
        """Ask AWS who is calling; once for all tasks with the same credentials.

        Args:
            raise_exception: Whether to raise if AWS does not accept the credentials, or to return False.

        Returns:
            `Account`, `Arn` and `UserId`.
        """
        try:
            return dict(await caller_identity(self._settings()))
        except errors.AWSBatchError:
            if raise_exception:
                raise
            return False

    async def _upload_task(self, function: Any, args: Any, kwargs: Any, task_metadata: dict[str, Any]) -> None:
        """Pickle the call into the bucket."""
        settings = self._settings()
        key = _named(FUNC_FILENAME, task_metadata)
        call = (function, args, kwargs)
        await transfer.upload(client(settings), settings.s3_bucket_name, key, call)

    async def submit_task(self, task_metadata: dict[str, Any], identity: Any = None) -> str:  # noqa: ARG002
        """Submit the job, once, under a revision of the job definition that is registered only when it is new.

        Args:
            task_metadata: `dispatch_id` and `node_id`.
            identity: What `_validate_credentials` returned; not needed.

        Returns:
            The job's id.
        """
        # Before there is a job: one that is left by a crash right after it must be recognised.
        presence.note(task_metadata["dispatch_id"])
        settings = self._settings()
        # The container may not be able to ask who owns the job.
        owner = settings.s3_bucket_owner or (await caller_identity(settings))["Account"]
        dispatch_id, node_id = task_metadata["dispatch_id"], task_metadata["node_id"]
        request = job_request(settings, dispatch_id, node_id, "" if owner == "any" else owner)
        submission = asyncio.ensure_future(client(settings).submit(json.dumps(request)))
        try:
            job_id = await submission
        except asyncio.CancelledError:
            # The core ends a job whose id nobody took. This one's may have come in the very moment.
            if not submission.cancelled() and submission.exception() is None:
                self._ended(submission.result(), _cancellation(task_metadata), client(settings))
            raise
        _log.info("Submitted %s as job %s", _named(JOB_NAME, task_metadata), job_id)
        return job_id

    async def get_status(self, job_id: str) -> tuple[str, int]:
        """Look at a job once. Where a subclass does this in its own way, it is asked every `poll_freq` seconds.

        Args:
            job_id: The job's id.

        Returns:
            Its status, such as `RUNNING`, or `VANISHED` if Batch has no record of it; and its exit code, -1 if there is
            none (yet).
        """
        job = await client(self._settings()).describe(job_id)
        if job is None:
            return "VANISHED", -1
        return job.status, -1 if job.exit_code is None else job.exit_code

    async def _poll_task(self, job_id: str, dispatch_id: str, node_id: int) -> None:
        """Wait until the job is over and has left a result.

        Raises:
            TaskCancelledError: It was terminated because Covalent asked for it.
            JobFailedError: It failed. What the function printed is then on the task's streams.
        """
        settings = self._settings()
        connection = client(settings)
        own = subclasses.overrides(self, AWSBatchExecutor, "get_status")
        if own and await subclasses.went_well(self, connection, job_id, settings.poll_freq):
            return
        job = await connection.end_of(job_id, settings.poll_freq, settings.runnable_timeout)
        if job.status == "SUCCEEDED":
            return
        if job.status == "RUNNABLE":
            await connection.terminate(
                job_id, f"No machine for it within runnable_timeout={settings.runnable_timeout:g}"
            )
            raise await unstarted.never_started(connection, settings, job)
        if job.cause == "stuck":
            # Before its result is looked for: a host that AWS does not hear from may run it all the same.
            await connection.terminate(job_id, f"It stayed {job.status} for too long")
        metadata = {"dispatch_id": dispatch_id, "node_id": node_id}
        key = _named(RESULT_FILENAME, metadata)
        report, unread = await retrieval.fetch_last_words(connection, settings.s3_bucket_name, key, job_id)
        if report and report.succeeded and job.cause != "cancelled":
            return  # It did finish: the agent could not tell, or the host was lost right after, or the record expired.
        if report:
            print(report.stdout, end="", file=self.task_stdout)
            print(report.stderr, end="", file=self.task_stderr)
        if job.cause == "cancelled" or await self.get_cancel_requested():
            raise TaskCancelledError(f"Job {job_id} was cancelled from Covalent.")
        if job.status == "VANISHED":
            # Should it run after all, nobody waits for it any more.
            self._ended(job_id, "AWS Batch had no record of this job for a while, and its task has ended", connection)
        if job.cause == "stuck":
            raise await unstarted.stuck(connection, settings, job)
        raise await retrieval.failure(connection, settings, job, report, unread)

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
        connection, bucket = client(settings), settings.s3_bucket_name
        key = _named(RESULT_FILENAME, task_metadata)
        report = await retrieval.fetch_report(connection, bucket, key, task_metadata.get("job_id"))
        if report and report.of_job:
            raise errors.ResultError(
                f"s3://{bucket}/{key} holds what job {report.of_job} left and not the result of job "
                f"{task_metadata.get('job_id')}, which succeeded: do two jobs run under the same name?",
                bucket=bucket,
                key=key,
            )
        if "job_id" not in task_metadata and (report is None or not report.succeeded):
            why = ": the task has not run or not ended, its image left nothing, or that is gone."
            if report is not None:
                why = f", only the report that the function failed ({report.exception or 'it does not say how'})."
            raise errors.ResultError(f"There is no result at s3://{bucket}/{key}{why}", bucket=bucket, key=key)
        if report is None or not report.succeeded:
            raise errors.ResultError(
                f"The job succeeded but left no result at s3://{bucket}/{key}: check that container_image_uri "
                f"({settings.container_image_uri}) is an image for Covalent and that the job role "
                f"{settings.batch_job_role_name} may write to the bucket.",
                bucket=bucket,
                key=key,
            )
        return await retrieval.fetch_result(connection, bucket, key, report), report.stdout, report.stderr

    async def cancel(self, task_metadata: dict[str, Any], job_handle: Any) -> bool:
        """Terminate a job because Covalent asks for it; its `run` then ends as cancelled.

        Args:
            task_metadata: `dispatch_id` and `node_id`.
            job_handle: The job's id; empty or None if it was not submitted yet, and then `run` stops by itself.

        Returns:
            Whether AWS took the request, within half a minute: the core goes on asking. AWS takes it for any id, hence
            False if it knows no such job.
        """
        if not job_handle:
            return False
        try:
            connection = client(self._settings())
            taken = await _taken(self._ended(str(job_handle), _cancellation(task_metadata), connection))
            return taken and await _known(connection, str(job_handle))
        except errors.AWSBatchError as error:  # an option that cannot work
            _log.warning("Job %s could not be terminated: %s", job_handle, error)
            return False

    async def _give_up(self, connection: Client, job_id: str, task_metadata: dict[str, Any]) -> bool:
        """End a job that nobody will watch any more: its task has met with an error that says nothing of the job.

        Returns:
            Whether AWS took the request.
        """
        reason = f"Its task failed in Covalent: {_node(task_metadata)}"
        ended = await _taken(self._ended(job_id, reason, connection))
        line = f"Job {job_id} was terminated: nobody watches it any more." if ended else self._may_go_on(job_id)
        # Of an error that is none of ours Covalent keeps the text, and not the streams.
        _log.error("%s", line)
        print(line, file=self.task_stderr)
        return ended

    def _may_go_on(self, job_id: str) -> str:
        return f"Job {job_id} may go on in queue {self.batch_queue}: `covalent-awsbatch jobs` shows and ends it."

    @staticmethod
    def _ended(job_id: str, reason: str, connection: Client) -> asyncio.Future[bool]:
        """Ask for the end of a job here and now: the request goes out even if the loop ends with this very step.

        Returns:
            Whether AWS took the request; to be awaited or not.
        """
        ending = connection.terminate(job_id, reason)

        async def taken() -> bool:
            try:
                await ending
            except errors.AWSBatchError as error:
                _log.warning("Job %s could not be terminated: %s", job_id, error)
                return False
            return True

        task = asyncio.ensure_future(taken())
        _background.add(task)  # asyncio itself keeps no hold on it
        task.add_done_callback(_background.discard)
        return asyncio.shield(task)

    async def receive(self, task_group_metadata: dict[str, Any], data: Any) -> list[TaskUpdate]:  # noqa: ARG002
        """Report the end of tasks that nobody runs: cancelled before they began, or orphans that were ended.

        Args:
            task_group_metadata: `dispatch_id` and `node_ids`.
            data: Not used.

        Returns:
            A cancellation for each of them.
        """
        dispatch_id, node_ids = task_group_metadata["dispatch_id"], task_group_metadata["node_ids"]
        return [
            TaskUpdate(dispatch_id=dispatch_id, node_id=node_id, status=RESULT_STATUS.CANCELLED, assets={})
            for node_id in node_ids
        ]

    async def _clean_up(self, task_metadata: dict[str, Any], succeeded: bool) -> None:
        """Delete the task's objects if `s3_cleanup` says so. A failure of this is none of the task."""
        try:
            settings = self._settings()
            if settings.s3_cleanup == "always" or (settings.s3_cleanup == "success" and succeeded):
                keys = task_keys(task_metadata["dispatch_id"], task_metadata["node_id"])
                await asyncio.wait_for(client(settings).delete(settings.s3_bucket_name, keys), _CLEANUP_SECONDS)
        except Exception as error:  # noqa: BLE001
            _log.debug("The objects of %s stay where they are: %r", _named(JOB_NAME, task_metadata), error)

    async def _stop_if_cancelled(self, task_metadata: dict[str, Any], job_id: str | None = None) -> None:
        if await self.get_cancel_requested():
            if job_id is not None and not await self.cancel(task_metadata, job_id):
                return  # it goes on, and so does the watch over it
            raise TaskCancelledError(f"{_named(JOB_NAME, task_metadata)} was cancelled from Covalent.")


async def _taken(ending: asyncio.Future[bool]) -> bool:
    done, _ = await asyncio.wait([ending], timeout=_TERMINATION_SECONDS)
    return bool(done) and ending.result()


async def _known(connection: Client, job_id: str) -> bool:
    try:
        if await asyncio.wait_for(connection.describe(job_id), _TERMINATION_SECONDS) is not None:
            return True
    except (errors.AWSBatchError, asyncio.TimeoutError):
        return True  # as far as anybody can tell
    _log.warning("AWS Batch knows no job %s: nothing was cancelled", job_id)
    return False


def _cancellation(task_metadata: dict[str, Any]) -> str:
    """The reason given to AWS."""
    return f"{CANCEL_REASON}: {_node(task_metadata)}"


def _node(task_metadata: dict[str, Any]) -> str:
    return f"dispatch {task_metadata.get('dispatch_id')}, node {task_metadata.get('node_id')}"


def _named(template: str, task_metadata: dict[str, Any]) -> str:
    return template.format(dispatch_id=task_metadata["dispatch_id"], node_id=task_metadata["node_id"])
