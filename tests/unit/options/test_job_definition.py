"""A job definition of the user's, and changes of the one that is registered."""

from __future__ import annotations

from typing import Any

import pytest

from covalent_awsbatch_plugin.doctor.policy import USER, Place, document
from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.options import checks
from covalent_awsbatch_plugin.options.settings import DEFAULTS, Settings
from covalent_awsbatch_plugin.task.job_request import job_request
from covalent_awsbatch_plugin.task.merging import merged

ARN = "arn:aws:batch:eu-west-1:123456789012:job-definition/mine:3"


def variables(field: str, name: str) -> dict[str, Any]:
    """Changes by which a container gets a variable."""
    value = {"environment": {"value": "secret"}, "secrets": {"valueFrom": "arn:secret"}}[field]
    return {"ecsProperties": {"taskProperties": [{"containers": [{field: [{"name": name, **value}]}]}]}}


@pytest.mark.parametrize("name", ["mine", "mine:3", ARN, ARN.removesuffix(":3")])
def test_a_definition_of_ones_own_is_named(name: str) -> None:
    request = job_request(checks.checked({**DEFAULTS, "job_definition": name}), "d", 1, "")
    assert request["revision"] == name
    assert "containerProperties" not in request["definition"]


@pytest.mark.parametrize(
    "name", ["my definition", "mine:latest", "mine:", "arn:aws:batch:eu-west-1:1:job-queue/mine", 3]
)
def test_what_is_no_definition_is_refused(name: Any) -> None:
    with pytest.raises(SettingsError, match="must be the name of a job definition, name:revision or its ARN"):
        checks.checked({**DEFAULTS, "job_definition": name})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"volumes": {"/a": ""}}, "volumes cannot be said of a job"),
        ({"stop_timeout": 5}, "stop_timeout cannot be said of a job"),
        ({"runtime": "bucket"}, "its image has to bring Covalent and this package"),
        ({"job_definition_overrides": {"timeout": {}}}, "nothing is registered then"),
    ],
)
def test_what_it_would_have_to_say_itself_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        checks.checked({**DEFAULTS, "job_definition": "mine", **options})


