"""The executor's options: their names, defaults and limits, and where the value of each comes from.

A value comes from the call, else from the section `[executors.awsbatch]` of Covalent's configuration, else from the
defaults below.
"""

from __future__ import annotations

import copy
import functools
import json
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from . import fargate, keywords, limits

if TYPE_CHECKING:
    from covalent_awsbatch_plugin.errors import SettingsError

SECTION = "executors.awsbatch"
"""The section of Covalent's configuration that holds what a call leaves out."""

_ROLE_RULE = "must be the name of an IAM role (up to 64 letters, digits and _+=,.@-, after its path if any) or its ARN"

_log = logging.getLogger(__name__)
_CHECKED = 256
_IMMUTABLE = (str, int, float)
# What was found right, by its text: a thousand tasks have the same options, and ask often.
_checked: dict[str, Settings] = {}
_checked_given: dict[str, dict[str, Any]] = {}
_reported: set[frozenset[str]] = set()  # sets of unknown keys that this process was warned of


class Settings(BaseModel):
    """The options of one executor, checked: types, units, defaults, and in the descriptions what is allowed.

    Numbers may be written as strings, as configuration files have them; a bool is never a number.

    Raises:
        pydantic.ValidationError: A value is not allowed. `checked` makes one readable message of it.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    credentials: limits.Credentials = Field(
        default="", repr=False, description="must be the path of a credentials file, or empty for the SDK's own"
    )
    profile: limits.Text = Field(
        default="", description="must be the name of an AWS profile, or empty for AWS_PROFILE or 'default'"
    )
    region: limits.Region = Field(
        default="us-east-1", description="must be the name of an AWS region, such as 'eu-central-1'"
    )
    s3_bucket_name: limits.Bucket = Field(
        default="covalent-batch-job-resources",
        description="must be the name of an S3 bucket (3 to 63 lower-case letters, digits, dots and hyphens) or the "
        "ARN of an access point",
    )
    batch_queue: limits.Queue = Field(
        default="covalent-batch-queue",
        description="must be the name of a job queue (up to 128 letters, digits, hyphens and underscores) or its ARN",
    )
    batch_execution_role_name: limits.Role = Field(default="ecsTaskExecutionRole", description=_ROLE_RULE)
    batch_job_role_name: limits.Role = Field(default="CovalentBatchJobRole", description=_ROLE_RULE)
    batch_job_log_group_name: limits.LogGroup = Field(
        default="covalent-batch-job-logs",
        description="must be the name of a log group (up to 512 letters, digits and ._-/#)",
    )
    vcpu: limits.Vcpu = Field(
        default=2,
        ge=0.25,
        le=limits.LARGEST,
        description="must be a whole number of vCPUs, 1 or more; on Fargate also 0.25 or 0.5",
    )
    memory: limits.Memory = Field(
        default=3.75,
        ge=limits.SMALLEST_MEMORY,
        description="must be a number of GB, such as 4; at least 0.00390625 (4 MiB) and less than 4,096",
    )
    num_gpus: limits.Whole = Field(
        default=0, ge=0, le=limits.LARGEST, description="must be a whole number of GPUs, 0 for none"
    )
    retry_attempts: limits.Whole = Field(
        default=3, ge=1, le=10, description="must be a whole number from 1 (no retry) to 10"
    )
    time_limit: limits.TimeLimit = Field(
        default=300, description="must be whole seconds, 60 or more, or 0 for no limit"
    )
    poll_freq: limits.Number = Field(
        default=10,
        gt=0,
        le=limits.LONGEST_POLL,
        description="must be the seconds that a job's end may go unnoticed, more than 0 and at most 86,400 (a day)",
    )
    cache_dir: limits.Path = Field(default="/tmp/covalent", description="must be the path of a directory")  # noqa: S108
    container_image_uri: limits.Image = Field(
        default="public.ecr.aws/covalent/covalent-executor-base:stable",
        description="must be the address of a container image (up to 255 characters, no spaces)",
    )
    batch_job_definition_name: limits.DefinitionName = Field(
        default="covalent-batch-jobs",
        description="must be the name of a job definition (up to 128 letters, digits, hyphens and underscores)",
    )
    ecr_repo_name: limits.Repository = Field(
        default="",
        description="must be empty or the name of an ECR repository (2 to 256 lower-case letters and digits, with "
        "single . _ - / between them)",
    )
    endpoint_url: limits.Endpoint = Field(
        default="",
        description="must be a URL that starts with http:// or https://, without user and password, or empty for AWS "
        "itself",
    )
    environment: limits.Environment = Field(
        default={}, repr=False, description="must be a dict of strings: the names and values of environment variables"
    )
    tags: limits.Tags = Field(
        default={},
        description="must be a dict of strings: up to 50 tags, keys of 1 to 128 characters that do not start with "
        "'aws:', values of up to 256 characters, all of them letters, digits, spaces and + - = . _ : / @",
    )
    retry_on: Literal["any", "infrastructure"] = Field(
        default="any",
        description="must be 'any' (an attempt that failed is followed by another, whatever happened) or "
        "'infrastructure' (unless a container ran and exited, so not after an exception)",
    )
    runnable_timeout: limits.Number = Field(
        default=0,
        ge=0,
        le=limits.LONGEST_WAIT,
        description="must be the seconds that a job may wait for a machine, at most 31,536,000 (a year), or 0 to wait "
        "for ever",
    )
    s3_bucket_owner: limits.BucketOwner = Field(
        default="",
        description="must be the account that the bucket belongs to (twelve digits), empty for the one of the "
        "credentials, or 'any' not to check it",
    )
    s3_kms_key_id: limits.KmsKey = Field(
        default="",
        description="must be the id, the ARN or the alias (alias/…) of a KMS key, or empty for the bucket's own "
        "encryption",
    )
    s3_cleanup: Literal["never", "success", "always"] = Field(
        default="never",
        description="must be 'never', 'success' (delete the objects of a task that succeeded) or 'always'",
    )
    platform: limits.Platform = Field(
        default="EC2",
        validate_default=True,
        description="must be 'EC2' or 'FARGATE', as the compute environments behind the queue are; Fargate has no "
        "GPUs, and memory that goes with vcpu",
    )
    assign_public_ip: limits.Flag = Field(
        default=True,
        description="must be True or False: whether a container on Fargate gets an address on the internet",
    )
    ephemeral_storage: limits.Disk = Field(
        default=0, description="must be GB of a container's disk on Fargate, 21 to 200, or 0 for Fargate's own 20"
    )

    @property
    def memory_mib(self) -> int:
        """What a job asks Batch for: on Fargate the next size that it has for these vCPUs."""
        return fargate.memory(self.vcpu, self.memory) if self.platform == "FARGATE" else int(self.memory * 1024)

    def connection(self, interactive: bool = False) -> str:
        """What `_core.Client` needs, as JSON; a `~` in the path of the credentials stands for this machine's home.

        Args:
            interactive: Whether it is for a command that a person waits for.
        """
        return json.dumps(
            {
                "profile": self.profile,
                "region": self.region,
                "credentials": os.path.expanduser(self.credentials),  # noqa: PTH111  (empty stays empty)
                "endpoint_url": self.endpoint_url,
                "interactive": interactive,
            }
        )


class ExecutorPluginDefaults(Settings):
    """The options as `covalent deploy` sees them: it writes None where Terraform says `null`, for the default."""

    model_config = ConfigDict(defer_build=True)  # that command is the only one to build it, and everybody imports it

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        return {name: value for name, value in (values or {}).items() if value is not None}


OPTIONS = tuple(Settings.model_fields)
"""The names of the options, in the order of the constructor."""

DEFAULTS: Mapping[str, Any] = Settings().model_dump()
"""The default of every option."""


def section() -> dict[str, Any]:
    """Covalent's configuration of this executor as it stands there; empty if there is none."""
    from covalent._shared_files.config import get_config

    try:
        entries = get_config(SECTION)
    except (KeyError, TypeError):
        return {}
    return dict(entries) if isinstance(entries, Mapping) else {}


