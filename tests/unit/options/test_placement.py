"""Whether a job fits, does not, or nobody can tell, by the names of instance types alone."""

from __future__ import annotations

from typing import Any

import pytest

from covalent_awsbatch_plugin.options import instance_types, placement
from covalent_awsbatch_plugin.options.instance_types import Size
from covalent_awsbatch_plugin.options.settings import Settings


@pytest.mark.parametrize(
    ("types", "memory", "most"),
    [
        (["m5.large"], 16, 7.35),
        (["m5.large", "c5.large"], 7.7, 7.35),
        (["c5.large", "r5.xlarge"], 100, 30.15),
        (["m5.large"], 4, None),
        (["optimal"], 500, None),
        (["optimal"], 2000, 231.55),
        (["z1d.large"], 500, None),
        ([], 500, None),
    ],
)
def test_how_much_memory_a_job_surely_finds(types: list[str], memory: float, most: float | None) -> None:
    job = Settings(vcpu=1, memory=memory)
    found = placement.largest_memory(job, [{"instance_types": types, "state": "ENABLED"}])
    assert found == (pytest.approx(most, abs=0.01) if most else float("inf"))
    unknown = {"instance_types": [], "state": "ENABLED"}
    off = {"instance_types": ["r5.24xlarge"], "state": "DISABLED"}
    assert placement.largest_memory(job, [{"instance_types": types, "state": "ENABLED"}, off]) == found
    assert placement.largest_memory(job, [{"instance_types": types, "state": "ENABLED"}, unknown]) == float("inf")


@pytest.mark.parametrize(
    ("types", "job", "fits"),
    [
        (["optimal"], {"vcpu": 16, "memory": 60}, True),
        (["c5.large"], {"vcpu": 2, "memory": 3.75}, True),
        (["c5.large"], {"vcpu": 4, "memory": 3.75}, False),
        (["c5.large"], {"vcpu": 2, "memory": 6}, False),
        (["c5.large"], {"vcpu": 2, "memory": 4}, False),
        (["c5n.large"], {"vcpu": 2, "memory": 5}, True),
        (["c4.large"], {"vcpu": 2, "memory": 3.75}, False),
        (["c4.8xlarge"], {"vcpu": 16, "memory": 59}, True),
        (["c5.large", "r5.xlarge"], {"vcpu": 4, "memory": 30}, True),
        (["m5.metal", "c5"], {"vcpu": 16, "memory": 900}, True),
        (["m6i.4xlarge"], {"vcpu": 16, "memory": 60}, True),
        (["optimal"], {"num_gpus": 1}, False),
        (["optimal", "g4dn.xlarge"], {"num_gpus": 1}, True),
        (["p3.2xlarge"], {"num_gpus": 1}, True),
        (["m5"], {"num_gpus": 1}, False),
        (["c5.4xlarge", "g4dn.xlarge"], {"vcpu": 16, "num_gpus": 1}, False),
        (["optimal", "g4dn.xlarge"], {"vcpu": 16, "num_gpus": 1}, False),
        (["optimal", "g4dn"], {"vcpu": 16, "num_gpus": 1}, True),
        ([], {"num_gpus": 1}, True),
        (["m5"], {"vcpu": 17}, False),
        (["m5"], {"platform": "FARGATE"}, False),
    ],
)
def test_whether_a_job_would_ever_fit(types: list[str], job: dict[str, Any], fits: bool) -> None:
    environment = {"kind": "EC2", "max_vcpus": 16, "instance_types": types}
    assert (not placement.problems(Settings(**job), environment)) == fits


@pytest.mark.parametrize(
    ("kind", "job", "fits"),
    [
        ("FARGATE", {"platform": "FARGATE", "vcpu": 16}, True),
        ("FARGATE_SPOT", {"platform": "FARGATE", "vcpu": 0.25, "memory": 1}, True),
        ("FARGATE", {"platform": "FARGATE", "vcpu": 32, "memory": 60}, False),
        ("FARGATE", {"platform": "EC2"}, False),
        ("FARGATE", {"vcpu": 16}, True),
        ("FARGATE", {"platform": "MANAGED_INSTANCES"}, False),
        ("ECS_MANAGED_INSTANCES", {"platform": "MANAGED_INSTANCES", "vcpu": 16, "num_gpus": 1}, True),
        ("ECS_MANAGED_INSTANCES", {"platform": "MANAGED_INSTANCES", "vcpu": 17}, False),
        ("ECS_MANAGED_INSTANCES", {"platform": "EC2"}, False),
        ("EC2", {"platform": "EKS"}, False),
    ],
)
def test_whether_a_job_would_ever_fit_on_fargate(kind: str, job: dict[str, Any], fits: bool) -> None:
    environment = {"kind": kind, "max_vcpus": 16, "instance_types": []}
    assert (not placement.problems(Settings(**job), environment)) == fits


@pytest.mark.parametrize(
    ("environment", "fits"),
    [
        ({"kind": "EC2", "max_vcpus": 6}, True),
        ({"kind": "EC2", "max_vcpus": 5}, False),
        ({"kind": "SPOT", "max_vcpus": 16}, False),
        ({"kind": "FARGATE", "max_vcpus": 16}, False),
        ({"kind": "ECS_MANAGED_INSTANCES", "max_vcpus": 16}, False),
        ({"kind": "", "max_vcpus": None, "management": "UNMANAGED"}, False),
    ],
)
def test_where_several_nodes_would_ever_fit(environment: dict[str, Any], fits: bool) -> None:
    job = Settings(nodes=3, vcpu=2)
    assert (not placement.problems(job, {"instance_types": ["c5"], **environment})) == fits


