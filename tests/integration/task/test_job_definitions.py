"""A task under a job definition of the user's, and under one with changes."""

from __future__ import annotations

from typing import Any

import pytest
from support.task_bench import TaskBench, failure_of

from covalent_awsbatch_plugin.errors import ServiceError


def registered(bench: TaskBench, name: str) -> str:
    container = {
        "image": "team/jobs:1",
        "jobRoleArn": "arn:aws:iam::123456789012:role/CovalentBatchJobRole",
        "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}],
    }
    answer = bench.batch.register_job_definition(
        jobDefinitionName=name, type="container", containerProperties=container
    )
    return str(answer["jobDefinitionArn"])


def test_under_a_definition_of_the_users_nothing_is_looked_for_or_registered(bench: TaskBench) -> None:
    arn = registered(bench, "mine")
    before = len(bench.requests)
    for name in ("mine", "mine:1", arn):
        task = bench.task()
        executor = bench.executor(job_definition=name, container_image_uri="", memory=1)
        assert bench.run(executor, max, 1, 2, task=task) == 2
        job = bench.ended(task)
        assert job["jobDefinition"] == arn
        assert {"type": "MEMORY", "value": "1024"} in job["container"]["resourceRequirements"]
    paths = {request.path for request in bench.requests[before:]}
    assert paths.isdisjoint({"/v1/registerjobdefinition", "/v1/describejobdefinitions"})


def test_a_definition_that_is_not_there_ends_the_task_at_once(bench: TaskBench) -> None:
    before = len(bench.requests)
    with pytest.raises(ServiceError, match="gone:7"):
        bench.run(bench.executor(job_definition="gone:7"))
    assert [request.path for request in bench.requests[before:]].count("/v1/submitjob") == 1


def test_one_that_leaves_no_result_is_named(bench: TaskBench) -> None:
    registered(bench, "silent")
    error = failure_of(bench, bench.executor("true", job_definition="silent"))
    assert "the image of job definition silent is an image for Covalent" in str(error)


def test_changes_are_registered(bench: TaskBench) -> None:
    task = bench.task()
    changes: dict[str, Any] = {"containerProperties": {"environment": [{"name": "MORE", "value": "1"}]}}
    executor = bench.executor(batch_job_definition_name="changed", job_definition_overrides=changes)
    assert bench.run(executor, max, 1, 2, task=task) == 2
    assert {"name": "MORE", "value": "1"} in bench.ended(task)["container"]["environment"]
    assert bench.run(executor, max, 1, 2) == 2
    assert len(bench.revisions("changed")) == 1
