"""The rights that the executor needs: a table of every AWS call, and IAM policies that are generated from it.

A test fails if the core makes a call that is missing in this table.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from covalent_awsbatch_plugin.errors import AWSBatchError, unanswered
from covalent_awsbatch_plugin.options.checks import checked
from covalent_awsbatch_plugin.options.configuration import resolved
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.task.connection import client


@dataclass(frozen=True)
class Right:
    """An IAM action and what it is needed for.

    Attributes:
        sid: The statement that it stands in.
        action: IAM's name of it.
        resource: What it is needed on: a key of `resources`.
        calls: The API operations that need it, where they are not named as the action.
        without: What becomes worse without it; empty if no task can run.
    """

    sid: str
    action: str
    resource: str
    calls: tuple[str, ...] = ()
    without: str = ""

    @property
    def operations(self) -> tuple[str, ...]:
        """The API operations that need it, such as `s3:UploadPart`."""
        return self.calls or (self.action,)


_REASONS = "a job that cannot start does not say why"
_PLATFORM = f"{_REASONS}, and a queue of Fargate needs platform='FARGATE'"
_WRITES = ("s3:PutObject", "s3:CopyObject", "s3:CreateMultipartUpload", "s3:UploadPart", "s3:CompleteMultipartUpload")
_READS = ("s3:GetObject", "s3:HeadObject")
_ENDS = ("batch:TerminateJob", "batch:TerminateJobs")
_LISTS = (*_READS, "s3:ListObjectsV2")
_PARTS = "parts of an upload that broke off stay in the bucket, and cost"
_IMAGE = "no image is made, and jobs get their packages from the bucket"

USER = (
    Right("Watch", "batch:DescribeComputeEnvironments", "any", without=_REASONS),
    Right("Watch", "batch:DescribeJobDefinitions", "any", without="each process registers a revision an image"),
    Right("Watch", "batch:DescribeJobQueues", "any", without=_PLATFORM),
    Right("Watch", "batch:DescribeJobs", "any"),
    Right("Watch", "batch:ListJobs", "any", without="a lost answer to SubmitJob ends the task"),
    Right("Register", "batch:RegisterJobDefinition", "definition"),
    Right("Submit", "batch:SubmitJob", "submission"),
    Right("Jobs", "batch:TagResource", "jobs", ("batch:SubmitJob",), without="a job with tags cannot be submitted"),
    Right("Jobs", "batch:TerminateJob", "jobs", _ENDS, without="a job that was cancelled runs on, and costs"),
    Right("Roles", "iam:PassRole", "roles", ("batch:RegisterJobDefinition",)),
    Right("Objects", "s3:AbortMultipartUpload", "objects", without=_PARTS),
    Right("Objects", "s3:GetObject", "objects", _READS),
    Right("Objects", "s3:PutObject", "objects", _WRITES),
    Right("Cleanup", "s3:DeleteObject", "objects", ("s3:DeleteObjects",), without="s3_cleanup leaves objects behind"),
    Right("Bucket", "s3:ListBucket", "bucket", _LISTS, without="an object that is missing looks denied"),
    Right("Bucket", "s3:ListBucketMultipartUploads", "bucket", ("s3:ListMultipartUploads",), without=_PARTS),
    Right("Logs", "logs:FilterLogEvents", "logs", without="what a function prints is shown at its end only"),
    Right("Logs", "logs:GetLogEvents", "logs", without="a failed job is not shown with its log's last lines"),
    Right("Images", "ecr:DescribeImages", "image", without="a job without its image does not say what is missing"),
    Right("Base", "ecr:BatchGetImage", "base", without=_IMAGE),
    Right("Base", "ecr:GetDownloadUrlForLayer", "base", without=_IMAGE),
    Right("Repository", "ecr:DescribeImages", "repository", without=_IMAGE),
    Right("Repository", "ecr:BatchCheckLayerAvailability", "repository", without=_IMAGE),
    Right("Repository", "ecr:InitiateLayerUpload", "repository", without=_IMAGE),
    Right("Repository", "ecr:UploadLayerPart", "repository", without=_IMAGE),
    Right("Repository", "ecr:CompleteLayerUpload", "repository", without=_IMAGE),
    Right("Repository", "ecr:PutImage", "repository", without=_IMAGE),
    Right("Repository", "ecr:BatchGetImage", "repository", without="images are listed without what is in them"),
    Right("Repository", "ecr:BatchDeleteImage", "repository", without="images that are not needed stay, and cost"),
    Right("Key", "kms:Decrypt", "key", _WRITES + _READS),
    Right("Key", "kms:GenerateDataKey", "key", _WRITES),
)
"""Rights of the identity that runs Covalent's server."""

