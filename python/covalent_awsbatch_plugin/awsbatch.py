"""The executor that Covalent loads under the name `awsbatch`: each task becomes one AWS Batch job."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import sys
from os import PathLike
from typing import Any

if "covalent" not in sys.modules:
    # This is the program's first import, but Covalent has to come first: it will load this module as a plugin, and must
    # find it whole. What it gets is then what the program gets, too.
    del sys.modules[__name__]
    import covalent  # noqa: F401

from covalent._shared_files.exceptions import TaskCancelledError
from covalent._shared_files.logger import app_log
from covalent._shared_files.util_classes import RESULT_STATUS
from covalent.executor.executor_plugins.remote_executor import RemoteExecutor
from covalent.executor.schemas import TaskUpdate

from . import errors, presence, questions, retrieval, transfer
from ._core import CANCEL_REASON
from .connection import client
from .infra import ExecutorInfraDefaults
from .naming import BUCKET_OWNER, FUNC_FILENAME, JOB_NAME, KMS_KEY, RESULT_FILENAME, task_keys
from .settings import (
    DEFAULTS,
    OPTIONS,
    ExecutorPluginDefaults,
    Settings,
    check_names,
    checked,
    resolved,
    section,
)

__all__ = ["AWSBatchExecutor", "ExecutorInfraDefaults", "ExecutorPluginDefaults"]

EXECUTOR_PLUGIN_NAME = "AWSBatchExecutor"

# Covalent writes these into the user's configuration file. They are the options that version 0.42.0 wrote: with a key
# more in its section that version fails, and there would be no way back to it.
_EXECUTOR_PLUGIN_DEFAULTS = {name: DEFAULTS[name] for name in OPTIONS[:16]}

# What version 0.42.0 and its base class called these attributes.
_FORMER_NAMES = {
    "remote_cache": "s3_bucket_name",
    "credentials_file": "credentials",
    "_credentials_file": "credentials",
    "execution_role": "batch_execution_role_name",
    "log_group_name": "batch_job_log_group_name",
}

# What hangs on an executor while a task runs: open streams and queues, of no use elsewhere.
_RUNTIME_ATTRIBUTES = questions.RUNTIME_ATTRIBUTES | {
    "_task_stdout",
    "_task_stderr",
    "_send_queue",
    "_recv_queue",
    "_loop",
    "_cancel_pool",
}

_CLEANUP_SECONDS = 30  # a task that is over waits no longer for the deletion of its objects

_background: set[asyncio.Future[bool]] = set()

_log = logging.getLogger(__name__)

# Covalent has a log of its own, at the level of its option sdk.log_level; what this package says goes there, too.
_package_log = logging.getLogger(__package__)
_package_log.setLevel(app_log.level)
for _handler in app_log.handlers:
    _package_log.addHandler(_handler)


class AWSBatchExecutor(questions.PatientQuestions, RemoteExecutor):  # type: ignore[misc]  # covalent ships no types
    """Runs electrons and whole lattices as AWS Batch jobs.

    What is left out, or None, is taken from the section `[executors.awsbatch]` of Covalent's configuration, else from
    the default. Each option becomes an attribute of the same name; all of them are plain JSON. Creating an executor
    does no I/O.

    Args:
        credentials: Path of a shared credentials file; empty (default) for the AWS SDK's own place.
        profile: Name of an AWS profile; empty (default) for `AWS_PROFILE` or `default`.
        region: AWS region; default `us-east-1`.
        s3_bucket_name: Bucket for functions and results; default `covalent-batch-job-resources`.
        batch_queue: Job queue, by name or ARN; default `covalent-batch-queue`.
        batch_execution_role_name: Role of the ECS agent, by name or ARN; default `ecsTaskExecutionRole`.
        batch_job_role_name: Role of the container, by name or ARN; default `CovalentBatchJobRole`.
        batch_job_log_group_name: CloudWatch log group of the container's output; default `covalent-batch-job-logs`.
        vcpu: Whole number of vCPUs; default 2.
        memory: Memory in GB; default 3.75.
        num_gpus: Whole number of GPUs; default 0.
        retry_attempts: How often Batch tries a job, 1 (no retry) to 10; default 3.
        time_limit: Seconds after which an attempt is killed, 60 or more, or 0 for no limit; default 300.
        poll_freq: Seconds between two looks at a job; default 10.
        cache_dir: Directory for temporary files; default `/tmp/covalent`. Accepted for the sake of older workflows.
        container_image_uri: Image of the container; default `public.ecr.aws/covalent/covalent-executor-base:stable`.
        batch_job_definition_name: Name of the job definition; default `covalent-batch-jobs`.
        ecr_repo_name: Name of an ECR repository; empty by default.
        endpoint_url: URL of an AWS-compatible service; empty (default) for AWS.
        environment: Environment variables of the container beside the executor's own; none by default.
        tags: Tags of the job; none by default.
        retry_on: Which failures of an attempt are followed by another one: `any` (default), or `infrastructure` for
            lost hosts and trouble with the container, but not for an exception of the function.
        runnable_timeout: Seconds that a job may wait for a machine before the task gives up; 0 (default) for ever.
        s3_bucket_owner: Account that the bucket has to belong to, as twelve digits; empty (default) for the one of the
            credentials, `any` for no check.
        s3_kms_key_id: KMS key (id, ARN or alias) for what is written to the bucket; empty (default) for the bucket's
            own encryption. The container's program follows it if it is this package's runner.
        s3_cleanup: When a task's objects are deleted: `never` (default), on `success`, or `always`.
        **unknown: Keys that another version left in the configuration: not used, with one warning.

    Raises:
        SettingsError: Values that AWS would refuse, all of them in one message. When Covalent builds the executor from
            the configuration alone, its values are checked when a task runs, because on the server the task's own
            values may still replace them.
        TypeError: A keyword that is no option.
    """

    credentials: str
    profile: str
    region: str
    s3_bucket_name: str
    batch_queue: str
    batch_execution_role_name: str
    batch_job_role_name: str
    batch_job_log_group_name: str
    vcpu: int
    memory: float
    num_gpus: int
    retry_attempts: int
    time_limit: int
    poll_freq: float
    cache_dir: str
    container_image_uri: str
    batch_job_definition_name: str
    ecr_repo_name: str
    endpoint_url: str
    environment: dict[str, str]
    tags: dict[str, str]
    retry_on: str
    runnable_timeout: float
    s3_bucket_owner: str
    s3_kms_key_id: str
    s3_cleanup: str

    def __init__(  # noqa: PLR0913, PLR0917  (the order is that of the public plugin)
        self,
        credentials: str | PathLike[str] | None = None,
        profile: str | None = None,
        region: str | None = None,
        s3_bucket_name: str | None = None,
        batch_queue: str | None = None,
        batch_execution_role_name: str | None = None,
        batch_job_role_name: str | None = None,
        batch_job_log_group_name: str | None = None,
        vcpu: int | None = None,
        memory: float | None = None,
        num_gpus: int | None = None,
        retry_attempts: int | None = None,
        time_limit: int | None = None,
        poll_freq: float | None = None,
        cache_dir: str | PathLike[str] | None = None,
        container_image_uri: str | None = None,
        *,
        batch_job_definition_name: str | None = None,
        ecr_repo_name: str | None = None,
        endpoint_url: str | None = None,
        environment: dict[str, str] | None = None,
        tags: dict[str, str] | None = None,
        retry_on: str | None = None,
        runnable_timeout: float | None = None,
        s3_bucket_owner: str | None = None,
        s3_kms_key_id: str | None = None,
        s3_cleanup: str | None = None,
        **unknown: Any,
    ) -> None:
        arguments = locals()  # first of all, while it holds nothing else
        given = {name: arguments[name] for name in OPTIONS if arguments[name] is not None}
        check_names(unknown)
        super().__init__()
        if _is_the_section({**given, **unknown}):
            self._assign(resolved({}))
        else:
            self._assign(checked(resolved(given), given).model_dump())

    def _assign(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            setattr(self, name, value)

    def _settings(self) -> Settings:
        """The options as they are now, checked; to be asked when a task begins, for attributes can be assigned.

        Raises:
            SettingsError: As the constructor does.
        """
        return checked({name: getattr(self, name) for name in OPTIONS})

    def to_dict(self) -> dict[str, Any]:
        """The executor as JSON-serialisable values: `type`, `short_name` and `attributes`."""
        attributes = {name: value for name, value in self.__dict__.items() if name not in _RUNTIME_ATTRIBUTES}
        return {"type": str(type(self)), "short_name": self.short_name(), "attributes": copy.deepcopy(attributes)}

    def from_dict(self, object_dict: dict[str, Any] | None) -> AWSBatchExecutor:
        """Take over the attributes of an executor, also of one that another version described.

        Nothing is checked here: the dict may come from a version with other limits, and a task that cannot run says so
        when it begins.

        Args:
            object_dict: What `to_dict` returned. Attributes that are absent stay as they are, former names are
                understood, and unknown attributes are kept for the sake of subclasses. Empty or None changes nothing.

        Returns:
            The executor itself.
        """
        attributes = copy.deepcopy((object_dict or {}).get("attributes", {}))
        for former, name in _FORMER_NAMES.items():
            if former in attributes:
                value = attributes.pop(former)
                attributes.setdefault(name, "" if value is None else value)
        self.__dict__.update({name: value for name, value in attributes.items() if name not in _RUNTIME_ATTRIBUTES})
        return self

    def boto_session_options(self) -> dict[str, str]:
        """Arguments of a `boto3.Session` with this executor's profile and region, for subclasses that use boto3."""
        options = {"profile_name": self.profile, "region_name": self.region}
        return {name: value for name, value in options.items() if value}

    # --- the way of a task ---

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
        job_id = identity = None
        succeeded = False
        try:
            self._settings()
            identity = await self._validate_credentials()
            await self._stop_if_cancelled(task_metadata)
            await self._upload_task(function, args, kwargs, task_metadata)
            await self._stop_if_cancelled(task_metadata)
            job_id = await self._submitted(task_metadata, identity)
            await self.set_job_handle(handle=job_id)
            # A request that came in between found no handle to terminate the job by.
            await self._stop_if_cancelled(task_metadata, job_id)
            await self._poll_task(job_id, task_metadata["dispatch_id"], task_metadata["node_id"])
            result, stdout, stderr = await self.query_result({**task_metadata, "job_id": job_id})
            succeeded = True
        except errors.AWSBatchError as error:
            # Covalent shows a failed electron by its error stream.
            print(error.message, file=self.task_stderr)
            if job_id is not None and isinstance(error, (errors.AccessError, errors.ServiceError)):
                hint = (
                    f"Job {job_id} may go on in queue {self.batch_queue}: `covalent-awsbatch jobs` shows and ends it."
                )
                print(hint, file=self.task_stderr)
            raise
        except asyncio.CancelledError:
            if job_id is not None:
                await asyncio.shield(self.cancel(task_metadata, job_id))
            raise
        finally:
            if identity is not None:  # before that nothing was uploaded
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
            return await client(self._settings()).identity()
        except errors.AWSBatchError:
            if raise_exception:
                raise
            return False

    async def _upload_task(self, function: Any, args: Any, kwargs: Any, task_metadata: dict[str, Any]) -> None:
        """Pickle the call into the bucket."""
        settings = self._settings()
        key = _named(FUNC_FILENAME, task_metadata)
        call = (function, args, kwargs)
        upload = await asyncio.to_thread(transfer.package, client(settings), settings.s3_bucket_name, key, call)
        await upload.finish()

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
        request = {
            "name": _named(JOB_NAME, task_metadata),
            "family": JOB_NAME.format(dispatch_id=task_metadata["dispatch_id"], node_id=""),
            "queue": settings.batch_queue,
            "definition": {
                "name": settings.batch_job_definition_name,
                "image": settings.container_image_uri,
                "job_role": settings.batch_job_role_name,
                "execution_role": settings.batch_execution_role_name,
                "log_group": settings.batch_job_log_group_name,
            },
            "vcpu": settings.vcpu,
            "memory_mib": int(settings.memory * 1024),
            "gpus": settings.num_gpus,
            "retry_attempts": settings.retry_attempts,
            "retry_on": settings.retry_on,
            "time_limit": settings.time_limit,
            "environment": {
                # Nothing else tells a container on EC2 its region, and our runner's S3 client needs one.
                "AWS_REGION": settings.region,
                **settings.environment,
                "S3_BUCKET_NAME": settings.s3_bucket_name,
                "COVALENT_TASK_FUNC_FILENAME": _named(FUNC_FILENAME, task_metadata),
                "RESULT_FILENAME": _named(RESULT_FILENAME, task_metadata),
                **await self._bucket_demands(settings),
            },
            "tags": settings.tags,
        }
        job_id = await client(settings).submit(json.dumps(request))
        _log.info("Submitted %s as job %s", request["name"], job_id)
        return job_id

    @staticmethod
    async def _bucket_demands(settings: Settings) -> dict[str, str]:
        """What the runner in the container is to demand of the bucket, too, as variables."""
        # The container may not be able to ask who owns the job.
        owner = settings.s3_bucket_owner or (await client(settings).identity())["Account"]
        demands = {BUCKET_OWNER: "" if owner == "any" else owner, KMS_KEY: settings.s3_kms_key_id}
        return {name: value for name, value in demands.items() if value}

    async def get_status(self, job_id: str) -> tuple[str, int]:
        """Look at a job once.

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
        job = await connection.end_of(job_id, settings.poll_freq, settings.runnable_timeout)
        if job.status == "SUCCEEDED":
            return
        if job.status == "RUNNABLE":
            await connection.terminate(
                job_id, f"No machine for it within runnable_timeout={settings.runnable_timeout:g}"
            )
            raise await retrieval.never_started(connection, settings, job)
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
            Whether AWS took the request.
        """
        if not job_handle:
            return False
        reason = f"{CANCEL_REASON}: dispatch {task_metadata.get('dispatch_id')}, node {task_metadata.get('node_id')}"
        try:
            await client(self._settings()).terminate(str(job_handle), reason)
        except errors.AWSBatchError as error:
            _log.warning("Job %s could not be terminated: %s", job_handle, error)
            return False
        return True

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

    async def _submitted(self, task_metadata: dict[str, Any], identity: Any) -> str:
        """Submit; if the task is cancelled meanwhile, terminate the job as soon as its id is known."""
        submission = asyncio.ensure_future(self.submit_task(task_metadata, identity))
        try:
            return await asyncio.shield(submission)
        except asyncio.CancelledError:
            submission.add_done_callback(lambda done: self._abandon(done, task_metadata))
            raise

    def _abandon(self, submission: asyncio.Future[str], task_metadata: dict[str, Any]) -> None:
        if not submission.cancelled() and submission.exception() is None:
            task = asyncio.ensure_future(self.cancel(task_metadata, submission.result()))
            _background.add(task)  # asyncio itself keeps no hold on it
            task.add_done_callback(_background.discard)

    async def _clean_up(self, task_metadata: dict[str, Any], succeeded: bool) -> None:
        """Delete the task's objects if that is wished. A failure of this is none of the task."""
        try:
            settings = self._settings()
            if settings.s3_cleanup == "always" or (settings.s3_cleanup == "success" and succeeded):
                keys = task_keys(task_metadata["dispatch_id"], task_metadata["node_id"])
                await asyncio.wait_for(client(settings).delete(settings.s3_bucket_name, keys), _CLEANUP_SECONDS)
        except Exception as error:  # noqa: BLE001
            _log.debug("The objects of %s stay where they are: %r", _named(JOB_NAME, task_metadata), error)

    async def _stop_if_cancelled(self, task_metadata: dict[str, Any], job_id: str | None = None) -> None:
        if await self.get_cancel_requested():
            await self.cancel(task_metadata, job_id)
            raise TaskCancelledError(f"{_named(JOB_NAME, task_metadata)} was cancelled from Covalent.")


def _named(template: str, task_metadata: dict[str, Any]) -> str:
    return template.format(dispatch_id=task_metadata["dispatch_id"], node_id=task_metadata["node_id"])


def _is_the_section(given: dict[str, Any]) -> bool:
    """Whether Covalent itself is calling: with every key of the section and nothing but its values."""
    configured = {name: value for name, value in section().items() if value is not None}
    return bool(configured) and given == configured


def _former(name: str) -> property:
    """An attribute that reads and writes another one; Covalent's base class assigns some of them."""
    return property(
        lambda self: getattr(self, name),
        lambda self, value: setattr(self, name, "" if value is None else value),
        doc=f"The same as `{name}`, by a former name.",
    )


for _name in ("remote_cache", "credentials_file", "execution_role", "log_group_name"):
    setattr(AWSBatchExecutor, _name, _former(_FORMER_NAMES[_name]))
