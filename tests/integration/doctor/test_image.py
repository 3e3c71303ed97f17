"""The image: in ECR, in another registry, and for which kind of processor it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.doctor import ask
from support.servers import Answer, HttpServer, Request
from support.signing import forward_signed

from covalent_awsbatch_plugin.doctor import images
from covalent_awsbatch_plugin.local import LocalAWS


def test_an_image_of_one_kind_names_it_in_its_configuration(aws: LocalAWS, options: dict[str, Any]) -> None:
    forward = forward_signed(aws)
    digest = f"sha256:{7:064}"
    manifest = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "config": {"digest": digest}, "layers": []}
    server: HttpServer

    def answer(request: Request) -> Answer:
        target = request.headers.get("x-amz-target", "")
        if target.endswith("BatchGetImage"):
            return Answer(json.dumps({"images": [{"imageManifest": json.dumps(manifest)}]}).encode())
        if target.endswith("GetDownloadUrlForLayer"):
            assert json.loads(request.body)["layerDigest"] == digest
            return Answer(json.dumps({"downloadUrl": f"{server.url}/configuration"}).encode())
        return Answer(b'{"architecture": "arm64"}') if request.path == "/configuration" else forward(request)

    with HttpServer(answer) as server:
        report = ask({**options, "endpoint_url": server.url})
    assert "is for arm64, and the queue's instances are amd64" in report.wrong()["image"]


@pytest.mark.parametrize("manifest", ["[7]", '{"manifests": [7], "config": []}', "[" * 100_000])
def test_a_manifest_of_any_kind_does_not_hide_that_the_image_is_there(
    aws: LocalAWS, options: dict[str, Any], manifest: str
) -> None:
    forward = forward_signed(aws)

    def answer(request: Request) -> Answer:
        if request.headers.get("x-amz-target", "").endswith("BatchGetImage"):
            return Answer(json.dumps({"images": [{"imageManifest": manifest}]}).encode())
        return forward(request)

    with HttpServer(answer) as server:
        report = ask({**options, "endpoint_url": server.url})
    assert "its architecture could not be told" in report.found("image")


def test_the_repository_in_which_images_are_made(options: dict[str, Any]) -> None:
    made = {**options, "runtime": "ecr"}
    report = ask({**made, "ecr_repo_name": "team/jobs"})
    assert report.found("repository") == "images are made in team/jobs"
    assert "no ECR repository gone" in ask({**made, "ecr_repo_name": "gone"}).wrong()["repository"]
    assert "repository" not in {one["name"] for one in ask(options).checks}


def test_a_registry_that_cannot_be_asked(options: dict[str, Any]) -> None:
    report = ask({**options, "container_image_uri": "127.0.0.1:1/team/jobs:v1"})
    assert (report.code, list(report.untold())) == (2, ["image"])
    assert "127.0.0.1:1 could not be asked from here" in report.untold()["image"]


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("python", ("registry-1.docker.io", "library/python", "latest")),
        ("team/jobs:v1", ("registry-1.docker.io", "team/jobs", "v1")),
        ("public.ecr.aws/covalent/base:stable", ("public.ecr.aws", "covalent/base", "stable")),
        ("localhost:5000/jobs@sha256:ab", ("localhost:5000", "jobs", "sha256:ab")),
        ("ghcr.io/a/b/c", ("ghcr.io", "a/b/c", "latest")),
    ],
)
def test_the_parts_of_an_images_name(uri: str, parts: tuple[str, str, str]) -> None:
    assert images._parts(uri) == parts
