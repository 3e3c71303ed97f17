"""Checks the caller's permissions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from covalent_awsbatch_plugin.doctor import policy
from covalent_awsbatch_plugin.errors import AWSBatchError

from .base import Case, Check, failed, from_error, passed, unknown

_ALL = "all that a task needs"


class MissingRight(NamedTuple):
    """A right that is missing.

    Attributes:
        right: The right.
        arn: On what.
        certain: False if that depends on the call itself.
    """

    right: policy.Right
    arn: str
    certain: bool


async def permissions(case: Case) -> Sequence[Check]:
    """Whether the caller may do all that the executor does."""
    if case.arn.endswith(":root"):
        return [passed("permissions", "the account's root user may do everything (better use a role)")]
    try:
        principal = await _principal(case)
        missing = await missing_rights(case, policy.USER, principal)
    except AWSBatchError as error:
        return [from_error("permissions", error)]
    return [rights_check("permissions", missing, ("you", principal, "user"), _ALL)]


def rights_check(name: str, missing: Sequence[MissingRight], subject: tuple[str, str, str], found: str) -> Check:
    """The check for a list of missing rights.

    Args:
        name: Of the check.
        missing: The rights that are, or may be, missing.
        subject: The subject of a sentence, the ARN, and the policy that has the rights: `user` or `job`.
        found: The text if no right is missing.
    """
    who, principal, document = subject
    essential = [lack for lack in missing if not lack.right.without]
    if certain := [f"{lack.right.action} on {lack.arn}" for lack in essential if lack.certain]:
        fix = f"attach to {principal} what `covalent-awsbatch policy {document}` prints"
        return failed(name, f"{who} may not {', '.join(certain)}", fix)
    if essential:
        actions = ", ".join(dict.fromkeys(lack.right.action for lack in essential))
        return unknown(name, f"could not tell: conditions that only a call itself can meet decide on {actions}")
    lacking = dict.fromkeys(f"; without {lack.right.action} {lack.right.without}" for lack in missing if lack.certain)
    return passed(name, found + "".join(lacking))


async def _principal(case: Case) -> str:
    """The user or role that policies are attached to; a session's ARN names its role without the path."""
    service, kind = case.arn.split(":")[2], case.arn.split(":")[5]
    if service != "sts" or not kind.startswith("assumed-role/"):
        return case.arn
    name = kind.split("/")[1]
    try:
        answer = json.loads(await case.inspector.role(name))
    except AWSBatchError:
        answer = None
    return answer["arn"] if answer else policy.role_arn(name, case.known)


async def missing_rights(case: Case, rights: Sequence[policy.Right], principal: str) -> list[MissingRight]:
    """Which rights a user or role lacks, and on what.

    Args:
        case: Whose configuration says which rights there have to be.
        rights: A table of them.
        principal: ARN of the user or role.

    Raises:
        AWSBatchError: IAM does not say.
    """
    by_resource: dict[str, list[policy.Right]] = {}
    for right, arns in policy.needed(rights, case.settings, case.known):
        for arn in arns:
            by_resource.setdefault(arn, []).append(right)
    proven = case.allowed_actions if principal == await _principal(case) else set()
    missing: list[MissingRight] = []
    for arn, group in by_resource.items():
        # IAM cannot resolve an alias, and a policy may name the key only.
        by_alias = group[0].resource == "key" and "alias/" in case.settings.s3_kms_key_id
        # A simulation needs a name in the place of a pattern.
        example = arn if arn == "*" else arn.replace("*", "1")
        allowed = json.loads(await case.inspector.simulate(principal, [right.action for right in group], example))
        missing += [
            MissingRight(right, arn, allowed.get(right.action) is not None and not by_alias)
            for right in group
            if not allowed.get(right.action) and right.action not in proven
        ]
    return missing
