"""The options of a job of several nodes, and what becomes of them in its request."""

from __future__ import annotations

from typing import Any

import pytest

from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.options import checks
from covalent_awsbatch_plugin.options.settings import DEFAULTS
from covalent_awsbatch_plugin.task.job_request import job_request


def request(**options: Any) -> dict[str, Any]:
    return job_request(checks.checked({**DEFAULTS, **options}), "d", 1, "123456789012")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"platform": "FARGATE"}, "jobs of several nodes run on EC2 alone, and platform is FARGATE"),
        ({"platform": "EKS"}, "jobs of several nodes run on EC2 alone, and platform is EKS"),
        ({"job_definition": "mine"}, "job_definition is one of a single container"),
        ({"retry_memory_factor": 2}, "retry_memory_factor and retry_queues are for jobs of one container"),
        ({"retry_queues": "other"}, "retry_memory_factor and retry_queues are for jobs of one container"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(SettingsError, match="nodes=2 is not allowed") as caught:
        checks.check_given({**options, "nodes": 2})
    assert why in str(caught.value)
    assert checks.checked({**DEFAULTS, **options, "nodes": 1}).nodes == 1


def test_each_node_runs_what_the_container_of_a_job_would() -> None:
    options = {"vcpu": 4, "tmpfs": {"/scratch": 1}, "tags": {"a": "b"}, "time_limit": 60}
    one, three = request(**options), request(**options, nodes=3)
    assert three["definition"]["type"] == "multinode"
    [nodes] = three["definition"]["nodeProperties"]["nodeRangeProperties"]
    assert nodes == {"targetNodes": "0:", "container": one["definition"]["containerProperties"]}
    assert three["job"]["nodeOverrides"]["numNodes"] == 3
    [override] = three["job"]["nodeOverrides"]["nodePropertyOverrides"]
    sizes = one["job"]["containerOverrides"]["resourceRequirements"]
    assert override["containerOverrides"]["resourceRequirements"] == sizes
    for name in ("tags", "timeout", "retryStrategy", "jobName"):
        assert three["job"][name] == one["job"][name]


def test_an_adapter_is_a_device_and_as_much_locked_memory_as_it_needs() -> None:
    [nodes] = request(nodes=2, efa=True)["definition"]["nodeProperties"]["nodeRangeProperties"]
    path = "/dev/infiniband/uverbs0"
    device = {"hostPath": path, "containerPath": path, "permissions": ["READ", "WRITE", "MKNOD"]}
    assert nodes["container"]["linuxParameters"]["devices"] == [device]
    assert nodes["container"]["ulimits"] == [{"name": "memlock", "softLimit": -1, "hardLimit": -1}]
    with pytest.raises(SettingsError, match="efa"):
        checks.check_given({"platform": "FARGATE", "efa": True})


def test_the_definition_says_nothing_of_their_number() -> None:
    assert request(nodes=2)["definition"] == request(nodes=1000, node_results="all")["definition"]


def test_changes_of_the_definition_are_those_of_each_node() -> None:
    changes = {"containerProperties": {"user": "me"}, "schedulingPriority": 3}
    definition = request(nodes=2, job_definition_overrides=changes)["definition"]
    assert definition["nodeProperties"]["nodeRangeProperties"][0]["container"]["user"] == "me"
    assert definition["schedulingPriority"] == 3
