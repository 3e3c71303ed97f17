"""The log group."""

from __future__ import annotations

import json
from collections.abc import Sequence

from covalent_awsbatch_plugin.doctor import policy
from covalent_awsbatch_plugin.errors import AWSBatchError

from .base import Case, Check, failed, from_error, passed


async def log_group(case: Case) -> Sequence[Check]:
    """Whether the container's output has somewhere to go: without its log group a job does not start."""
    if case.settings.platform == "EKS":
        return [passed("log group", "AWS Batch has no log of pods: what a function prints is shown at its end")]
    name = case.settings.batch_job_log_group_name
    try:
        answer = json.loads(await case.inspector.log_group(name))
    except AWSBatchError as error:
        return [from_error("log group", error)]
    if answer is not None:
        days = answer["retention_days"]
        return [passed("log group", f"{name} keeps lines {f'{days} days' if days else 'for ever'}")]
    role = policy.role_arn(case.settings.batch_execution_role_name, case.known)
    group = f"arn:{case.known.partition}:logs:{case.known.region}:{case.known.account}:log-group:{name}"
    try:
        may_create = json.loads(await case.inspector.simulate(role, ["logs:CreateLogGroup"], group))[
            "logs:CreateLogGroup"
        ]
    except AWSBatchError:
        may_create = False
    if may_create:
        return [passed("log group", f"{name} does not exist yet; the execution role may create it")]
    fix = f"create it: `aws logs create-log-group --log-group-name {name} --region {case.settings.region}`"
    return [failed("log group", f"there is no log group {name}, and the first job would have to create it", fix)]
