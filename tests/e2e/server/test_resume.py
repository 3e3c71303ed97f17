"""A run survives its server: the dispatch goes on under its id, with the right result, and nothing is run twice."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import covalent as ct
import pytest
from support.covalent_client import client_of
from support.resuming import QUICK, Cloud

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer
from covalent_awsbatch_plugin.server import ending


def test_a_server_that_is_killed_while_jobs_run(cloud: Cloud) -> None:
    """One of them ends while there is no server, one goes on, and what takes their results has not begun."""
    early, late, both = cloud.electron("early", gated=True), cloud.electron("late", gated=True), cloud.electron("both")

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow(number: int) -> Any:
        return both(early(number), late(2))

    dispatch = cloud.client.dispatch(workflow, 1)
    cloud.called("early", "late")
    assert cloud.resume("--all") == {}
    cloud.server.kill()
    cloud.open("early")
    cloud.jobs_are(dispatch, "SUCCEEDED", "RUNNING")
    cloud.server.start()
    assert cloud.client.status(dispatch) == "RUNNING"

    assert cloud.resume(code=2) == {dispatch: "lost"}
    assert cloud.resume(dispatch) == {dispatch: "resumed"}
    assert cloud.resume(dispatch) == {dispatch: "running"}
    cloud.open("late")
    assert cloud.client.completed(dispatch).result == 3
    assert cloud.calls() == {"early": 1, "late": 1, "both": 1}
    assert len(cloud.jobs(dispatch)) == 3
    assert cloud.resume(dispatch) == {dispatch: "over"}
    assert cloud.resume("no-such-dispatch", code=1) == {"no-such-dispatch": "refused"}


def test_a_server_that_is_stopped_leaves_its_jobs_alone(cloud: Cloud) -> None:
    """What a user had cancelled before stays cancelled."""
    first, cancelled, last = cloud.electron("first", gated=True), cloud.electron("cancelled"), cloud.electron("last")

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow(number: int) -> Any:
        return last(first(number))

    @ct.lattice(executor="local", workflow_executor="local")
    def unwanted(number: int) -> Any:
        return cancelled(first(number))

    dispatch, other = cloud.client.dispatch(workflow, 1), cloud.client.dispatch(unwanted, 1)
    cloud.client.until(lambda: cloud.calls()["first"] == 2, "both to run", 90)
    (node,) = (node for node in cloud.graph(other) if node["name"] == "cancelled")
    ct.cancel(other, [node["id"]])
    cloud.server.interrupt()
    cloud.jobs_are(dispatch, "RUNNING")
    cloud.jobs_are(other, "RUNNING")
    cloud.server.start()
    assert cloud.client.status(dispatch) == "RUNNING"

    assert cloud.resume("--all") == {dispatch: "resumed", other: "resumed"}
    cloud.open("first")
    assert cloud.client.completed(dispatch, 25).result == 1
    assert str(cloud.client.wait(other).status) == "CANCELLED"
    assert cloud.calls() == {"first": 2, "last": 1}


def test_jobs_end_with_a_server_that_is_stopped_if_that_was_asked_for(cloud: Cloud) -> None:
    first = cloud.electron("first", AWSBatchExecutor(on_server_stop="terminate"), gated=True)

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow(number: int) -> Any:
        return first(number)

    dispatch = cloud.client.dispatch(workflow, 1)
    cloud.called("first")
    cloud.server.interrupt()
    cloud.jobs_are(dispatch, "FAILED")
    cloud.server.start()
    assert cloud.resume("--all") == {dispatch: "resumed"}
    assert str(cloud.client.wait(dispatch).status) == "CANCELLED"
    assert cloud.calls() == {"first": 1}


@pytest.mark.parametrize("end", ["kill", "interrupt"])
def test_each_electron_is_at_another_point_when_the_server_ends(cloud: Cloud, end: str) -> None:
    """One kill finds tasks that upload, submit, have just submitted, and fetch their result."""
    points = {
        "uploads": "upload",
        "submits": "submission",
        "has_submitted": "answer",
        "has_submitted_and_runs": "answer",
        "fetches": "result",
    }
    electrons = {name: cloud.electron(name, gated=name.endswith("runs")) for name in points}
    uploads_a_part, total = cloud.electron("uploads_a_part"), cloud.electron("total")

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow(number: int, large: bytes) -> Any:
        small = [electron(number) for electron in electrons.values()]
        return total(*small, uploads_a_part(large))

    large = b"x" * 17_000_000
    dispatch = cloud.dispatch_held({**points, "uploads_a_part": "part"}, workflow, 1, large)
    getattr(cloud.server, end)()
    cloud.way.release()
    cloud.server.start()
    assert cloud.resume("--all") == {dispatch: "resumed"}
    cloud.open("has_submitted_and_runs")
    assert cloud.client.completed(dispatch).result == len(large) + len(points)
    assert cloud.calls() == dict.fromkeys([*points, "uploads_a_part", "total"], 1)
    assert len(cloud.jobs(dispatch)) == len(points) + 2


def test_what_is_not_to_go_on_ends_with_a_sentence(cloud: Cloud) -> None:
    """Its job has ended, so that it is no orphan; `jobs` names the dispatch all the same."""
    early, late, last = cloud.electron("early"), cloud.electron("late", gated=True), cloud.electron("last")

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow(number: int) -> Any:
        return last(early(number), late(number))

    dispatch = cloud.client.dispatch(workflow, 1)
    cloud.called("late")
    cloud.jobs_are(dispatch, "SUCCEEDED", "RUNNING")
    cloud.restart()
    said = cloud.command("jobs", "--all", "--json")
    assert json.loads(said.stdout)["lost_dispatches"] == [dispatch]

    assert cloud.resume(dispatch, "--end", "--yes") == {dispatch: "failed"}
    result = cloud.client.wait(dispatch)
    sentence = f"{ending.REASON}, and it was ended by `covalent-awsbatch resume --end`."
    assert (str(result.status), result.error) == ("FAILED", sentence)
    assert (str(cloud.client.node(result, "late")["status"]), cloud.client.node(result, "late")["error"]) == (
        "FAILED",
        sentence,
    )
    assert str(cloud.client.node(result, "last")["status"]) == "NEW_OBJECT"
    cloud.jobs_are(dispatch, "SUCCEEDED", "FAILED")
    assert json.loads(cloud.command("jobs", "--json").stdout)["lost_dispatches"] == []


def test_without_a_server_the_command_says_what_to_do(cloud: Cloud) -> None:
    cloud.server.kill()
    done = cloud.command("resume", "--all")
    cloud.server.start()
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: the Covalent server at {cloud.server.url} cannot be asked: ")
    assert done.stderr.endswith("If it does not run, start it with `covalent start`, then repeat this command.\n")


def test_a_server_that_starts_resumes_by_itself(cloud: Cloud, tmp_path: Path) -> None:
    late = cloud.electron("late", gated=True)

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow(number: int) -> Any:
        return late(number)

    config = {"awsbatch": {**cloud.aws.options, **QUICK, "resume_on_start": "true"}}
    with CovalentServer(cloud.aws.environment, config, tmp_path) as server, client_of(server) as client:
        dispatch = client.dispatch(workflow, 1)
        cloud.called("late")
        server.kill()
        server.start()
        cloud.open("late")
        assert client.completed(dispatch, 25).result == 1
    assert cloud.calls() == {"late": 1}


def test_what_is_cancelled_before_it_is_resumed_stays_cancelled(cloud: Cloud) -> None:
    """Also where its server was stopped, which cancels everything, and what had not begun when it was cancelled."""
    dispatch = cloud.dispatch_chain("first", "last")
    cloud.server.interrupt()
    cloud.server.start()
    ct.cancel(dispatch, [next(node["id"] for node in cloud.graph(dispatch) if node["name"] == "last")])
    assert cloud.resume("--all") == {dispatch: "resumed"}
    cloud.open("first")
    assert str(cloud.client.wait(dispatch).status) == "CANCELLED"
    assert cloud.calls() == {"first": 1}


def test_a_submission_that_is_answered_as_the_server_stops_is_kept(cloud: Cloud) -> None:
    runs = cloud.electron("runs", gated=True)

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow(number: int) -> Any:
        return runs(number)

    dispatch = cloud.dispatch_held({"runs": "answer"}, workflow, 1)
    cloud.called("runs")
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(cloud.server.interrupt)
        cloud.client.until(lambda: not cloud.answers(), "the server to stop", 20)
        cloud.way.release()
        stopping.result()
    cloud.server.start()
    assert cloud.resume("--all") == {dispatch: "resumed"}
    cloud.open("runs")
    assert cloud.client.completed(dispatch, 25).result == 1
    assert cloud.calls() == {"runs": 1}
    assert len(cloud.jobs(dispatch)) == 1


def test_electrons_with_jobs_that_are_about_to_be_taken_up_again_when_the_server_stops(cloud: Cloud) -> None:
    """Covalent writes down of each that it was cancelled, as it does of what a user has cancelled."""
    names = [f"runs_{number}" for number in range(12)]
    electrons = [cloud.electron(name, gated=True) for name in names]

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow(number: int) -> Any:
        return [electron(number) for electron in electrons]

    dispatch = cloud.client.dispatch(workflow, 1)
    cloud.called(*names)
    for end in ("kill", "interrupt", "kill"):
        getattr(cloud.server, end)()
        cloud.server.start()
        assert cloud.resume("--all") == {dispatch: "resumed"}
    cloud.open(*names)
    assert cloud.client.completed(dispatch).result == [1] * len(names)
    assert cloud.calls() == dict.fromkeys(names, 1)


def test_what_a_user_cancelled_stays_cancelled_however_often_the_server_stops(cloud: Cloud) -> None:
    """It has not begun, so that no executor has accepted it."""
    dispatch = cloud.dispatch_chain("first", "last")
    ct.cancel(dispatch, [next(node["id"] for node in cloud.graph(dispatch) if node["name"] == "last")])
    for end in ("interrupt", "kill", "interrupt"):
        getattr(cloud.server, end)()
        cloud.server.start()
        assert cloud.resume("--all") == {dispatch: "resumed"}
    cloud.open("first")
    assert str(cloud.client.wait(dispatch).status) == "CANCELLED"
    assert cloud.calls() == {"first": 1}


def test_what_was_ended_after_the_server_had_stopped_stays_ended(cloud: Cloud) -> None:
    held, last = cloud.electron("held"), cloud.electron("last")

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow(number: int) -> Any:
        return last(held(number))

    dispatch = cloud.dispatch_held({"held": "upload"}, workflow, 1)
    cloud.server.interrupt()
    cloud.way.release()
    cloud.server.start()
    assert cloud.resume(dispatch, "--end", "--yes") == {dispatch: "failed"}
    assert cloud.resume("--all") == {}
    assert cloud.resume(dispatch) == {dispatch: "over"}
    assert str(ct.get_result(dispatch).status) == "FAILED"
    assert cloud.calls() == {}