JOB = (
    Right("Objects", "s3:AbortMultipartUpload", "objects", without=_PARTS),
    Right("Objects", "s3:GetObject", "objects", _READS),
    Right("Objects", "s3:PutObject", "objects", _WRITES),
    Right("Bucket", "s3:ListBucketMultipartUploads", "bucket", ("s3:ListMultipartUploads",), without=_PARTS),
    Right("Key", "kms:Decrypt", "key", _WRITES + _READS),
    Right("Key", "kms:GenerateDataKey", "key", _WRITES),
)
"""Rights of the job role, without those that the functions need."""

EXECUTION = (
    Right("Secrets", "secretsmanager:GetSecretValue", "secrets"),
    Right("Parameters", "ssm:GetParameters", "parameters"),
)
"""Rights of the execution role for the option `secrets`, beside what AWS's own policy for such roles has."""

DOCTOR = (
    Right("DoctorBucket", "s3:GetEncryptionConfiguration", "bucket", ("s3:GetBucketEncryption",)),
    Right("DoctorBucket", "s3:ListBucket", "bucket", ("s3:HeadBucket",)),
    Right("DoctorRoles", "iam:GetRole", "all_roles"),
    Right("DoctorRights", "iam:SimulatePrincipalPolicy", "any"),
    Right("DoctorLogs", "logs:DescribeLogGroups", "any"),
    Right("DoctorImages", "ecr:BatchGetImage", "image"),
    Right("DoctorImages", "ecr:GetDownloadUrlForLayer", "image"),
)
"""Additional rights with which `covalent-awsbatch doctor` finds out more. The executor never makes these calls."""

PRUNE = (Right("Environments", "s3:DeleteObject", "environments", ("s3:DeleteObjects",)),)
"""Additional right with which `covalent-awsbatch environment prune` deletes, and `refresh`. No task needs it."""

FREE = ("sts:GetCallerIdentity",)
"""Calls that need no right."""

EXAMPLE = Settings(
    region="us-east-1",
    container_image_uri="<account>.dkr.ecr.<region>.amazonaws.com/<repository>",
    runtime="ecr",
    ecr_repo_name="covalent-batch-images",
    s3_cleanup="always",
    secrets={
        "TOKEN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:token-AbCdEf",
        "PASSWORD": "/covalent/password",
    },
)


@dataclass(frozen=True)
class Place:
    """Where the resources are.

    Attributes:
        account: Twelve digits.
        region: Of queue, job definitions and logs.
        partition: `aws`, `aws-cn`, `aws-us-gov` …
    """

    account: str
    region: str
    partition: str = "aws"


EXAMPLE_PLACE = Place("<account>", "<region>")
"""Placeholders, as docs/permissions.md shows them."""


def partition_of(region: str) -> str:
    """The AWS partition that a region is in."""
    partitions = {"cn-": "aws-cn", "us-gov-": "aws-us-gov", "eusc-": "aws-eusc", "us-iso-": "aws-iso"}
    partitions |= {"us-isob-": "aws-iso-b", "eu-isoe-": "aws-iso-e", "us-isof-": "aws-iso-f"}
    return next((name for begin, name in partitions.items() if region.startswith(begin)), "aws")


