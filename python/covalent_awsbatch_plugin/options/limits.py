"""What AWS takes for each option: the types of the options, with the checks that make one of what a caller gives.

Sources: the API references of Batch, ECS, S3, IAM, CloudWatch Logs and ECR.
"""

from __future__ import annotations

import json
import math
import numbers
import os
import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from covalent_awsbatch_plugin.agreement.naming import (
    ATTEMPTS_BEFORE,
    BUCKET_OWNER,
    CHECKPOINT,
    ENVIRONMENT,
    ENVIRONMENT_PYTHON,
    INSTALLED,
    KMS_KEY,
    NODE_RESULTS,
    PACKAGES,
    PREVIOUS_JOB,
    SIGNING_KEY,
    SPOT_NOTICE,
)

from . import fargate, packages, pairs

RESERVED_ENVIRONMENT = frozenset(
    {
        "S3_BUCKET_NAME",
        "COVALENT_TASK_FUNC_FILENAME",
        "RESULT_FILENAME",
        BUCKET_OWNER,
        KMS_KEY,
        CHECKPOINT,
        SPOT_NOTICE,
        SIGNING_KEY,
        ENVIRONMENT,
        ENVIRONMENT_PYTHON,
        PACKAGES,
        INSTALLED,
        NODE_RESULTS,
        ATTEMPTS_BEFORE,
        PREVIOUS_JOB,
    }
)
"""Variables by which the executor tells the container what to run; nobody else may set them."""

LARGEST = 2**31 - 1
"""AWS's integers are signed and have 32 bits."""

LONGEST_POLL = 24 * 60 * 60
"""Seconds; who looks less often than once a day does not wait for the job."""

LONGEST_WAIT = 365 * 24 * 60 * 60
"""Seconds; to wait longer than a year for a machine is to wait for ever, which is 0."""

SMALLEST_MEMORY = 4 / 1024
"""GB; Batch takes no less than 4 MiB."""

TOO_MUCH_MEMORY = 4096
"""GB; 4 GB in MiB, which other tools want.

The usual largest machines (x1e with 3,904 GiB, x2iedn with 4,096) leave less than this to a container. Those with more
(u-…, up to 24 TiB) are in no set of machines that Batch picks from by itself, and hardly an electron's.
"""

ENVIRONMENT_CHARACTERS = 6656
"""What a user's variables may have as JSON: ECS takes 8,192 characters of all that a job overrides, and the rest is for
the executor's own variables, however long they are. AWS Batch takes more, and then the job fails."""

_SHOWN_CHARACTERS = 100
_STEP = 0.25  # of a vCPU, which there are but on EC2


def written(value: Any) -> str:
    """A value as Python writes it, or what there is to say of one that Python does not write."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  (an int of more than 4,300 digits; a class of somebody else's)
        return f"<{type(value).__name__}>"


def texts(value: Any, pattern: str) -> str | list[str]:
    """A list of texts, which may be written as JSON or with commas between them; empty if there is none.

    Args:
        value: What was given.
        pattern: What each of them has to match as a whole.

    Raises:
        ValueError: It is no list, or one of them does not match.
    """
    if value == "":
        return ""
    if isinstance(value, str):
        value = json.loads(value) if value.lstrip().startswith("[") else [part.strip() for part in value.split(",")]
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"it is a {type(value).__name__}")  # noqa: TRY004  (pydantic collects ValueErrors only)
    for text in value:
        if not isinstance(text, str) or not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(f"{shown(text)} is not allowed")
    return list(value)


def shown(value: Any) -> str:
    """A value in an error message: as Python writes it, and not too long."""
    text = written(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def whole(value: Any) -> int:
    """A whole number, also as a text.

    Raises:
        ValueError: It is none.
    """
    found = number(value)
    if found != int(found):
        raise ValueError("not a whole number")
    return int(found)


def number(value: Any) -> float:
    """A finite number, also as a text.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, (str, numbers.Real)):
        raise ValueError("not a number")  # noqa: TRY004  (pydantic collects ValueErrors only)
    try:
        found = float(value)
    except OverflowError:  # an int beyond the range of floats
        found = math.inf
    except ValueError:
        raise ValueError("not a number") from None
    if not math.isfinite(found):
        raise ValueError("not a finite number")
    return found


def _vcpu(value: Any) -> float:
    found = number(value)
    return found if found % _STEP == 0 and found % 1 else whole(found)


def _memory(gigabytes: float) -> float:
    if gigabytes < TOO_MUCH_MEMORY:
        return gigabytes
    meant = gigabytes / 1024
    raise ValueError(f"did you mean {meant:.3g} (GB)?" if meant < TOO_MUCH_MEMORY else "out of range")


