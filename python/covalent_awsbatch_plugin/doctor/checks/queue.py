"""Checks the queue and its compute environments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from covalent_awsbatch_plugin.environment import platforms
from covalent_awsbatch_plugin.errors import AWSBatchError, SettingsError
from covalent_awsbatch_plugin.options import placement
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.task import queue_platform

from .base import Case, Check, State, failed, from_error, passed, unknown

_TRANSITIONAL_STATUSES = {"CREATING", "UPDATING"}


async def queue(case: Case) -> Sequence[Check]:
    """Whether the queues take jobs, and whether an environment behind each can ever run this one."""
    checks: list[Check] = []
    each: list[set[str]] = []
    for name in case.settings.queues:
        checks += await _checks(case, name)
        each.append(case.architectures)
        if not each[0] & each[-1] and case.settings.source != "image":
            checks.append(_other_processor(case.settings, name, each))
    case.architectures = set().union(*each)
    case.architectures_of_queues = each
    return checks


def _other_processor(settings: Settings, name: str, each: list[set[str]]) -> Check:
    """Only an image with all that a job needs can be for several."""
    here, there = (" and ".join(sorted(names)) for names in (each[0], each[-1]))
    found = f"{name} has machines of {there}, {settings.batch_queue} of {here}, and the packages of a task are for one"
    return failed("queue", found, f"name queues of {here} in `retry_queues`")


async def _checks(case: Case, name: str) -> Sequence[Check]:
    try:
        answer = json.loads(await case.inspector.queue(name))
    except AWSBatchError as error:
        return [from_error("queue", error), unknown("environment", "could not tell: the queue could not be looked at")]
    if answer is None:
        option = "batch_queue" if name == case.settings.batch_queue else "retry_queues"
        fix = f"set `{option}` and `region` to those of your queue, or create it"
        return [failed("queue", f"there is no queue {name} in region {case.settings.region}", fix)]
    return [_queue(case.settings, name, answer), *await _environments(case, answer["environments"])]


def _queue(settings: Settings, name: str, answer: dict[str, Any]) -> Check:
    kind = "fair-share" if answer["fair_share"] else "first in, first out"
    found = f"{name} is {answer['state']} and {answer['status']}, {kind}"
    if answer["state"] != "ENABLED":
        fix = f"enable it: `aws batch update-job-queue --job-queue {name} --state ENABLED`"
        return failed("queue", found, fix)
    if answer["status"] in _TRANSITIONAL_STATUSES:
        return unknown("queue", f"{found}: AWS is still at it, ask again in a minute")
    if answer["status"] != "VALID":
        reason = answer["status_reason"] or "no reason is given"
        return failed("queue", f"{found}: {reason}", "mend what the reason says, or set `batch_queue` to another queue")
    if answer["fair_share"] and not settings.share_identifier:
        fix = (
            "set `share_identifier`, as each job needs one here, or `batch_queue` to a queue without scheduling policy"
        )
        return failed("queue", f"{found}: no job without a share is taken", fix)
    if settings.share_identifier and not answer["fair_share"]:
        fix = "leave `share_identifier` out, or set `batch_queue` to a queue with a scheduling policy"
        return failed("queue", f"{found}: no job with a share is taken, and share_identifier is given", fix)
    return passed("queue", found)


async def _environments(case: Case, arns: list[str]) -> Sequence[Check]:
    if not arns:
        fix = "add one: `aws batch update-job-queue --compute-environment-order …`"
        return [failed("environment", "the queue has no compute environment", fix)]
    try:
        answers = json.loads(await case.inspector.environments(arns))
    except AWSBatchError as error:
        return [from_error("environment", error)]
    try:
        platform = await queue_platform.found(case.settings, case.connection)
    except SettingsError as error:
        return [failed("environment", error.message, "change what it names, or set `batch_queue` to another queue")]
    case.settings = case.settings.model_copy(update={"platform": platform})
    if platform in ("FARGATE", "MANAGED_INSTANCES"):
        case.architectures = {platforms.REGISTRY[platforms.asked_for(case.settings)]}
    else:
        case.architectures = set().union(*map(placement.architectures, answers)) or {"amd64"}
    names = {answer["name"] for answer in answers}
    gone = [arn for arn in arns if arn.rpartition("/")[2] not in names]
    checks = [_environment(case.settings, answer) for answer in answers]
    return _merge(checks, [answer["status"] == "VALID" for answer in answers]) + [
        failed("environment", f"{arn} does not exist", "take it out of the queue, or create it") for arn in gone
    ]


def _merge(checks: list[Check], valid: list[bool]) -> list[Check]:
    """Combine the checks of a queue's environments: one that can hold the job is enough.

    Args:
        checks: The check of each environment.
        valid: Whether each is VALID; an invalid one has to be fixed anyway.
    """
    states = {check.state for check, is_valid in zip(checks, valid, strict=True) if is_valid}
    found = list(checks)
    for number, check in enumerate(checks):
        if not valid[number] or check.state is State.PASSED:
            continue
        if State.PASSED in states:
            found[number] = passed(check.name, f"{check.found}; the job goes to another one of the queue's")
        elif State.UNKNOWN in states and check.state is State.FAILED:
            found[number] = unknown(
                check.name, f"{check.found}; could not tell whether another one of the queue's does"
            )
    return found


def _environment(settings: Settings, answer: dict[str, Any]) -> Check:
    name = f"environment {answer['name']}"
    found = f"{answer['state']} and {answer['status']}"
    if answer["state"] != "ENABLED":
        command = f"aws batch update-compute-environment --compute-environment {answer['name']} --state ENABLED"
        return failed(name, found, f"enable it: `{command}`")
    if answer["status"] in _TRANSITIONAL_STATUSES:
        return unknown(name, f"{found}: AWS is still at it, ask again in a minute")
    if answer["status"] != "VALID":
        reason = answer["status_reason"] or "no reason is given"
        fix = "mend what the reason says (most often its service role, instance role or subnets), then update it"
        return failed(name, f"{found}: {reason}", fix)
    if misfits := placement.problems(settings, answer):
        fix = "ask for less (`vcpu`, `memory`, `num_gpus`), or use an environment that can hold the job"
        platform = placement.platform(answer)
        if platform != settings.platform:
            fix = f'set `platform="{platform}"` or leave it out, or set `batch_queue` to a queue of {settings.platform}'
        if settings.nodes > 1 and answer["kind"] != "EC2":
            fix = "set `batch_queue` to a queue of on-demand instances (`covalent deploy` makes one), or `nodes=1`"
        return failed(name, f"this job will never fit: {'; '.join(misfits)}", fix)
    if not answer["kind"]:
        kind = f"{answer['management']} {placement.kind(answer)}".strip()
        return passed(name, f"{found}, {kind}: whether the job fits is for you to know")
    job = f"vcpu={settings.vcpu:g}, memory={settings.memory_mib / 1024:g}"
    job += f", num_gpus={settings.num_gpus}" * bool(settings.num_gpus)
    job += f" on each of nodes={settings.nodes}" * (settings.nodes > 1)
    found += f", {placement.kind(answer)}, up to {answer['max_vcpus']} vCPUs"
    if doubt := placement.doubt(settings, answer):
        return unknown(name, f"{found}; could not tell whether a job of {job} fits: {doubt}")
    return passed(name, f"{found}; a job of {job} fits")
