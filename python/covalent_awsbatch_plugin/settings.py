"""The executor's options: their names, defaults and limits, and where the value of each comes from.

A value comes from the call, else from the section `[executors.awsbatch]` of Covalent's configuration, else from the
defaults below. The limits are those of AWS: the API references of Batch, S3, IAM, CloudWatch Logs and ECR.
"""

from __future__ import annotations

import copy
import difflib
import json
import logging
import math
import numbers
import os
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from .naming import BUCKET_OWNER, KMS_KEY

SECTION = "executors.awsbatch"
"""The section of Covalent's configuration that holds what a call leaves out."""

RESERVED_ENVIRONMENT = frozenset(
    {"S3_BUCKET_NAME", "COVALENT_TASK_FUNC_FILENAME", "RESULT_FILENAME", BUCKET_OWNER, KMS_KEY}
)
"""Variables by which the executor tells the container what to run; nobody else may set them."""

_LARGEST = 2**31 - 1  # AWS's integers are signed and have 32 bits
_SMALLEST_MEMORY = 4 / 1024  # Batch: no less than 4 MiB
_ENVIRONMENT_CHARACTERS = 7168  # of the 8,192 that ECS accepts for all overrides together
_SHOWN_CHARACTERS = 100

_log = logging.getLogger(__name__)
_reported: set[frozenset[str]] = set()  # sets of unknown keys that this process was warned of


def _whole(value: Any) -> int:
    number = _number(value)
    if number != int(number):
        raise ValueError("not a whole number")
    return int(number)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (str, numbers.Real)):
        raise ValueError("not a number")  # noqa: TRY004  (pydantic collects ValueErrors only)
    try:
        number = float(value)
    except OverflowError:  # an int beyond the range of floats
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


def _limit(seconds: int) -> int:
    if seconds != 0 and not 60 <= seconds <= _LARGEST:
        raise ValueError("out of range")
    return seconds