def _flag(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")  # noqa: TRY004
    return value


def _platform(platform: str, info: ValidationInfo) -> str:
    """Whether what stands before `platform` goes together there; a value that is wrong by itself is told as such."""
    vcpu, memory, gpus = (info.data.get(name) for name in ("vcpu", "memory", "num_gpus"))
    if platform == "EC2" and vcpu is not None and vcpu % 1:
        raise ValueError(f"vcpu={vcpu:g} is no whole number, which it has to be on EC2")
    if platform == "FARGATE":
        if gpus:
            raise ValueError(f"there are no GPUs on Fargate, and num_gpus={gpus}")
        if vcpu is not None and memory is not None:
            fargate.memory(vcpu, memory)
    return platform


def _disk(size: int, info: ValidationInfo) -> int:
    if size and info.data.get("platform") not in ("", "FARGATE", None):
        raise ValueError("it is for Fargate only: elsewhere the compute environment sets the size of the disk")
    if size and size not in fargate.DISK:
        raise ValueError("out of range")
    return size


def _runtime(runtime: str, info: ValidationInfo) -> str:
    if runtime == "image" and info.data.get("container_image_uri") == "":
        raise ValueError("no image is given")
    if runtime == "ecr" and info.data.get("ecr_repo_name") == "":
        raise ValueError("no repository is given")
    return runtime


def _limit(seconds: int) -> int:
    if seconds != 0 and not 60 <= seconds <= LARGEST:
        raise ValueError("out of range")
    return seconds


def _path(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def text(value: str) -> str:
    """A text that UTF-8 and C can hold, and so files, JSON and AWS.

    Raises:
        ValueError: It has a lone surrogate or a NUL character.
    """
    if re.search("[\0\ud800-\udfff]", value):
        raise ValueError("it has a character that no UTF-8 text can hold, or NUL")
    return value


def credentials_path(value: str) -> str:
    """A path, and not the keys themselves, which people have put in its place.

    Raises:
        ValueError: It looks like a key, or like the content of a credentials file. The message does not show it.
    """
    if _KEYS.search(value) or _KEY.fullmatch(value.strip()):
        raise ValueError("it looks like a key itself, and whoever reads Covalent's database could read it there")
    return text(value)


def matching(pattern: str) -> AfterValidator:
    """A check that all of a text matches a pattern, which is compiled once."""
    compiled = re.compile(pattern, re.ASCII)

    def checked(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError("wrong syntax")
        return value

    return AfterValidator(checked)


def _endpoint(value: str) -> str:
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises a ValueError when it is no number up to 65535
    except ValueError:  # which shows what it could not understand, and that may be a password
        raise ValueError("not a URL") from None
    if value and (parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", value)):
        raise ValueError("not a URL")
    if "@" in parts.netloc:
        raise ValueError("it has a user or a password in it")
    return text(value).rstrip("/")


def without_password(url: str) -> str:
    """A URL, or what somebody took for one, without what may be a user and a password."""
    found = re.fullmatch(r"([a-z]*://)?(.*@)?(.*)", url, re.DOTALL | re.IGNORECASE)
    assert found is not None
    scheme, user, rest = found.groups(default="")
    return f"{scheme}{'…@' if user else ''}{re.sub(r':(?![0-9]*(?:[/?#]|$))[^/]*', ':…', rest)}"


def check_variable(name: str) -> None:
    """Whether it can be the name of a variable of the user's.

    Raises:
        ValueError: It cannot.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name):
        raise ValueError(f"{name!r} cannot be the name of a variable")
    if name.startswith("AWS_BATCH"):
        raise ValueError(f"{name} belongs to AWS Batch, like every name that starts with AWS_BATCH")
    if name in RESERVED_ENVIRONMENT:
        raise ValueError(f"{name} is set by the executor itself")


def _environment(variables: Any) -> dict[str, str]:
    checked = _strings(variables)
    for name in checked:
        check_variable(name)
    size = len(json.dumps([{"name": name, "value": value} for name, value in checked.items()]))
    if size > ENVIRONMENT_CHARACTERS:
        raise ValueError(f"it has {size:,} characters and AWS Batch takes {ENVIRONMENT_CHARACTERS:,}")
    return checked


def _tags(tags: Any) -> dict[str, str]:
    checked = _strings(tags)
    if len(checked) > 50:
        raise ValueError(f"there are {len(checked)}")
    for key, value in checked.items():
        if not 1 <= len(key) <= 128 or key.lower().startswith("aws:"):
            raise ValueError(f"{shown(key)} cannot be a key")
        if len(value) > 256:
            raise ValueError(f"the value of {shown(key)} has {len(value)} characters")
        for part, what in ((key, f"the key {shown(key)}"), (value, f"the value of {shown(key)}")):
            if wrong := [character for character in part if not _in_tags(character)]:
                raise ValueError(f"{what} has the character {wrong[0]!r}")
    return checked


def _in_tags(character: str) -> bool:
    r"""Whether it is one of AWS's letters, spaces and digits of any script, or one of its signs.

    The pattern in the references of its tagging APIs is `[\p{L}\p{Z}\p{N}_.:/=+\-@]`.
    """
    return character in "_.:/=+-@" or unicodedata.category(character)[0] in "LZN"


def _strings(value: Any) -> dict[str, str]:
    if isinstance(value, str):  # as Terraform and a flat configuration file have it
        value = pairs.mapping(value)
    if not isinstance(value, Mapping):
        raise ValueError(f"it is a {type(value).__name__}")  # noqa: TRY004
    for name, content in value.items():
        for part, what in ((name, f"the name {shown(name)}"), (content, f"the value of {shown(name)}")):
            if not isinstance(part, str):
                raise ValueError(f"{what} is a {type(part).__name__}")  # noqa: TRY004
            try:
                text(part)
            except ValueError as error:
                raise ValueError(f"{what} is not allowed: {error}") from None
    return dict(value)


# A key's id, alone or with the secret behind it; a secret, which has forty characters of base64 and begins as no path.
_KEY = re.compile(
    r"A[KS]IA[A-Z0-9]{16}(?:[\s:,;=].*)?|(?=.*[A-Z])(?=.*[a-z])(?=.*[0-9])[A-Za-z0-9+][A-Za-z0-9+/]{39}", re.DOTALL
)
# What a credentials file has in it, or what AWS answers.
_KEYS = re.compile(r"[\r\n]|secret_?access_?key|session_?token", re.IGNORECASE)

_ARN = r"arn:aws(?:-[a-z]+)*"
_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}"
QUEUE = rf"{_NAME}|{_ARN}:batch:[a-z0-9-]+:\d{{12}}:job-queue/{_NAME}"
_ROLE_NAME = r"(?:[\w+=,.@-]+/)*[\w+=,.@-]{1,64}"
_ROLE = rf"/?{_ROLE_NAME}|{_ARN}:iam::\d{{12}}:role/{_ROLE_NAME}"
_BUCKET = (
    r"(?!\d+\.\d+\.\d+\.\d+\Z)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
    rf"|{_ARN}:s3(?:-outposts)?:[a-z0-9-]+:\d{{12}}:(?:accesspoint|outpost)[/:][A-Za-z0-9/:-]+"
)
_KMS = rf"{_ARN}:kms:[a-z0-9-]+:\d{{12}}"
_KMS_KEY = rf"|(?:{_KMS}:key/)?[A-Za-z0-9-]{{1,64}}|(?:{_KMS}:)?alias/[\w/-]{{1,250}}"
_ECR_WORD = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
_ECR_NAME = rf"|(?=.{{2,256}}\Z)(?:{_ECR_WORD}/)*{_ECR_WORD}"

FROM_PATH = BeforeValidator(_path)
"""Marks an option that takes a `PathLike` as well as a text."""

Text = Annotated[str, AfterValidator(text)]
Path = Annotated[Text, FROM_PATH]
Credentials = Annotated[str, FROM_PATH, AfterValidator(credentials_path)]
Whole = Annotated[int, BeforeValidator(whole)]
Number = Annotated[float, BeforeValidator(number)]
Flag = Annotated[bool, BeforeValidator(_flag)]

Region = Annotated[str, matching(r"[a-z]{2,}(?:-[a-z]+)+-\d{1,2}")]
Bucket = Annotated[str, matching(_BUCKET)]
BucketOwner = Annotated[str, matching(r"|\d{12}|any")]
KmsKey = Annotated[str, matching(_KMS_KEY)]
Queue = Annotated[str, matching(QUEUE)]
Role = Annotated[str, matching(_ROLE)]
LogGroup = Annotated[str, matching(r"[.\-_/#A-Za-z0-9]{1,512}")]
Image = Annotated[Text, matching(r"\S{0,255}")]
DefinitionName = Annotated[str, matching(_NAME)]
Repository = Annotated[str, matching(_ECR_NAME)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]

Memory = Annotated[Number, AfterValidator(_memory)]
Vcpu = Annotated[int | float, BeforeValidator(_vcpu)]
TimeLimit = Annotated[Whole, AfterValidator(_limit)]
Environment = Annotated[dict[str, str], BeforeValidator(_environment)]
Tags = Annotated[dict[str, str], BeforeValidator(_tags)]
Platform = Annotated[Literal["", "EC2", "FARGATE", "MANAGED_INSTANCES", "EKS"], AfterValidator(_platform)]
Disk = Annotated[Whole, AfterValidator(_disk)]
Packages = Annotated[str | list[str], BeforeValidator(packages.checked), FROM_PATH]
Runtime = Annotated[Literal["auto", "image", "bucket", "ecr"], AfterValidator(_runtime)]
