"""The options as they hang on an executor: plain JSON that Covalent carries from the client to the server and back.

An option that nobody gave stays so: it gets its value where the task runs, from the configuration of that machine as it
is then. What an attribute shows of it before is what it would be here and now.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from covalent_awsbatch_plugin.server import questions

from . import checks, configuration
from .limits import written
from .settings import OPTIONS, Settings

if TYPE_CHECKING:
    from os import PathLike

    from typing_extensions import Self

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
    "_not_given",
}


def _former(name: str) -> property:
    """An attribute that reads and writes another one; Covalent's base class assigns some of them."""
    return property(
        lambda self: getattr(self, name),
        lambda self, value: setattr(self, name, "" if value is None else value),
        doc=f"The same as `{name}`, by a former name.",
    )


class _FormattableDict(dict[str, Any]):
    """A dict that takes a width in an f-string, as texts and numbers do.

    People print `vars(executor)` in columns, and 0.42.0 had no attribute that could not be.
    """

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


def _formattable(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _FormattableDict(value) if isinstance(value, dict) else value for name, value in values.items()}


class Options:
    """Makes options attributes; to be named before Covalent's `RemoteExecutor` among a class's bases.

    `AWSBatchExecutor` describes them.
    """

    if TYPE_CHECKING:

        def short_name(self) -> str:
            """What Covalent calls the executor."""

    credentials: str
    profile: str
    region: str
    s3_bucket_name: str
    batch_queue: str
    batch_execution_role_name: str
    batch_job_role_name: str
    batch_job_log_group_name: str
    vcpu: float
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
    platform: str
    assign_public_ip: bool
    ephemeral_storage: int

    # Options by name that nobody gave, with the values that they show; empty for an executor that 1.0.0 pickled.
    _not_given: dict[str, Any] = {}  # noqa: RUF012  (it is replaced and never changed)

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
        vcpu: float | None = None,
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
        platform: str | None = None,
        assign_public_ip: bool | None = None,
        ephemeral_storage: int | None = None,
        **unknown: Any,
    ) -> None:
        """Every option that is left out, or None, gets its value where and when the task runs.

        Args:
            credentials: Path of a shared credentials file, never the keys themselves; empty (default) for the SDK's own
                place.
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
            poll_freq: Seconds that a job's end may go unnoticed, up to 86,400; default 10. Up to 500 running jobs it is
                one at most.
            cache_dir: Directory for temporary files; default `/tmp/covalent`. Accepted for the sake of older workflows.
            container_image_uri: Image of the container; default
                `public.ecr.aws/covalent/covalent-executor-base:stable`.
            batch_job_definition_name: Name of the job definition; default `covalent-batch-jobs`.
            ecr_repo_name: Name of an ECR repository; empty by default.
            endpoint_url: URL of an AWS-compatible service; empty (default) for AWS.
            environment: Environment variables of the container beside the executor's own; none by default. They stand
                in plain text in Covalent's database and in what AWS Batch says of the job: a secret belongs into
                Secrets Manager or the SSM Parameter Store, where the function reads it with the job role.
            tags: Tags of the job; none by default.
            retry_on: Which failures of an attempt are followed by another one: `any` (default), or `infrastructure` for
                all but those of a container that ran and exited, so for no exception of the function.
            runnable_timeout: Seconds that a job may wait for a machine before the task gives up, up to 31,536,000; 0
                (default) for ever.
            s3_bucket_owner: Account that the bucket has to belong to, as twelve digits; empty (default) for the one of
                the credentials, `any` for no check.
            s3_kms_key_id: KMS key (id, ARN or alias) for what is written to the bucket; empty (default) for the
                bucket's own encryption. The container's program follows it if it is this package's runner.
            s3_cleanup: When a task's objects are deleted: `never` (default), on `success`, or `always`.
            platform: `EC2` (default) or `FARGATE`, as the compute environments behind the queue are.
            assign_public_ip: Whether a container on Fargate gets an address on the internet; default True. Without one
                it pulls images and reaches S3 from private subnets only, by a NAT gateway or by endpoints.
            ephemeral_storage: GB of a container's disk on Fargate, 21 to 200; 0 (default) for Fargate's own 20.
            **unknown: Keys that another version left in the configuration: not used, with one warning.

        Raises:
            SettingsError: Values that AWS would refuse, all of them in one message. What comes from the configuration
                is checked when a task runs, and so is whether it goes together with what was given.
            TypeError: A keyword that is no option.
        """
        arguments = locals()  # first of all, while it holds nothing else
        given = {name: arguments[name] for name in OPTIONS if arguments[name] is not None}
        checks.check_names(unknown)
        super().__init__()
        if _is_the_section({**given, **unknown}):
            given = {}
        values = {**configuration.resolved({}), **checks.check_given(given)}
        for name, value in _formattable(values).items():
            setattr(self, name, value)
        self._not_given = _FormattableDict(copy.deepcopy({name: values[name] for name in OPTIONS if name not in given}))

    def __setattr__(self, name: str, value: Any) -> None:
        """Assigns an attribute; an option that is assigned is given."""
        super().__setattr__(name, value)
        if name in self._not_given:
            del self._not_given[name]

    def _given(self) -> dict[str, Any]:
        """The options that were given to the constructor, assigned, or changed in place, with their values now."""
        return {name: getattr(self, name) for name in OPTIONS if self._is_given(name)}

    def _is_given(self, name: str) -> bool:
        return name not in self._not_given or written(self._not_given[name]) != written(getattr(self, name))

    def _resolve(self) -> Settings:
        """Gives what was not given its value, for the whole of the task that begins; the configuration may change.

        Raises:
            SettingsError: As `_settings`.
        """
        settings = self._settings()
        for name in list(self._not_given):
            value = getattr(settings, name)
            setattr(self, name, _FormattableDict(value) if isinstance(value, dict) else value)
        return settings

    def _settings(self) -> Settings:
        """The options for a task that begins now, here: what was given, and this machine's configuration as it is now.

        Raises:
            SettingsError: A value is not allowed, as in the constructor, or one of the configuration is not.
        """
        given = self._given()
        return checks.checked(configuration.resolved(given), given)

    def to_dict(self) -> dict[str, Any]:
        """The executor as JSON-serialisable values: `type`, `short_name` and `attributes`.

        Options that were not given are no attributes: whoever reads it fills them in.
        """
        attributes = {
            name: copy.deepcopy(dict(value) if isinstance(value, _FormattableDict) else value)
            for name, value in self.__dict__.items()
            if name not in _RUNTIME_ATTRIBUTES and (name not in OPTIONS or self._is_given(name))
        }
        return {"type": str(type(self)), "short_name": self.short_name(), "attributes": attributes}

    def from_dict(self, object_dict: dict[str, Any] | None) -> Self:
        """Take over the attributes of an executor, also of one that another version described.

        Nothing is checked here: the dict may come from a version with other limits, and a task that cannot run says so
        when it begins.

        Args:
            object_dict: What `to_dict` returned. Attributes that are absent stay as they are, former names are
                understood, and unknown attributes are kept for the sake of subclasses. Empty or None changes nothing;
                nor does what another executor returned, which Covalent hands over with a sublattice that names this
                one inside a lattice with that one.

        Returns:
            The executor itself.
        """
        described = object_dict or {}
        if described.get("short_name", self.short_name()) != self.short_name():
            return self
        attributes = copy.deepcopy(described.get("attributes", {}))
        for former, name in _FORMER_NAMES.items():
            if former in attributes:
                value = attributes.pop(former)
                attributes.setdefault(name, "" if value is None else value)
        kept = {name: value for name, value in attributes.items() if name not in _RUNTIME_ATTRIBUTES}
        for name, value in _formattable(kept).items():
            self.__dict__[name] = value
            if name in self._not_given:
                del self._not_given[name]
        return self

    def boto_session_options(self) -> dict[str, str]:
        """Arguments of a `boto3.Session` with this executor's profile and region, for subclasses that use boto3."""
        options = {"profile_name": self.profile, "region_name": self.region}
        return {name: value for name, value in options.items() if value}

    # A base class of Covalent's assigns some of them.
    remote_cache = _former(_FORMER_NAMES["remote_cache"])
    credentials_file = _former(_FORMER_NAMES["credentials_file"])
    execution_role = _former(_FORMER_NAMES["execution_role"])
    log_group_name = _former(_FORMER_NAMES["log_group_name"])


def _is_the_section(given: dict[str, Any]) -> bool:
    """Whether Covalent itself is calling: with every key of the section and nothing but its values."""
    configured = {name: value for name, value in configuration.section().items() if value is not None}
    return bool(configured) and given == configured
