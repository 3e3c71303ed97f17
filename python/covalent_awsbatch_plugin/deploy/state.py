"""What Terraform's state knows of, and what it does not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .terraform import Terraform

_STACK = "aws_cloudformation_stack.environment"
_STACK_NAME = "terraform_data.stack"


def instances(terraform: Terraform) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the state knows of that was created: addresses, and what it has about them.

    Args:
        terraform: Of the deployment.
    """
    state = terraform.answer("state", "pull").strip()
    for resource in json.loads(state).get("resources", []) if state else []:
        if resource["mode"] != "managed":
            continue
        for instance in resource["instances"]:
            key = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
            yield f"{resource['type']}.{resource['name']}{key}", instance


def is_half_made(instance: Mapping[str, Any]) -> bool:
    """Whether it is tainted, or there is another one beside it that was to be replaced by it.

    Args:
        instance: One of `instances`.
    """
    return "status" in instance or "deposed" in instance


def keep_half_made(terraform: Terraform) -> None:
    """Has what an interrupted `up` was making completed instead of replaced.

    Terraform makes a replacement first, because a queue's environments want it so, and all that they are built on has
    to follow. But a second subnet has no room beside the first, and a second role's name is taken. An environment and a
    queue are replaced nevertheless: nothing but a new one mends those that AWS calls INVALID. So is an environment's
    stack, which is without outputs where its creation has failed, and with it what its name is made of.

    Args:
        terraform: Of the deployment.
    """
    for address, instance in instances(terraform):
        if not address.startswith("aws_") or instance.get("status") != "tainted":
            continue
        if address.startswith(_STACK):
            terraform.answer("taint", address.replace(_STACK, _STACK_NAME, 1))
        elif not address.startswith("aws_batch_"):
            terraform.answer("untaint", address)


def advice_on_existing(terraform: Terraform, error: str) -> str:
    """What to do about something that AWS has and the state does not know.

    Args:
        terraform: Of the deployment.
        error: What Terraform said.

    Returns:
        A line of text, or nothing if it is not about that.
    """
    if not re.search(r"already ?(exists|owned)|duplicate", error, re.IGNORECASE):
        return ""
    return (
        "What exists already belongs to another deployment, or to one that was killed or whose state was lost: choose "
        "another --prefix, delete it, or make it this one's: "
        f"{terraform.name} -chdir={terraform.directory} import ADDRESS NAME\n"
    )
