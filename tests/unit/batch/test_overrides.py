"""ECS takes 8,192 characters of what a job overrides. AWS Batch takes more, and then the job fails."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from covalent_awsbatch_plugin.options import checks
from covalent_awsbatch_plugin.options.limits import ENVIRONMENT_CHARACTERS
from covalent_awsbatch_plugin.options.settings import DEFAULTS
from covalent_awsbatch_plugin.task.job_request import job_request

LARGEST = 8192
LONG = {
    "region": "ap-southeast-2",
    "s3_bucket_name": f"arn:aws:s3:ap-southeast-2:123456789012:accesspoint/{'n' * 50}",
    "s3_kms_key_id": f"arn:aws:kms:ap-southeast-2:123456789012:alias/{'k' * 250}",
    "checkpoint": True,
    "checkpoint_interval": 86_399,
    "retry_attempts": 10,
    "vcpu": 96,
    "memory": 1000.5,
    "num_gpus": 8,
}


@pytest.mark.parametrize("options", [{}, {"nodes": 1000, "node_results": "all"}, {"spot_notice": True}])
def test_the_longest_variables_go_with_the_executors_own(options: dict[str, Any]) -> None:
    value = "v" * (ENVIRONMENT_CHARACTERS - len(json.dumps([{"name": "A", "value": ""}])))
    settings = checks.checked({**DEFAULTS, **LONG, **options, "environment": {"A": value}})
    before = 9 if settings.nodes > 1 else 0
    task = str(uuid4()), 100_000
    job = job_request(settings, *task, "123456789012", attempts_before=before, previous_job=str(uuid4()))["job"]
    [of_node] = job.get("nodeOverrides", {}).get("nodePropertyOverrides", [job])
    assert LARGEST - 300 < len(json.dumps(of_node["containerOverrides"])) <= LARGEST