def test_its_image_has_the_packages_and_nothing_is_registered() -> None:
    assert Settings(job_definition="mine").source == "image"
    assert Settings(job_definition="mine", ecr_repo_name="images").source == "image"
    policy = document(USER, Settings(job_definition="mine:3"), Place("123456789012", "eu-west-1"))
    statements = {statement["Sid"]: statement for statement in policy["Statement"]}
    assert statements.keys().isdisjoint({"Register", "Roles"})
    assert statements["Submit"]["Resource"][1:] == [ARN.removesuffix(":3"), f"{ARN.removesuffix(':3')}:*"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"containerPropertis": {}}, "has no field containerPropertis: did you mean containerProperties?"),
        ({"containerProperties": {"memroy": 1}}, "ContainerProperties has no field memroy: did you mean memory?"),
        ({"containerProperties": {"linuxParameters": {"maxSwap": "1"}}}, "LinuxParameters.maxSwap is no integer"),
        ({"containerProperties": {"colour": "secret"}}, "ContainerProperties has no field colour)"),
        ({"jobDefinitionName": "x"}, "batch_job_definition_name says it"),
        ({"nodeProperties": {}}, "nodes says how many there are"),
        ({"platformCapabilities": ["FARGATE"]}, "platform says it"),
        ({"retryStrategy": {"attempts": 3}}, "retry_attempts and retry_on say it"),
        ({"containerProperties": None}, "without containerProperties there is no container"),
        ({"ecsProperties": None, "containerProperties": {}}, "without ecsProperties there is no container"),
        ({"containerProperties": {"environment": None}}, "the environment says what the container runs"),
        (variables("environment", "S3_BUCKET_NAME"), "S3_BUCKET_NAME is set by the executor itself"),
        (variables("secrets", "COVALENT_AWSBATCH_SIGNING_KEY"), "COVALENT_AWSBATCH_SIGNING_KEY is set by the executor"),
        ({"timeout": {"attemptDurationSeconds": float("nan")}}, "it is no JSON"),
        ({"tags": {"a": {1}}}, "it is no JSON"),
        ("containerProperties", "must be name:value"),
        (["containerProperties"], "it is a list"),
    ],
)
def test_changes_that_do_not_fit_the_api_are_refused_with_what_was_meant(changes: Any, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        checks.check_given({"job_definition_overrides": changes})
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_another_command_is_for_an_image_that_has_the_packages_or_for_another_container() -> None:
    changes: dict[str, Any] = {"containerProperties": {"command": ["sh"]}}
    with pytest.raises(SettingsError, match="the command fetches what the container runs"):
        checks.checked({**DEFAULTS, "job_definition_overrides": changes})
    checks.check_given({"job_definition_overrides": changes})
    image = {"container_image_uri": "team/jobs:1"}
    container = job_request(checks.checked({**DEFAULTS, **image, "job_definition_overrides": changes}), "d", 1, "")[
        "definition"
    ]["containerProperties"]
    assert container["command"] == ["sh"]
    beside = {"ecsProperties": {"taskProperties": [{"containers": [{"name": "proxy", "command": ["sh"]}]}]}}
    checks.checked({**DEFAULTS, "job_definition_overrides": beside})


def test_changes_are_merged() -> None:
    options: dict[str, Any] = {
        "volumes": {"/data": ""},
        "ulimits": {"nofile": 1},
        "job_definition_overrides": {
            "schedulingPriority": 3,
            "containerProperties": {
                "jobRoleArn": None,
                "linuxParameters": {"maxSwap": 1024},
                "ulimits": [
                    {"name": "nofile", "softLimit": 2, "hardLimit": 2},
                    {"name": "core", "softLimit": 0, "hardLimit": 0},
                ],
                "volumes": [{"name": "docker", "host": {"sourcePath": "/var/run/docker.sock"}}],
                "mountPoints": [{"containerPath": "/docker.sock", "sourceVolume": "docker"}],
            },
        },
    }
    definition = job_request(Settings(**options), "d", 1, "")["definition"]
    container = definition["containerProperties"]
    assert definition["schedulingPriority"] == 3
    assert "jobRoleArn" not in container
    assert container["linuxParameters"] == {"maxSwap": 1024}
    assert [limit["softLimit"] for limit in container["ulimits"]] == [2, 0]
    assert [volume["name"] for volume in container["volumes"]] == ["volume-0", "docker"]
    assert [mount["containerPath"] for mount in container["mountPoints"]] == ["/data", "/docker.sock"]


def test_another_log_driver_has_its_own_options_alone() -> None:
    splunk = {"logDriver": "splunk", "options": {"splunk-url": "https://splunk.example.com"}}
    changes: dict[str, Any] = {"job_definition_overrides": {"containerProperties": {"logConfiguration": splunk}}}
    container = job_request(Settings(**changes), "d", 1, "")["definition"]["containerProperties"]
    assert container["logConfiguration"] == splunk
    longer = {"options": {"mode": "non-blocking"}}
    changes = {"job_definition_overrides": {"containerProperties": {"logConfiguration": longer}}}
    container = job_request(Settings(**changes), "d", 1, "")["definition"]["containerProperties"]
    assert container["logConfiguration"]["options"].keys() > {"mode", "awslogs-group"}


def test_changes_go_into_a_task_of_one_container_as_well() -> None:
    options: dict[str, Any] = {
        "stop_timeout": 5,
        "job_definition_overrides": {
            "containerProperties": {"user": "1"},
            "ecsProperties": {"taskProperties": [{"pidMode": "host"}]},
        },
    }
    request = job_request(Settings(**options), "d", 1, "")
    [task] = request["definition"]["ecsProperties"]["taskProperties"]
    assert task["pidMode"] == "host"
    assert (task["containers"][0]["user"], task["containers"][0]["stopTimeout"]) == ("1", 5)
    del options["stop_timeout"]
    assert "ecsPropertiesOverride" in job_request(Settings(**options), "d", 1, "")["job"]


def test_nothing_of_what_is_merged_is_changed() -> None:
    ours = {"a": {"b": 1}, "c": [{"name": "x", "value": 1}], "d": ["x"]}
    theirs = {"a": {"e": 2}, "c": [{"name": "x", "value": 2}, {"name": "y"}], "d": ["y"]}
    found = merged(ours, theirs)
    assert found == {"a": {"b": 1, "e": 2}, "c": [{"name": "x", "value": 2}, {"name": "y"}], "d": ["y"]}
    assert ours == {"a": {"b": 1}, "c": [{"name": "x", "value": 1}], "d": ["x"]}


def test_what_is_empty_is_put_in_its_place_but_for_a_list_of_structures() -> None:
    ours = {"user": "1000", "command": ["python3"], "environment": [{"name": "x"}]}
    found = merged(ours, {"user": "", "command": [], "environment": []})
    assert found == {"user": "", "command": [], "environment": [{"name": "x"}]}
