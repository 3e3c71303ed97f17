"""The job's request, AWS's model of its API, and the table of fields that the core has of it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from lab import limits
from lab.messages import AwsError

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.local.api_model import model_violations
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.task.job_request import job_request

ROOT = Path(__file__).parents[3]

EVERYTHING = {
    "num_gpus": 1,
    "environment": {"A": "1"},
    "tags": {"a": "b"},
    "retry_on": "infrastructure",
    "s3_kms_key_id": "alias/key",
    "retry_memory_factor": 2,
    "retry_queues": ["on-demand"],
    "spot_notice": True,
}
CONTAINER = {
    "num_gpus": 1,
    "volumes": {
        "/tmp": "",
        "/data": "/mnt/data",
        "/efs": {"source": "fs-0123abcd", "access_point": "fsap-0123abcd", "iam": True, "read_only": True},
        "/models": {"source": "fs-0123abcd", "root": "/models"},
        "/files": {"source": "arn:aws:s3files:us-east-1:123456789012:file-system/fs-1", "access_point": "arn:aws:x"},
    },
    "secrets": {"TOKEN": "arn:aws:secretsmanager:us-east-1:123456789012:secret:t-AbCdEf", "WORD": "/word"},
    "ulimits": {"nofile": [1024, 65536], "memlock": -1},
    "tmpfs": {"/scratch": 0.5},
    "devices": ["/dev/fuse", "/dev/a:/dev/b:rwm"],
    "privileged": True,
    "user": "1000:100",
    "read_only_root": True,
    "init": True,
}
AS_TASK = {**CONTAINER, "stop_timeout": 90, "ipc_mode": "host"}
FARGATE_AS_TASK = {
    "platform": "FARGATE",
    "ephemeral_storage": 30,
    "memory": 4,
    "stop_timeout": 120,
    "init": True,
    "volumes": {"/tmp": "", "/efs": "fs-0123abcd"},
    "read_only_root": True,
    "user": "1000",
}
CHANGED = {
    "job_definition_overrides": {"containerProperties": {"logConfiguration": {"logDriver": "splunk"}}, "parameters": {}}
}
IN_A_SHARE = {"share_identifier": "blue", "scheduling_priority": 9999, "consumable_resources": {"licence": 2}}
MINE: dict[str, Any] = {"job_definition": "mine:1", "consumable_resources": {"licence": 2}}
ON_NODES = {**CONTAINER, "nodes": 3, "node_results": "all"}
ON_NODES_AS_TASK = {**AS_TASK, "nodes": 3, "consumable_resources": {"licence": 2}}
ON_FARGATE = {"platform": "FARGATE", "vcpu": 0.25, "memory": 0.5, "ephemeral_storage": 30, "assign_public_ip": False}

MANAGED: dict[str, Any] = {"platform": "MANAGED_INSTANCES", "vcpu": 0.5, "num_gpus": 1, "architecture": "ARM64"}

IN_A_POD = {
    "platform": "EKS",
    "vcpu": 0.75,
    "num_gpus": 1,
    "tags": {"team": "physics"},
    "retry_on": "infrastructure",
    "volumes": {"/data": {"source": "/mnt", "read_only": True}, "/claim": "claim:a", "/tmp": ""},
    "tmpfs": {"/scratch": 0.5},
    "privileged": True,
    "user": "1000:100",
    "read_only_root": True,
    "eks_namespace": "research",
    "eks_service_account": "runner",
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("batch_fields", ROOT / "scripts" / "batch_fields.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_core_knows_no_field_that_the_model_does_not_have(script: ModuleType) -> None:
    """A newer model may have more; what the file has must be there, and of the same type."""
    model = script.fields()
    ours = json.loads(script.FILE.read_text(encoding="utf-8"))
    assert set(ours) <= set(model)
    for name, fields in ours.items():
        assert fields.items() <= model[name].items(), name


@pytest.mark.parametrize(
    "options",
    [
        *(
            {},
            EVERYTHING,
            ON_FARGATE,
            {**CONTAINER, **MANAGED},
            IN_A_SHARE,
            CONTAINER,
            AS_TASK,
            FARGATE_AS_TASK,
            CHANGED,
        ),
        *(IN_A_POD, ON_NODES, ON_NODES_AS_TASK),
    ],
)
def test_what_is_submitted_fits_the_model(options: dict[str, Any]) -> None:
    request = job_request(Settings(**options), "d", 1, "123456789012")
    assert not model_violations("batch", "RegisterJobDefinition", request["definition"])
    assert not model_violations("batch", "SubmitJob", {**request["job"], "jobDefinition": "arn"})


def test_what_is_submitted_under_a_definition_of_the_users_fits_the_model() -> None:
    request = job_request(Settings(**MINE), "d", 1, "123456789012")
    assert not model_violations("batch", "SubmitJob", {**request["job"], "jobDefinition": request["revision"]})
    assert request["job"]["consumableResourcePropertiesOverride"]


@pytest.mark.parametrize("part", ["definition", "job"])
def test_a_field_that_batch_does_not_have_is_refused_before_anything_is_sent(part: str) -> None:
    request = job_request(Settings(), "d", 1, "")
    request[part]["imgae"] = "secret"
    with pytest.raises(SettingsError, match="has no field imgae") as raised:
        Client(json.dumps({"region": "us-east-1"})).submit(json.dumps(request))
    assert "secret" not in str(raised.value)


def test_the_laboratory_refuses_it_too() -> None:
    """So that no test passes with a request that AWS would refuse."""
    request = job_request(Settings(), "d", 1, "")
    definition, job = request["definition"], {**request["job"], "jobDefinition": "arn"}
    limits.check_definition(definition, 1)
    limits.check_job(job, 1)
    definition["containerProperties"]["imgae"] = job["containerOverrides"]["imgae"] = "secret"
    with pytest.raises(AwsError, match="imgae"):
        limits.check_definition(definition, 1)
    with pytest.raises(AwsError, match="imgae"):
        limits.check_job(job, 1)
