"""The options of a pod, and what of the others a pod cannot have."""

from __future__ import annotations

from typing import Any

import pytest

from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.options.checks import check_given, checked
from covalent_awsbatch_plugin.options.settings import DEFAULTS


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ulimits": {"nofile": 1}}, r"ulimits is not allowed \(there is none on EKS\)"),
        ({"devices": ["/dev/fuse"]}, "devices is not allowed"),
        ({"secrets": {"A": "/a"}}, "secrets is not allowed"),
        ({"init": True}, r"init=True is not allowed \(there is none on EKS\)"),
        ({"stop_timeout": 5}, "stop_timeout=5 is not allowed"),
        ({"ipc_mode": "host"}, "ipc_mode='host' is not allowed"),
        ({"ephemeral_storage": 30}, "for Fargate only"),
        ({"user": "nobody"}, "on EKS it is a number"),
        ({"volumes": {"/a": "fs-0123abcd"}}, "which a pod mounts by a claim"),
        ({"platform": "EC2", "volumes": {"/a": "claim:a"}}, "volume of Kubernetes, and platform='EC2'"),
        ({"platform": "EC2", "vcpu": 0.75}, "vcpu=0.75 is no whole number"),
        ({"platform": "EC2", "eks_namespace": "a"}, "it is for EKS, and platform='EC2'"),
        ({"platform": "FARGATE", "memory": 4, "eks_service_account": "a"}, "it is for EKS, and platform='FARGATE'"),
        ({"eks_namespace": "kube-system"}, "AWS Batch puts no pod there"),
        ({"job_definition_overrides": {"containerProperties": {"user": "1"}}}, "on EKS a job has eksProperties"),
        (
            {"platform": "EC2", "job_definition_overrides": {"eksProperties": {}}},
            "eksProperties are for EKS, and platform='EC2'",
        ),
        ({"job_definition_overrides": {"eksProperties": None}}, "without eksProperties there is no container"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        checked({**DEFAULTS, "platform": "EKS", **options})


@pytest.mark.parametrize("vcpu", [0.25, 0.75, 1, 2.5])
def test_vcpus_are_told_in_quarters(vcpu: float) -> None:
    assert checked({**DEFAULTS, "platform": "EKS", "vcpu": vcpu}).vcpu == vcpu


def test_an_executor_takes_the_options_of_any_platform_until_it_is_known() -> None:
    given: dict[str, Any] = {"vcpu": 0.75, "eks_namespace": "a", "volumes": {"/a": "claim:a"}}
    assert check_given(given) == given
    assert checked({**DEFAULTS, **given}).platform == ""


@pytest.mark.parametrize("name", ["environment", "env"])
def test_what_runs_the_task_stays_in_a_pod(name: str) -> None:
    container = {"name": "default", name: [{"name": "S3_BUCKET_NAME", "value": "mine"}]}
    changes = {"eksProperties": {"podProperties": {"containers": [container]}}}
    with pytest.raises(SettingsError, match="job_definition_overrides is not allowed"):
        checked({**DEFAULTS, "platform": "EKS", "job_definition_overrides": changes})