def resources(settings: Settings, place: Place) -> dict[str, list[str]]:
    """The ARNs that a configuration needs rights on, by kind; those of a kind that it does not use are empty.

    Args:
        settings: The configuration.
        place: Where it is in force.
    """
    batch = f"arn:{place.partition}:batch:{place.region}:{place.account}"
    definition = f"{batch}:job-definition/{settings.batch_job_definition_name}"
    registered = [definition, f"{definition}:*"]
    if settings.job_definition:
        registered = []
        definition = settings.job_definition.partition(":job-definition/")[2] or settings.job_definition
        definition = f"{batch}:job-definition/{definition.partition(':')[0]}"
    queues = [queue if queue.startswith("arn:") else f"{batch}:job-queue/{queue}" for queue in settings.queues]
    bucket, objects = _bucket(settings, place)
    roles = [role_arn(role, place) for role in (settings.batch_execution_role_name, settings.batch_job_role_name)]
    image = _repository(settings.container_image_uri, place)
    group = f"log-group:{settings.batch_job_log_group_name}:*"
    return {
        "any": ["*"],
        "definition": registered,
        "submission": [*queues, definition, f"{definition}:*"],
        "jobs": [f"{batch}:job/*"],
        "roles": list(dict.fromkeys(roles)) if registered and settings.platform != "EKS" else [],
        # Includes the caller's own role: the ARN of its session does not contain its path.
        "all_roles": [f"arn:{place.partition}:iam::{place.account}:role/*"],
        "objects": [f"{objects}/*"],
        "environments": [f"{objects}/environments/*"] if settings.source == "bucket" else [],
        "bucket": [bucket],
        "logs": [f"arn:{place.partition}:logs:{place.region}:{place.account}:{group}"],
        "image": image,
        "base": image if settings.source == "ecr" else [],
        "repository": [_repository_arn(place, settings.ecr_repo_name)] if settings.source == "ecr" else [],
        "key": _key(settings.s3_kms_key_id, place),
        **_sources(settings, place),
    }


def role_arn(role: str, place: Place) -> str:
    """The ARN of a role, as the core makes it of a name; an ARN stays what it is."""
    return role if role.startswith("arn:") else f"arn:{place.partition}:iam::{place.account}:role/{role.lstrip('/')}"


def needed(rights: Iterable[Right], settings: Settings, place: Place) -> list[tuple[Right, list[str]]]:
    """The rights that a configuration needs, each with its ARNs."""
    arns = resources(settings, place)
    unused = {"Cleanup"} if settings.s3_cleanup == "never" else set()
    # Without this right a job with tags cannot be submitted, and without those no image be made that has to be.
    essential = {"batch:TagResource"} if settings.tags else set()
    unwanted = _IMAGE if settings.runtime == "ecr" else ""
    return [
        (
            replace(right, without="") if right.action in essential or right.without == unwanted else right,
            arns[right.resource],
        )
        for right in rights
        if right.sid not in unused and arns[right.resource]
    ]


def document(rights: Iterable[Right], settings: Settings, place: Place) -> dict[str, Any]:
    """A policy that allows what a configuration needs, and nothing else.

    Args:
        rights: `USER`, `JOB` …
        settings: The configuration.
        place: Where it is in force.
    """
    statements: dict[str, dict[str, Any]] = {}
    for right, arns in needed(rights, settings, place):
        statement = statements.setdefault(right.sid, {"Sid": right.sid, "Effect": "Allow", "Action": []})
        statement["Action"].append(right.action)
        statement["Resource"] = _single(arns)
        if right.resource == "key" and "alias/" in settings.s3_kms_key_id:
            alias = settings.s3_kms_key_id[settings.s3_kms_key_id.index("alias/") :]
            statement["Condition"] = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}}
    for statement in statements.values():
        statement["Action"] = _single(statement["Action"])
    return {"Version": "2012-10-17", "Statement": list(statements.values())}


