"""Checks the roles of the job: existence, trust policy, and access to the bucket."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import unquote

from covalent_awsbatch_plugin.doctor import policy
from covalent_awsbatch_plugin.errors import AWSBatchError

from .base import Case, Check, State, failed, from_error, passed
from .permissions import missing_rights, rights_check

_SERVICE = "ecs-tasks.amazonaws.com"


async def execution_role(case: Case) -> Sequence[Check]:
    """Whether ECS can assume the execution role, and whether the role may fetch the secrets.

    A job definition of the user's names roles of its own, and a pod has none.
    """
    if case.settings.job_definition or case.settings.platform == "EKS":
        return []
    role = await _role(case, "execution role", "batch_execution_role_name")
    if role.state is State.FAILED or not case.settings.secrets:
        return [role]
    name = "execution role's rights"
    arn = policy.role_arn(case.settings.batch_execution_role_name, case.known)
    try:
        missing = await missing_rights(case, policy.EXECUTION, arn)
    except AWSBatchError as error:
        return [role, from_error(name, error)]
    found = f"it may fetch what `secrets` names: {', '.join(case.settings.secrets)}"
    return [role, rights_check(name, missing, ("it", arn, "execution"), found)]


async def job_role(case: Case) -> Sequence[Check]:
    """Whether ECS can assume the job role, and whether the role has access to the bucket; as above."""
    if case.settings.platform == "EKS":
        account = case.settings.eks_service_account or "the namespace's own"
        return [passed("service account", f"{account}: whether its role may use the bucket is for you to know")]
    if case.settings.job_definition:
        return []
    role = await _role(case, "job role", "batch_job_role_name")
    if role.state is State.FAILED:
        return [role]
    name = "job role's rights"
    arn = policy.role_arn(case.settings.batch_job_role_name, case.known)
    try:
        missing = await missing_rights(case, policy.JOB, arn)
    except AWSBatchError as error:
        return [role, from_error(name, error)]
    found = f"it may use s3://{case.settings.s3_bucket_name}"
    return [role, rights_check(name, missing, ("it", arn, "job"), found)]


async def _role(case: Case, name: str, option: str) -> Check:
    wanted = getattr(case.settings, option)
    arn = policy.role_arn(wanted, case.known)
    if arn.split(":")[4] != case.known.account:
        return failed(name, f"{arn} belongs to another account, and Batch takes none of those", f"set `{option}`")
    short = arn.rpartition("/")[2]
    try:
        answer = json.loads(await case.inspector.role(short))
    except AWSBatchError as error:
        return from_error(name, error)
    if answer is None:
        return failed(name, f"there is no role {short}", f"create it with a trust in {_SERVICE}, or set `{option}`")
    if answer["arn"] != arn:
        return failed(name, f"{short} is {answer['arn']}, not {arn}", f"set `{option}` to {answer['arn']}")
    if not _trusts(answer["trust"]):
        command = f"aws iam update-assume-role-policy --role-name {short} --policy-document …"
        fix = f"let its trust policy allow sts:AssumeRole to the service {_SERVICE}: `{command}`"
        return failed(name, f"{short} does not trust {_SERVICE}", fix)
    return passed(name, f"{short} exists and trusts {_SERVICE}")


def _trusts(encoded: str) -> bool:
    """Whether a trust policy allows ECS to assume the role. Conditions are ignored."""
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
