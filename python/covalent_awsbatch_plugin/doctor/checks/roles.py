"""The roles of the job: whether they are there, can be taken, and reach the bucket."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import unquote

from covalent_awsbatch_plugin.doctor import policy
from covalent_awsbatch_plugin.errors import AWSBatchError

from .base import Case, Check, State, untold, well, wrong
from .permissions import judged, missing_rights

_SERVICE = "ecs-tasks.amazonaws.com"


async def execution_role(case: Case) -> Sequence[Check]:
    """Whether the ECS agent can take its role."""
    return [await _role(case, "execution role", "batch_execution_role_name")]


async def job_role(case: Case) -> Sequence[Check]:
    """Whether the function can take its role, and reach the bucket by it."""
    role = await _role(case, "job role", "batch_job_role_name")
    if role.state is State.WRONG:
        return [role]
    name = "job role's rights"
    arn = policy.role_arn(case.settings.batch_job_role_name, case.known)
    try:
        missing = await missing_rights(case, policy.JOB, arn)
    except AWSBatchError as error:
        return [role, untold(name, error)]
    found = f"it may use s3://{case.settings.s3_bucket_name}"
    return [role, judged(name, missing, ("it", arn, "job"), found)]


async def _role(case: Case, name: str, option: str) -> Check:
    wanted = getattr(case.settings, option)
    arn = policy.role_arn(wanted, case.known)
    if arn.split(":")[4] != case.known.account:
        return wrong(name, f"{arn} belongs to another account, and Batch takes none of those", f"set `{option}`")
    short = arn.rpartition("/")[2]
    try:
        answer = json.loads(await case.ask.role(short))
    except AWSBatchError as error:
        return untold(name, error)
    if answer is None:
        return wrong(name, f"there is no role {short}", f"create it with a trust in {_SERVICE}, or set `{option}`")
    if answer["arn"] != arn:
        return wrong(name, f"{short} is {answer['arn']}, not {arn}", f"set `{option}` to {answer['arn']}")
    if not _trusts(answer["trust"]):
        command = f"aws iam update-assume-role-policy --role-name {short} --policy-document …"
        fix = f"let its trust policy allow sts:AssumeRole to the service {_SERVICE}: `{command}`"
        return wrong(name, f"{short} does not trust {_SERVICE}", fix)
    return well(name, f"{short} exists and trusts {_SERVICE}")


def _trusts(encoded: str) -> bool:
    """Whether a trust policy lets ECS take the role. Conditions are taken to be met."""
    statements = json.loads(unquote(encoded) or "{}").get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        principal = statement.get("Principal", {})
        services = principal.get("Service", []) if isinstance(principal, dict) else principal
        actions = _many(statement.get("Action", []))
        if (
            statement.get("Effect") == "Allow"
            and {_SERVICE, "*"} & set(_many(services))
            and {"sts:AssumeRole", "sts:*", "*"} & set(actions)
        ):
            return True
    return False


def _many(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