def resolved(given: Mapping[str, Any]) -> dict[str, Any]:
    """Give every option a value: the call's, else the configuration's, else the default. Nothing is checked.

    In the configuration an empty string says nothing: older versions wrote one for each option that was not set.

    Args:
        given: The values of the call, without those not given; all of them count, also 0, "" and False.
    """
    configured = {name: value for name, value in section().items() if name in DEFAULTS and value not in (None, "")}
    values = {**DEFAULTS, **configured, **given}
    # The caller's own dicts stay the caller's; nothing else can be changed in place.
    return {name: value if isinstance(value, _IMMUTABLE) else copy.deepcopy(value) for name, value in values.items()}


def check_given(given: Mapping[str, Any]) -> dict[str, Any]:
    """Check what a caller gives, and leave alone what the configuration says: it may not be the one that will count.

    Args:
        given: Values by name of the option.

    Returns:
        The values as an executor keeps them: numbers as numbers, paths as texts.

    Raises:
        SettingsError: As `checked`, for these options.
    """
    text = _text(given)
    if text not in _checked_given:
        try:
            settings = _partial()(**given)
        except ValidationError as error:
            raise _refusal(error.errors(include_url=False), given, given) from None
        _remember(_checked_given, text, {name: getattr(settings, name) for name in given})
    return copy.deepcopy(_checked_given[text])


