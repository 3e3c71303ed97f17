"""Checks credentials, region and clock."""

from __future__ import annotations

import os
from collections.abc import Sequence

from covalent_awsbatch_plugin.doctor import policy
from covalent_awsbatch_plugin.doctor.policy import Place
from covalent_awsbatch_plugin.errors import AccessError, AWSBatchError

from .base import Case, Check, State, failed, passed, unknown

_REFUSED_SKEW_SECONDS = 300
_NOTICED_SKEW_SECONDS = 30
_CREDENTIALS_FIXES = {
    "ExpiredToken": "renew them: with single sign-on by `aws sso login`, else with new keys in the profile",
    "InvalidClientTokenId": "the access key does not exist or is inactive: put a valid one into the profile",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key, or this machine's clock is wrong",
    "": "set `profile` or `credentials`, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY where Covalent's server runs",
}


async def credentials(case: Case) -> Sequence[Check]:
    """Whether AWS accepts the credentials, and whose they are."""
    try:
        identity = await case.connection.identity()
    except AccessError as error:
        if found := error.details.get("found"):
            # No request was sent.
            case.answered = False
            fix = error.details["fix"] or _CREDENTIALS_FIXES[""]
            return [Check("credentials", State.FAILED, found, fix, providers=error.details["providers"])]
        code = str(error.details.get("code") or "").removesuffix("Exception")
        # Without a code no request was sent, and the error of the providers says more than a fix.
        case.answered = bool(code)
        said = (error.message.rpartition("; ")[0] if code else "") or error.message
        return [failed("credentials", said, _CREDENTIALS_FIXES.get(code, f"AWS says {code}: use other credentials"))]
    except AWSBatchError as error:
        case.answered = False
        case.unresponsive_host = str(error.details.get("endpoint", ""))
        fix = "look at the network, the proxy, `endpoint_url`, and whether there is a region of this name"
        return [failed("credentials", error.message, fix)]
    case.arn = identity["Arn"]
    partition = case.arn.split(":")[1] if case.arn.count(":") > 1 else policy.partition_of(case.settings.region)
    case.place = Place(identity["Account"], case.settings.region, partition)
    return [passed("credentials", f"{case.arn}, account {identity['Account']}")]


async def region(case: Case) -> Sequence[Check]:
    """Whether the region is intended: the executor's option takes precedence over the variables of other programs."""
    wanted = case.settings.region
    queue = case.settings.batch_queue
    if queue.startswith("arn:") and queue.split(":")[3] != wanted:
        there = queue.split(":")[3]
        return [failed("region", f"{wanted}, but the queue is in {there}", f"set `region` to {there}")]
    others = {name: os.environ.get(name, wanted) for name in ("AWS_REGION", "AWS_DEFAULT_REGION")}
    differing = [f"{name}={value}" for name, value in others.items() if value != wanted]
    note = f" ({' and '.join(differing)} is not used: the option `region` is)" if differing else ""
    return [passed("region", wanted + note)]


async def clock(case: Case) -> Sequence[Check]:
    """Whether this machine's clock agrees with AWS's, which refuses what is signed five minutes apart."""
    if not case.answered:
        reason = f"not asked: no answer from {case.unresponsive_host}"
        return [unknown("clock", reason if case.unresponsive_host else "could not tell: no answer of AWS to go by")]
    skew = await case.inspector.clock_skew()
    if skew is None:
        return [unknown("clock", "could not tell: the answer had no date")]
    if abs(skew) < _NOTICED_SKEW_SECONDS:
        return [passed("clock", "agrees with AWS's")]
    found = f"{abs(skew):.0f} s {'behind' if skew > 0 else 'ahead of'} AWS's"
    if abs(skew) < _REFUSED_SKEW_SECONDS:
        return [passed("clock", f"{found}; from {_REFUSED_SKEW_SECONDS} s on AWS refuses what is signed by it")]
    return [
        failed(
            "clock",
            f"{found}, which refuses what is signed by it",
            "set this machine's clock, for instance by `timedatectl set-ntp true`",
        )
    ]
