"""The container image, and the repository in which one is made."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from covalent_awsbatch_plugin.doctor import images
from covalent_awsbatch_plugin.environment.image import TAG_PREFIX
from covalent_awsbatch_plugin.errors import AWSBatchError

from .base import Case, Check, failed, from_error, passed, unknown


async def image(case: Case) -> Sequence[Check]:
    """Whether the image is there, how old it is, whether it is made for the queue's instances, and has this Python.

    Where an image is made, this is about its base, and also about the repository.
    """
    return [await _image(case), *([await _repository(case)] if case.settings.source == "ecr" else [])]


async def _repository(case: Case) -> Check:
    name = case.settings.ecr_repo_name
    try:
        await case.connection.find_image(name, TAG_PREFIX)
    except AWSBatchError as error:
        if error.details.get("code") != "RepositoryNotFoundException":
            return from_error("repository", error)
        where = "" if case.settings.runtime == "ecr" else ": jobs get their packages from the bucket"
        fix = "create it, or set `ecr_repo_name` to one that is there"
        return failed("repository", f"there is no ECR repository {name} in this account and region{where}", fix)
    return passed("repository", f"images are made in {name}")


async def _image(case: Case) -> Check:
    if case.settings.job_definition:
        return passed("image", f"that of job definition {case.settings.job_definition}, which is not looked at")
    uri = case.settings.image
    fix = "push it, or set `container_image_uri` to an image that is there"
    try:
        if problem := await case.connection.image_problem(uri):
            return failed("image", problem, fix)
        answer = json.loads(await case.inspector.image(uri))
    except AWSBatchError as error:
        return from_error("image", error)
    if answer is None:
        found = await images.look_up_public(uri, case.architectures)
    else:
        found = await images.look_into_ecr(case.inspector, uri, case.architectures)
        found = replace(found, note=_age(answer["pushed_at"]))
    if found.exists is None:
        return unknown("image", f"{uri}: could not tell: {found.note}")
    if not found.exists:
        return failed("image", f"{uri}: {found.note}", fix)
    lacking = [needed for needed in case.architectures_of_queues if not found.architectures & needed]
    if found.architectures and lacking:
        made, needed = (" and ".join(sorted(names)) for names in (found.architectures, lacking[0]))
        fix = f"build it for {needed}: `docker build --platform linux/{needed.split()[0]} …`"
        return failed("image", f"{uri} is for {made}, and the queue's instances are {needed}", fix)
    own = "{}.{}".format(*sys.version_info)
    if found.python and found.python != own:
        fix = f"set `container_image_uri` to an image with Python {own}, or to nothing for Python's own"
        return failed("image", f"{uri} has Python {found.python}, and this machine has {own}", fix)
    made = ", ".join(sorted(found.architectures)) or "its architecture could not be told"
    python = f"Python {found.python}" if found.python else ""
    return passed("image", ", ".join(filter(None, [uri, made, python, found.note])))


def _age(pushed_at: float | None) -> str:
    if pushed_at is None:
        return ""
    days = max(0, int(time.time() - pushed_at)) // 86_400
    return "pushed today" if days == 0 else f"pushed {days} day{'s' * (days > 1)} ago"