@functools.cache
def _partial() -> type[BaseModel]:
    """The model of some of the options: those that are absent are None, and are not held against the others."""
    fields: dict[str, Any] = {
        name: (Annotated.__class_getitem__((field.annotation, *field.metadata, None)), None)  # type: ignore[attr-defined]
        for name, field in Settings.model_fields.items()
    }
    return create_model("GivenSettings", __config__=Settings.model_config, **fields)


def checked(values: Mapping[str, Any], given: Collection[str] = ()) -> Settings:
    """Check a value for every option.

    Args:
        values: Values by name of the option.
        given: Options whose values surely come from the caller. Of the others the message says that they stand in the
            configuration, if they do.

    Raises:
        SettingsError: One line for each value that cannot work: option, value, and what is allowed.
    """
    try:
        return _settings(values)
    except ValidationError as error:
        problems = error.errors(include_url=False)
    raise _refusal(problems, values, given)


def _settings(values: Mapping[str, Any]) -> Settings:
    text = _text(values)
    if text not in _checked:
        _remember(_checked, text, Settings(**values))
    return _checked[text]


def _text(values: Mapping[str, Any]) -> str:
    # Unlike an equal dict it tells True from 1.
    return ", ".join(f"{name}={limits.written(value)}" for name, value in values.items())


def _remember(found: dict[str, Any], text: str, settings: Any) -> None:
    if len(found) >= _CHECKED:
        found.clear()
    found[text] = settings


def _refusal(problems: Sequence[Any], values: Mapping[str, Any], given: Collection[str]) -> SettingsError:
    configured = section()
    lines = []
    for problem in problems:
        name = str(problem["loc"][0])
        inherited = name not in given and name in configured
        # By their texts: what somebody gives may not be comparable.
        inherited = inherited and limits.written(configured[name]) == limits.written(values[name])
        origin = f" (section [{SECTION}] of {_configuration_file()})" if inherited else ""
        lines.append(f"{_subject(name, values[name], problem)}{origin}: {Settings.model_fields[name].description}")
    heading = "" if len(lines) == 1 else f"{len(lines)} options cannot work:\n- "
    from covalent_awsbatch_plugin.errors import SettingsError

    return SettingsError("AWSBatchExecutor: " + heading + "\n- ".join(lines))


def check_names(unknown: Collection[str]) -> None:
    """Tell a typing error from a key that another version left in the configuration.

    Covalent passes the whole section as keywords whenever an executor is given by its name, and the server does so for
    every task. Hence keys of the section that are no options get one warning per process, in one line for all of them.

    Args:
        unknown: Keywords of a call that are no options.

    Raises:
        TypeError: Some of them do not stand in the section either; all of these in one message.
    """
    configured = section()
    if wrong := [name for name in unknown if name not in configured]:
        raise TypeError(keywords.refusal(wrong, OPTIONS))
    ignored = frozenset(configured.keys() - DEFAULTS.keys())
    if ignored and ignored not in _reported:
        _reported.add(ignored)
        names = ", ".join(sorted(ignored))
        _log.warning("Section [%s] of %s: not used: %s", SECTION, _configuration_file(), names)


def _configuration_file() -> str:
    from covalent._shared_files.config import get_config

    return str(get_config("sdk.config_file"))


def _subject(name: str, value: Any, problem: Mapping[str, Any]) -> str:
    why = problem["msg"].removeprefix("Value error, ")
    if name in ("environment", "tags"):  # the validator has named the entry, and shows no value of a variable
        return f"{name} is not allowed ({why})"
    if name == "credentials":  # people have put the keys themselves here
        return f"{name} is not allowed ({f'it is a {type(value).__name__}' if not isinstance(value, str) else why})"
    if name == "endpoint_url" and isinstance(value, str):
        value = limits.without_password(value)
    if name in ("memory", "platform", "ephemeral_storage") and problem["type"] == "value_error":
        return f"{name}={limits.shown(value)} is not allowed ({why})"
    return f"{name}={limits.shown(value)} is not allowed"
