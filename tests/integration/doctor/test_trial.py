"""The doctor runs a job of its own, and follows it: `doctor --run`."""

from __future__ import annotations

from typing import Any

from support.doctor import ask, denying

from covalent_awsbatch_plugin.local import LocalAWS


def test_a_job_is_run_and_followed(options: dict[str, Any]) -> None:
    report = ask({**options, "vcpu": 1}, "--run")
    assert report.code == 0
    assert report.checks[-1]["name"] == "run"
    assert "Python 3." in report.checks[-1]["found"]
    seconds = report.checks[-1]["seconds"]
    assert {"SUBMITTED", "SUCCEEDED", "result"} <= seconds.keys()
    assert list(seconds.values()) == sorted(seconds.values())


def test_a_job_that_may_not_be_submitted(aws: LocalAWS, options: dict[str, Any]) -> None:
    with denying(aws, "iam", "/v1/submitjob") as server:
        report = ask({**options, "endpoint_url": server.url}, "--run")
    assert list(report.wrong()) == ["run"]
    assert "batch:SubmitJob" in report.wrong()["run"]


def test_no_job_is_run_while_something_is_wrong(aws: LocalAWS, options: dict[str, Any]) -> None:
    before = len(aws.jobs())
    report = ask({**options, "vcpu": 99}, "--run")
    assert "mend what is wrong first" in report.untold()["run"]
    assert len(aws.jobs()) == before
