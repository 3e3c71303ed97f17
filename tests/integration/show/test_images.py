"""`covalent-awsbatch environment` where environments are images in ECR."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.images import Image, Registry

from covalent_awsbatch_plugin.cli import main
from covalent_awsbatch_plugin.local import LocalAWS

NAME = "covalent-jobs"

pytestmark = pytest.mark.usefixtures("small_packages")


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAWS]:
    with LocalAWS() as aws:
        yield aws


@pytest.fixture
def ecr(aws: LocalAWS) -> Iterator[Any]:
    ecr = aws.client("ecr")
    ecr.create_repository(repositoryName=NAME, imageTagMutability="IMMUTABLE")
    yield ecr
    ecr.delete_repository(repositoryName=NAME, force=True)


@pytest.fixture
def base() -> Iterator[str]:
    registry = Registry()
    with registry.server:
        yield registry.add("python:3", Image())


def ask(aws: LocalAWS, base: str, *arguments: str) -> Result:
    options = {**aws.options, "container_image_uri": base, "runtime": "ecr", "ecr_repo_name": NAME}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return CliRunner().invoke(main, ["environment", *arguments, *flags])


def test_an_image_is_made_listed_and_deleted(aws: LocalAWS, ecr: Any, base: str) -> None:
    empty = ask(aws, base, "list")
    assert empty.stdout == f"Nothing in the ECR repository {NAME}.\n"
    built = json.loads(ask(aws, base, "build", "--json").stdout)
    [image] = ecr.describe_images(repositoryName=NAME)["imageDetails"]
    assert built["place"] == f"the ECR repository {NAME}"
    assert built["image"].endswith(f"/{NAME}@{image['imageDigest']}")
    [listed] = json.loads(ask(aws, base, "list", "--json").stdout)["environments"]
    assert (listed["key"], listed["in_use"], listed["packages"]) == (image["imageTags"][0], True, 2)
    assert ask(aws, base, "build").stdout.startswith(
        f"There: 2 packages, 0 MB, Python {built['python']}, in the ECR repos"
    )
    pruned = ask(aws, base, "prune", "--yes")
    assert pruned.stdout.startswith("Nothing deleted."), "it is in use here"
    assert len(ecr.describe_images(repositoryName=NAME)["imageDetails"]) == 1


def test_an_image_is_made_anew_on_the_base_as_it_is_now(aws: LocalAWS, ecr: Any, base: str) -> None:
    first = json.loads(ask(aws, base, "build", "--json").stdout)["image"]
    assert json.loads(ask(aws, base, "build", "--json").stdout)["image"] == first
    again = ask(aws, base, "refresh", "--json")
    assert json.loads(again.stdout)["image"] == first, "the base is the same, and so is the image"
    assert len(ecr.describe_images(repositoryName=NAME)["imageDetails"]) == 1


def test_what_stands_in_the_way_is_said(aws: LocalAWS, base: str) -> None:
    failed = ask(aws, base, "build")
    assert failed.exit_code == 1
    assert NAME in failed.stderr
    assert "Traceback" not in failed.stderr
