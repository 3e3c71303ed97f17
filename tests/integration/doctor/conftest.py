"""An account that the doctor finds well, for each file of tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.doctor import REGISTRY

from covalent_awsbatch_plugin.local import LocalAWS


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAWS]:
    """An embedded AWS with an image for each kind of processor."""
    with LocalAWS() as aws:
        ecr = aws.client("ecr")
        ecr.create_repository(repositoryName="team/jobs")
        for number, architecture in enumerate(("amd64", "arm64")):
            entry = {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": f"sha256:{number:064}",
                "size": 1,
                "platform": {"architecture": architecture, "os": "linux"},
            }
            index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}
            ecr.put_image(repositoryName="team/jobs", imageTag=architecture, imageManifest=json.dumps(index))
        yield aws


@pytest.fixture
def options(aws: LocalAWS) -> dict[str, Any]:
    return {**aws.options, "container_image_uri": f"{REGISTRY}/team/jobs:amd64"}
