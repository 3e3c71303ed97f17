"""What variables of `assets/infra` were called in version 0.42.0, so that scripts with those names go on working."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORMER = {
    "aws_region": "region",
    "subnet_id": "subnet_ids",
    "aws_s3_bucket": "s3_bucket_name",
    "aws_batch_queue": "batch_queue",
    "aws_batch_job_definition": "batch_job_definition_name",
    "vcpus": "vcpu",
}
"""The name of now by that of then."""


def replaced(values: Mapping[str, Any]) -> dict[str, Any]:
    """Puts the names of now in place of the former ones.

    Args:
        values: By either name; what is None was not given.

    Raises:
        ValueError: A value was given by both names, and they differ.
    """
    now = {name: value for name, value in values.items() if name not in FORMER}
    for former, name in FORMER.items():
        value = values.get(former)
        if value is None:
            continue
        if now.get(name) is not None and not _is_same(now[name], value):
            given = f"{former}={value} contradicts {name}={now[name]}"
            raise ValueError(f"{given}, whose former name it is: give one of them")
        now[name] = value if now.get(name) is None else now[name]
    return now


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values mean the same: Covalent's command has strings where a file has numbers."""
    try:
        return float(one) == float(other)
    except (TypeError, ValueError):
        return str(one).strip() == str(other).strip()