def text(policy: dict[str, Any]) -> str:
    """A policy as people write it: short lists on one line."""
    written = json.dumps(policy, indent=2)

    def joined(match: re.Match[str]) -> str:
        line = "[" + ", ".join(part.strip() for part in match[1].strip().split(",\n")) + "]"
        return line if len(line) <= 90 else match[0]

    return re.sub(r"\[\n([^\[\]{}]*?)\s*\]", joined, written)


def printed(
    whose: str,
    given: Mapping[str, Any],
    more: Iterable[Right] = (),
    *,
    account: str | None = None,
    example: bool = False,
) -> str:
    """What `covalent-awsbatch policy` prints.

    Args:
        whose: `user`, `job` or `execution`.
        given: Options of the executor that override the section of Covalent's configuration.
        more: Rights to add: `DOCTOR`, `PRUNE`.
        account: Account number; AWS is asked where it is not known.
        example: Whether to use placeholders and the defaults.

    Raises:
        AWSBatchError: An option cannot work, or AWS does not say which account this is.
    """
    rights = (*{"user": USER, "job": JOB, "execution": EXECUTION}[whose], *more)
    if example:
        return text(document(rights, EXAMPLE, EXAMPLE_PLACE))
    settings = checked(resolved(given), given)
    partition = partition_of(settings.region)
    if account is None:
        account = asyncio.run(_account(settings))
    return text(document(rights, settings, Place(account, settings.region, partition)))


async def _account(settings: Settings) -> str:
    try:
        return (await client(settings, interactive=True).identity())["Account"]
    except AWSBatchError as error:
        if not error.details.get("endpoint"):
            raise
        raise unanswered(error, "which account this is; with --account nothing has to be asked") from error


def _bucket(settings: Settings, place: Place) -> tuple[str, str]:
    """The ARNs of the bucket and of its objects.

    IAM knows an access point by its name alone, with which the alias begins; a long one is cut off there.
    """
    bucket = settings.s3_bucket_name
    if not settings.has_access_point:
        arn = f"arn:{place.partition}:s3:::{bucket}"
        return arn, arn
    if not bucket.startswith("arn:"):
        account = settings.s3_bucket_owner.replace("any", "*") or place.account
        bucket = f"arn:{place.partition}:s3:*:{account}:accesspoint/{bucket.rsplit('-', 2)[0]}*"
    return bucket, f"{bucket}/object"


def _sources(settings: Settings, place: Place) -> dict[str, list[str]]:
    """Where the values of `secrets` are; of a secret all of it, where a key of it is wanted."""
    at = f"arn:{place.partition}:ssm:{place.region}:{place.account}:parameter"
    arns = [source if source.startswith("arn:") else at + source for source in settings.secrets.values()]
    secrets = [":".join(arn.split(":")[:7]) for arn in arns if arn.split(":")[2] == "secretsmanager"]
    parameters = [arn for arn in arns if arn.split(":")[2] == "ssm"]
    return {"secrets": list(dict.fromkeys(secrets)), "parameters": list(dict.fromkeys(parameters))}


def _single(values: Sequence[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)


def _repository(image: str, place: Place) -> list[str]:
    found = re.match(r"([^./]+)\.dkr\.ecr[\w-]*\.([^./]+)\.amazonaws\.com[^/]*/([^:@]+)", image)
    return [_repository_arn(replace(place, account=found[1], region=found[2]), found[3])] if found else []


def _repository_arn(place: Place, name: str) -> str:
    return f"arn:{place.partition}:ecr:{place.region}:{place.account}:repository/{name}"


def _key(key: str, place: Place) -> list[str]:
    if not key:
        return []
    if ":key/" in key:
        return [key]
    owner = key.partition(":alias/")[0] if key.startswith("arn:") else ""
    at = owner or f"arn:{place.partition}:kms:{place.region}:{place.account}"
    return [f"{at}:key/*" if "alias/" in key else f"{at}:key/{key}"]
