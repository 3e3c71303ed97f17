"""What is shown of a plan, and of a deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from covalent_awsbatch_plugin.deploy import changes, files
from covalent_awsbatch_plugin.deploy.overview import directories, last_state, places


def change(address: str, *actions: str, **more: Any) -> dict[str, Any]:
    kind = address.partition(".")[0]
    return {"address": address, "type": kind, "change": {"actions": list(actions), **more}}


PLAN = [
    change('aws_batch_compute_environment.this["EC2"]', "delete", "create"),
    change("aws_launch_template.machine[0]", "create"),
    change("aws_subnet.public[0]", "create"),
    change("aws_subnet.public[1]", "create"),
    change("aws_vpc.this[0]", "no-op"),
    change(
        "aws_batch_job_queue.this",
        "update",
        before={"priority": 1, "name": "q", "tags": {"a": "b"}, "word": "old", "key": "old"},
        after={"priority": 5, "name": "q", "tags": {"a": "c"}, "word": "new", "key": "x" * 50},
        before_sensitive={"word": True},
        after_sensitive={},
    ),
    change("terraform_data.configuration", "delete"),
    change('aws_cloudformation_stack.environment["EC2"]', "create", "delete"),
]


def test_a_plan_is_a_line_for_each_service_and_action() -> None:
    shown = [f"{line.before}{line.text}" for line in changes.summary(PLAN)]
    assert shown == [
        '  ± batch       compute_environment.this["EC2"], cloudformation_stack.environment["EC2"]',
        "  + batch       launch_template.machine[0]",
        "  + network     subnet.public[0], subnet.public[1]",
        "  ~ batch       job_queue.this (key, priority 1 → 5, tags, word)",
        "  - terraform   configuration",
        "Plan: 5 to add, 1 to change, 3 to destroy.",
    ]
    assert "old" not in "".join(shown), "what is a secret, or long, is named alone"
    assert changes.count(PLAN) == 9
    assert changes.count([PLAN[4]]) == 0


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "https://eu-west-1.console.aws.amazon.com/"),
        ("cn-north-1", "https://cn-north-1.console.amazonaws.cn/"),
        ("us-gov-east-1", "https://us-gov-east-1.console.amazonaws-us-gov.com/"),
    ],
)
def test_links_lead_to_the_console_of_the_partition(region: str, host: str) -> None:
    executor = {"region": region, "batch_queue": "q", "s3_bucket_name": "b", "endpoint_url": ""}
    found = places(executor)
    assert list(found) == ["queue", "bucket", "region", "jobs", "objects"]
    assert found["jobs"].startswith(host)
    assert list(places({**executor, "endpoint_url": "http://127.0.0.1:5000"})) == ["queue", "bucket", "region"]
    assert places({}) == {}


def test_deployments_are_listed_as_they_were_left(tmp_path: Path) -> None:
    for name, kept in {
        "up": [files.VARIABLES, files.EXECUTOR],
        "down": [files.VARIABLES],
        "half": [files.VARIABLES, files.EXECUTOR, files.UNFINISHED],
        "only-planned": [files.ASKED],
    }.items():
        (tmp_path / name).mkdir()
        for file in kept:
            files.save(tmp_path / name / file, {})
    assert {one.name: last_state(one) for one in directories(tmp_path)} == {
        "up": "up",
        "down": "down",
        "half": "incomplete",
    }
