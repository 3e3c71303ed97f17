"""Credentials that are missing or expired, and a clock that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab import Lab, faults
from support.doctor import ask

from covalent_awsbatch_plugin.doctor.checks import STEPS


@pytest.mark.parametrize("operation", ["*", "GetCallerIdentity"])
def test_expired_credentials(operation: str) -> None:
    with Lab(faults=[faults.expired(operation)]) as lab:
        report = ask(lab.options)
    assert list(report.wrong()) == ["credentials"]
    assert "ExpiredToken" in report.wrong()["credentials"]
    assert "aws sso login" in report.wrong()["credentials"]
    assert report.found("clock") == "agrees with AWS's"
    assert report.untold()["permissions"] == "not asked, for want of credentials"


def test_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (tmp_path / "credentials").touch()
    with Lab() as lab:
        report = ask({**lab.options, "profile": "", "credentials": tmp_path / "credentials"})
    assert report.code == 1
    assert list(report.wrong()) == ["credentials"]
    assert "AWS_ACCESS_KEY_ID" in report.wrong()["credentials"]
    assert report.untold().keys() == {
        "clock",
        *(name for name, _ in STEPS if name not in ("server", "credentials", "region")),
    }


@pytest.mark.parametrize(("ahead", "said"), [(600, "behind AWS's"), (-600, "ahead of AWS's")])
def test_a_clock_that_is_wrong(ahead: float, said: str) -> None:
    with Lab(faults=[faults.skewed(ahead)]) as lab:
        report = ask(lab.options)
    assert said in report.wrong()["clock"]
    assert "set-ntp" in report.wrong()["clock"]