def _path(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _matching(pattern: str) -> AfterValidator:
    compiled = re.compile(pattern, re.ASCII)

    def checked(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError("wrong syntax")
        return value

    return AfterValidator(checked)


def _endpoint(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", value)):
        raise ValueError("not a URL")
    _ = parts.port  # raises a ValueError when it is no number up to 65535
    return value.rstrip("/")


def _environment(variables: Any) -> dict[str, str]:
    checked = _strings(variables)
    for name, value in checked.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name):
            raise ValueError(f"{name!r} cannot be the name of a variable")
        if name.startswith("AWS_BATCH"):
            raise ValueError(f"{name} belongs to AWS Batch, like every name that starts with AWS_BATCH")
        if name in RESERVED_ENVIRONMENT:
            raise ValueError(f"{name} is set by the executor itself")
        if "\0" in value:
            raise ValueError(f"the value of {name} contains a NUL character")
    size = len(json.dumps([{"name": name, "value": value} for name, value in checked.items()]))
    if size > _ENVIRONMENT_CHARACTERS:
        raise ValueError(f"it has {size:,} characters and AWS Batch takes {_ENVIRONMENT_CHARACTERS:,}")
    return checked


def _tags(tags: Any) -> dict[str, str]:
    checked = _strings(tags)
    if len(checked) > 50:
        raise ValueError(f"there are {len(checked)}")
    for key, value in checked.items():
        if not 1 <= len(key) <= 128 or key.lower().startswith("aws:"):
            raise ValueError(f"{_shown(key)} cannot be a key")
        if len(value) > 256:
            raise ValueError(f"the value of {key!r} has {len(value)} characters")
    return checked


def _strings(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError(f"it is a {type(value).__name__}")  # noqa: TRY004
    for name, text in value.items():
        if not isinstance(name, str):
            raise ValueError(f"the name {_shown(name)} is a {type(name).__name__}")  # noqa: TRY004
        if not isinstance(text, str):
            raise ValueError(f"the value of {name!r} is a {type(text).__name__}")  # noqa: TRY004
    return dict(value)


_ARN = r"arn:aws(?:-[a-z]+)*"
_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}"
_QUEUE = rf"{_NAME}|{_ARN}:batch:[a-z0-9-]+:\d{{12}}:job-queue/{_NAME}"
_ROLE_NAME = r"(?:[\w+=,.@-]+/)*[\w+=,.@-]{1,64}"
_ROLE = rf"/?{_ROLE_NAME}|{_ARN}:iam::\d{{12}}:role/{_ROLE_NAME}"
_ROLE_RULE = "must be the name of an IAM role (up to 64 letters, digits and _+=,.@-, after its path if any) or its ARN"
_BUCKET = (
    r"(?!\d+\.\d+\.\d+\.\d+\Z)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
    rf"|{_ARN}:s3(?:-outposts)?:[a-z0-9-]+:\d{{12}}:(?:accesspoint|outpost)[/:][A-Za-z0-9/:-]+"
)
_KMS = rf"{_ARN}:kms:[a-z0-9-]+:\d{{12}}"
_KMS_KEY = rf"|(?:{_KMS}:key/)?[A-Za-z0-9-]{{1,64}}|(?:{_KMS}:)?alias/[\w/-]{{1,250}}"
_ECR_WORD = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
_ECR_NAME = rf"|(?=.{{2,256}}\Z)(?:{_ECR_WORD}/)*{_ECR_WORD}"

_Path = Annotated[str, BeforeValidator(_path)]
_Whole = Annotated[int, BeforeValidator(_whole)]
_Number = Annotated[float, BeforeValidator(_number)]


class Settings(BaseModel):
    """The options of one executor, checked: types, units, defaults, and in the descriptions what is allowed.

    Numbers may be written as strings, as configuration files have them; a bool is never a number.

    Raises:
        pydantic.ValidationError: A value is not allowed. `checked` makes one readable message of it.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    credentials: _Path = Field(
        default="", description="must be the path of a credentials file, or empty for the SDK's own"
    )
    profile: str = Field(
        default="", description="must be the name of an AWS profile, or empty for AWS_PROFILE or 'default'"
    )
    region: Annotated[str, _matching(r"[a-z]{2,}(?:-[a-z]+)+-\d{1,2}")] = Field(
        default="us-east-1", description="must be the name of an AWS region, such as 'eu-central-1'"
    )
    s3_bucket_name: Annotated[str, _matching(_BUCKET)] = Field(
        default="covalent-batch-job-resources",
        description="must be the name of an S3 bucket (3 to 63 lower-case letters, digits, dots and hyphens) or the "
        "ARN of an access point",
    )
    batch_queue: Annotated[str, _matching(_QUEUE)] = Field(
        default="covalent-batch-queue",
        description="must be the name of a job queue (up to 128 letters, digits, hyphens and underscores) or its ARN",
    )
    batch_execution_role_name: Annotated[str, _matching(_ROLE)] = Field(
        default="ecsTaskExecutionRole", description=_ROLE_RULE
    )
    batch_job_role_name: Annotated[str, _matching(_ROLE)] = Field(
        default="CovalentBatchJobRole", description=_ROLE_RULE
    )
    batch_job_log_group_name: Annotated[str, _matching(r"[.\-_/#A-Za-z0-9]{1,512}")] = Field(
        default="covalent-batch-job-logs",
        description="must be the name of a log group (up to 512 letters, digits and ._-/#)",
    )
    vcpu: _Whole = Field(default=2, ge=1, le=_LARGEST, description="must be a whole number of vCPUs, 1 or more")
    memory: _Number = Field(
        default=3.75, ge=_SMALLEST_MEMORY, le=_LARGEST / 1024, description="must be GB, 0.00390625 (4 MiB) or more"
    )
    num_gpus: _Whole = Field(default=0, ge=0, le=_LARGEST, description="must be a whole number of GPUs, 0 for none")
    retry_attempts: _Whole = Field(default=3, ge=1, le=10, description="must be a whole number from 1 (no retry) to 10")
    time_limit: Annotated[_Whole, AfterValidator(_limit)] = Field(
        default=300, description="must be whole seconds, 60 or more, or 0 for no limit"
    )
    poll_freq: _Number = Field(
        default=10, gt=0, description="must be the seconds between two looks at a job, more than 0"
    )
    cache_dir: _Path = Field(default="/tmp/covalent", description="must be the path of a directory")  # noqa: S108
    container_image_uri: Annotated[str, _matching(r"\S{1,255}")] = Field(
        default="public.ecr.aws/covalent/covalent-executor-base:stable",
        description="must be the address of a container image (up to 255 characters, no spaces)",
    )
    batch_job_definition_name: Annotated[str, _matching(_NAME)] = Field(
        default="covalent-batch-jobs",
        description="must be the name of a job definition (up to 128 letters, digits, hyphens and underscores)",
    )
    ecr_repo_name: Annotated[str, _matching(_ECR_NAME)] = Field(
        default="",
        description="must be empty or the name of an ECR repository (2 to 256 lower-case letters and digits, with "
        "single . _ - / between them)",
    )
    endpoint_url: Annotated[str, AfterValidator(_endpoint)] = Field(
        default="", description="must be a URL that starts with http:// or https://, or empty for AWS itself"
    )
    environment: Annotated[dict[str, str], BeforeValidator(_environment)] = Field(
        default={}, repr=False, description="must be a dict of strings: the names and values of environment variables"
    )
    tags: Annotated[dict[str, str], BeforeValidator(_tags)] = Field(
        default={},
        description="must be a dict of strings: up to 50 tags, keys of 1 to 128 characters that do not start with "
        "'aws:', values of up to 256 characters",
    )
    retry_on: Literal["any", "infrastructure"] = Field(
        default="any",
        description="must be 'any' (an attempt that failed is followed by another, whatever happened) or "
        "'infrastructure' (only after a lost host or trouble with the container, not after an exception)",
    )
    runnable_timeout: _Number = Field(
        default=0, ge=0, description="must be the seconds that a job may wait for a machine, or 0 to wait for ever"
    )
    s3_bucket_owner: Annotated[str, _matching(r"|\d{12}|any")] = Field(
        default="",
        description="must be the account that the bucket belongs to (twelve digits), empty for the one of the "
        "credentials, or 'any' not to check it",
    )
    s3_kms_key_id: Annotated[str, _matching(_KMS_KEY)] = Field(
        default="",
        description="must be the id, the ARN or the alias (alias/…) of a KMS key, or empty for the bucket's own "
        "encryption",
    )
    s3_cleanup: Literal["never", "success", "always"] = Field(
        default="never",
        description="must be 'never', 'success' (delete the objects of a task that succeeded) or 'always'",
    )

    def connection(self) -> str:
        """What `_core.Client` needs, as JSON; a `~` in the path of the credentials stands for this machine's home."""
        return json.dumps(
            {
                "profile": self.profile,
                "region": self.region,
                "credentials": os.path.expanduser(self.credentials),  # noqa: PTH111  (empty stays empty)
                "endpoint_url": self.endpoint_url,
            }
        )


class ExecutorPluginDefaults(Settings):
    """The options as `covalent deploy` sees them: it writes None where Terraform says `null`, for the default."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: Any) -> Any:
        return {name: value for name, value in values.items() if value is not None} if values else values


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
    return copy.deepcopy({**DEFAULTS, **configured, **given})


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
        return Settings(**values)
    except ValidationError as error:
        problems = error.errors(include_url=False)
    configured = section()
    lines = []
    for problem in problems:
        name = str(problem["loc"][0])
        inherited = name not in given and name in configured and configured[name] == values[name]
        origin = f" (section [{SECTION}] of {_configuration_file()})" if inherited else ""
        lines.append(f"{_subject(name, values[name], problem)}{origin}: {Settings.model_fields[name].description}")
    heading = "" if len(lines) == 1 else f"{len(lines)} options cannot work:\n- "
    from .errors import SettingsError

    raise SettingsError("AWSBatchExecutor: " + heading + "\n- ".join(lines))


def check_names(unknown: Collection[str]) -> None:
    """Tell a typing error from a key that another version left in the configuration.

    Covalent passes the whole section as keywords whenever an executor is given by its name, and the server does so for
    every task. Hence keys of the section that are no options get one warning per process, in one line for all of them.

    Args:
        unknown: Keywords of a call that are no options.

    Raises:
        TypeError: One of them does not stand in the section either.
    """
    configured = section()
    for name in unknown:
        if name not in configured:
            close = difflib.get_close_matches(name, OPTIONS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the options are {', '.join(OPTIONS)}."
            raise TypeError(f"AWSBatchExecutor has no option {name!r}: {hint}")
    ignored = frozenset(configured.keys() - DEFAULTS.keys())
    if ignored and ignored not in _reported:
        _reported.add(ignored)
        names = ", ".join(sorted(ignored))
        _log.warning("Section [%s] of %s: not used: %s", SECTION, _configuration_file(), names)


def _configuration_file() -> str:
    from covalent._shared_files.config import get_config

    return str(get_config("sdk.config_file"))


def _subject(name: str, value: Any, problem: Mapping[str, Any]) -> str:
    if name in ("environment", "tags"):  # the validator has named the entry, and shows no value of a variable
        return f"{name} is not allowed ({problem['msg'].removeprefix('Value error, ')})"
    if name == "credentials":  # people may have put the keys themselves here
        return f"{name} is not allowed (it is a {type(value).__name__})"
    return f"{name}={_shown(value)} is not allowed"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
