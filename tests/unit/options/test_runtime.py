"""Where a job has Covalent from, and in which image it runs."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.options import checks
from covalent_awsbatch_plugin.options.settings import DEFAULTS, FORMER_IMAGE

PYTHONS_OWN = "public.ecr.aws/docker/library/python:{}.{}-slim".format(*sys.version_info)


@pytest.mark.parametrize(
    ("given", "source", "image"),
    [
        ({}, "bucket", PYTHONS_OWN),
        ({"container_image_uri": "team/jobs:1"}, "image", "team/jobs:1"),
        ({"container_image_uri": FORMER_IMAGE}, "bucket", PYTHONS_OWN),
        ({"container_image_uri": FORMER_IMAGE, "runtime": "image"}, "image", FORMER_IMAGE),
        ({"container_image_uri": FORMER_IMAGE, "runtime": "bucket"}, "bucket", PYTHONS_OWN),
        ({"container_image_uri": "python:3.11", "runtime": "bucket"}, "bucket", "python:3.11"),
        ({"runtime": "bucket"}, "bucket", PYTHONS_OWN),
    ],
)
def test_an_image_that_is_given_has_all_unless_it_is_said_otherwise(
    given: dict[str, Any], source: str, image: str
) -> None:
    settings = checks.checked({**DEFAULTS, **given})
    assert (settings.source, settings.image) == (source, image)


def test_an_image_with_all_must_be_given() -> None:
    with pytest.raises(SettingsError, match=r"runtime='image' is not allowed .no image is given"):
        checks.checked({**DEFAULTS, "runtime": "image"})
    # What the configuration of the server says is not known here.
    assert checks.check_given({"runtime": "image"}) == {"runtime": "image"}