def test_what_instances_are_made_of() -> None:
    def of(*types: str) -> set[str]:
        return placement.architectures({"instance_types": list(types)})

    assert of("optimal") == of("c5.large") == of("g4dn.xlarge") == of("p3") == of() == {"amd64"}
    assert of("c7g.large") == of("m6gd") == of("a1.large") == of("g5g.xlarge") == of("t4g.small") == {"arm64"}
    assert of("c7g.large", "c5.large") == {"amd64", "arm64"}
    assert of("default_arm64") == {"arm64"}
    assert of("default_x86_64") == {"amd64"}


# What container instances of Amazon's ECS image registered, in MiB: users have reported it, and of the m4.large AWS's
# page on memory tells 7,985 before the agent's 32.
REGISTERED = {"c4.2xlarge": 15042, "m4.large": 7953, "r5d.xlarge": 31672}


@pytest.mark.parametrize(("name", "registered"), REGISTERED.items())
def test_what_machines_have_for_jobs_is_never_said_to_fit_beyond_and_never_refused_within(
    name: str, registered: int
) -> None:
    assert instance_types.holds([name], Size(1, registered)) is not False
    assert instance_types.holds([name], Size(1, registered + 1)) is not True


@pytest.mark.parametrize(
    ("name", "nominal"),
    [("c5.large", 4), ("m5.large", 8), ("r5.xlarge", 32), ("r6i.32xlarge", 1024), ("g5.xlarge", 16)],
)
def test_no_machine_has_its_whole_nominal_memory(name: str, nominal: float) -> None:
    environment = {"kind": "EC2", "max_vcpus": 256, "instance_types": [name]}
    for share in (1, 0.99):
        (problem,) = placement.problems(Settings(vcpu=1, memory=nominal * share), environment)
        assert "of its nominal memory a machine keeps 2 to 10 %" in problem
    (problem,) = placement.problems(Settings(vcpu=1, memory=nominal * 2), environment)
    assert "keeps" not in problem
    assert not placement.problems(Settings(vcpu=1, memory=nominal * 0.85), environment)
    assert not placement.doubt(Settings(vcpu=1, memory=nominal * 0.85), environment)


@pytest.mark.parametrize(
    ("types", "job", "said"),
    [
        (["c5.large"], {"vcpu": 2, "memory": 3.75}, "memory=3.75 is close to the limit of c5.large"),
        (["optimal"], {"vcpu": 2, "memory": 300}, "(optimal) do not tell"),
        (["optimal"], {"vcpu": 33}, "(optimal) do not tell"),
        (["m5"], {"vcpu": 2, "memory": 300}, "(m5) do not tell"),
        (["i3.xlarge"], {"vcpu": 2}, "(i3.xlarge) do not tell"),
        (["m5.metal"], {"vcpu": 2}, "(m5.metal) do not tell"),
        (["u7.huge", "c5.large"], {"vcpu": 2, "memory": 5}, "(u7.huge, c5.large) do not tell"),
        (["p4d.24xlarge"], {"num_gpus": 1}, "(p4d.24xlarge) do not tell"),
        (["g4dn"], {"num_gpus": 1}, "(g4dn) do not tell"),
        ([], {}, "instance types are not told"),
    ],
)
def test_what_nobody_can_tell_is_not_said_to_fit(types: list[str], job: dict[str, Any], said: str) -> None:
    environment = {"kind": "EC2", "max_vcpus": 256, "instance_types": types}
    assert placement.problems(Settings(**job), environment) == []
    assert said in placement.doubt(Settings(**job), environment)


@pytest.mark.parametrize(
    ("types", "job"),
    [
        (["optimal"], {"memory": 1024}),
        (["optimal"], {"vcpu": 193}),
        (["default_arm64"], {"memory": 600}),
        (["g4dn.xlarge"], {"num_gpus": 2}),
        (["i3.xlarge"], {"vcpu": 5}),
    ],
)
def test_what_is_more_than_any_of_them_has(types: list[str], job: dict[str, Any]) -> None:
    assert placement.problems(Settings(**job), {"kind": "EC2", "max_vcpus": 256, "instance_types": types})


@pytest.mark.parametrize(
    ("types", "job"),
    [
        (["optimal"], {"vcpu": 2, "memory": 3.75}),
        (["default_x86_64"], {"vcpu": 16, "memory": 120}),
        (["m6i"], {"vcpu": 32, "memory": 100}),
        (["p3.8xlarge"], {"num_gpus": 4}),
        (["i3.xlarge", "c5.xlarge"], {"vcpu": 4, "memory": 6}),
    ],
)
def test_what_surely_fits(types: list[str], job: dict[str, Any]) -> None:
    environment = {"kind": "EC2", "max_vcpus": 256, "instance_types": types}
    assert placement.problems(Settings(**job), environment) == []
    assert placement.doubt(Settings(**job), environment) == ""
