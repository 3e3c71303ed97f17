"""Where the image has nothing but Python, the doctor looks at what this machine would pack."""

from __future__ import annotations

from typing import Any

import pytest
from lab import Lab, Queue
from support.doctor import ask

from covalent_awsbatch_plugin.environment import runtime
from covalent_awsbatch_plugin.options.settings import FORMER_IMAGE


def test_the_packages_of_this_machine_are_counted(options: dict[str, Any]) -> None:
    report = ask({**options, "runtime": "bucket"})
    assert report.code == 0, report.checks
    assert report.found("packages").startswith(
        f"{len(runtime.distributions('x86_64'))} of this machine, through the bucket, for Python 3."
    )
    report = ask({**options, "runtime": "ecr", "ecr_repo_name": "team/jobs"})
    assert "of this machine, in an image that is made, for Python 3." in report.found("packages")


def test_packages_for_another_processor_than_the_queues_are_told() -> None:
    with Lab(queues={"lab-queue": Queue(instance_types=("m6g.xlarge",))}) as lab:
        options = {**lab.options, "container_image_uri": "", "architecture": "X86_64"}
        wrong = ask(options).wrong()
    assert wrong["packages"] == (
        'they are for X86_64, and the queue\'s machines are ARM64 → set `architecture = "ARM64"`'
    )


def test_a_package_that_is_missing_is_named_with_its_fix(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "_ROOTS", ("not-installed-anywhere",))
    report = ask({**options, "runtime": "bucket"})
    assert report.wrong() == {
        "packages": "not-installed-anywhere is needed and not installed here → install it with pip, or set "
        "`container_image_uri` to an image that has Covalent and this package"
    }


def test_an_image_of_its_own_is_to_have_them(options: dict[str, Any]) -> None:
    assert ask(options).found("packages").startswith("those of the image, which `container_image_uri` names")


def test_the_former_default_is_named_with_what_to_do(options: dict[str, Any]) -> None:
    report = ask({**options, "container_image_uri": FORMER_IMAGE})
    assert "the former default, with Python 3.8; it counts as not given: public.ecr.aws/docker/library/python:3." in (
        report.found("packages")
    )
    [fix] = [one["fix"] for one in report.checks if one["name"] == "packages"]
    assert fix.startswith("remove `container_image_uri` from [executors.awsbatch]")
