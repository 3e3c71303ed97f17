"""No answer from AWS: who was asked, a region that does not exist, and commands that do not wait for long."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.probing import Probe
from support.servers import Answer, HttpServer

from covalent_awsbatch_plugin.cli import main
from covalent_awsbatch_plugin.doctor.checks import STEPS
from covalent_awsbatch_plugin.local import LocalAWS

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "secret-of-ENV"}
NOBODY = "aws.nobody.invalid"


@pytest.fixture
def mute() -> Iterator[int]:
    """A port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def closed() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that anything takes."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def run(*arguments: str, endpoint: str, region: str = "eu-west-1") -> Result:
    return CliRunner().invoke(main, [*arguments, "--endpoint-url", endpoint, "--region", region])


def checks(answer: Result) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in json.loads(answer.stdout)["checks"]}


def test_whom_no_answer_came_from_is_named_with_the_region(probe: Probe, mute: int, closed: int) -> None:
    """All at once, since each takes as long as a command waits."""
    places = [f"127.0.0.1:{mute}", f"127.0.0.1:{closed}", NOBODY]
    settings = [{"endpoint_url": f"http://{place}", "region": "eu-west-9"} for place in places]
    outcomes = probe.together(ENVIRONMENT, *({**one, "interactive": True} for one in settings))
    for place, outcome in zip(places, outcomes, strict=True):
        assert outcome["error"] == "ServiceError", outcome
        assert f"{place} was asked, in region eu-west-9" in outcome["message"]
        assert outcome["details"]["endpoint"] == place
        assert "not a region" not in outcome["message"]  # it is not the region's name that leads there
    assert "no answer within 7 s" in outcomes[0]["message"]
    assert "refused" in outcomes[1]["message"]
    assert "its name cannot be resolved" in outcomes[2]["message"]


@pytest.mark.parametrize(("region", "meant"), [("eu-west-9", "eu-west-1"), ("us-esat-1", "us-east-1")])
def test_a_region_that_does_not_exist_is_told_from_a_network_that_is_down(
    probe: Probe, region: str, meant: str
) -> None:
    [wrong] = probe.together(ENVIRONMENT, {"region": region, "interactive": True})
    host = f"sts.{region}.amazonaws.com"
    assert f"{host} was asked, in region {region}; its name cannot be resolved" in wrong["message"], wrong
    assert f"{region} is not a region that is known here; did you mean {meant}?" in wrong["message"]


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("place", ["mute", "closed", "nobody"])
def test_the_doctor_does_not_ask_again_where_no_answer_came_from(request: pytest.FixtureRequest, place: str) -> None:
    host = NOBODY if place == "nobody" else f"127.0.0.1:{request.getfixturevalue(place)}"
    answer = run("doctor", "--json", endpoint=f"http://{host}")
    assert answer.exit_code == 1
    found = checks(answer)
    assert f"{host} was asked, in region eu-west-1" in found["credentials"]["found"]
    rest = [name for name, _ in STEPS if name not in ("credentials", "region", "server")]
    assert {name: found[name]["found"] for name in rest} == dict.fromkeys(rest, f"not asked: no answer from {host}")


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(("command", "unasked"), [("jobs", "which jobs there are"), ("policy user", "--account")])
def test_a_command_says_what_it_did_not_ask(mute: int, command: str, unasked: str) -> None:
    answer = run(*command.split(), endpoint=f"http://127.0.0.1:{mute}")
    assert answer.exit_code == 1
    assert f"127.0.0.1:{mute} was asked, in region eu-west-1" in answer.output
    assert unasked in answer.output


def test_one_service_that_is_mute_does_not_hide_what_the_others_say(mute: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalAWS() as aws, HttpServer(lambda _: Answer()) as image:
        monkeypatch.setenv("AWS_ENDPOINT_URL_IAM", f"http://127.0.0.1:{mute}")
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
        options = {**aws.options, "endpoint_url": "", "container_image_uri": f"127.0.0.1:{image.port}/jobs:v1"}
        given = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
        found = checks(CliRunner().invoke(main, ["doctor", "--json", *given]))
    assert found["queue"]["state"] == "well"
    assert f"127.0.0.1:{mute} was asked" in found["execution role"]["found"]
    for name in ("job role", "job role's rights", "permissions"):
        assert found[name]["found"] == f"not asked: no answer from 127.0.0.1:{mute}"
    assert found["log group"]["state"] == "well"
