"""The embedded ECR: what is pushed is kept and can be read, and what the service refuses is refused."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.images import Image, digest_of
from support.local_account import LocalAccount

NAME = "team/jobs"
REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
MIB = 1024 * 1024


class Repository:
    """What a client does to push."""

    def __init__(self, account: LocalAccount) -> None:
        self.ecr = account.aws.client("ecr")
        self.ecr.create_repository(repositoryName=NAME)

    def upload(self, *parts: bytes, digest: str | None = None) -> str:
        begun = self.ecr.initiate_layer_upload(repositoryName=NAME)
        first = 0
        for part in parts:
            self.ecr.upload_layer_part(
                repositoryName=NAME,
                uploadId=begun["uploadId"],
                partFirstByte=first,
                partLastByte=first + len(part) - 1,
                layerPartBlob=part,
            )
            first += len(part)
        named = digest or digest_of(b"".join(parts))
        self.ecr.complete_layer_upload(repositoryName=NAME, uploadId=begun["uploadId"], layerDigests=[named])
        return named

    def put(self, image: Image, tag: str = "v1", **more: Any) -> Any:
        text = image.manifest.decode()
        return self.ecr.put_image(repositoryName=NAME, imageTag=tag, imageManifest=text, **more)["image"]

    def push(self, image: Image, tag: str = "v1") -> Any:
        for content in (image.layer, image.configuration):
            self.upload(content)
        return self.put(image, tag)


@pytest.fixture
def repository(account: LocalAccount) -> Iterator[Repository]:
    repository = Repository(account)
    yield repository
    repository.ecr.delete_repository(repositoryName=NAME, force=True)


def refusal(call: Any, *args: Any, **more: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(*args, **more)
    return str(raised.value.response["Error"]["Code"])


def test_what_is_pushed_can_be_read_again(repository: Repository) -> None:
    image = Image()
    pushed = repository.push(image)
    assert pushed["imageId"]["imageDigest"] == digest_of(image.manifest)
    for content in (image.layer, image.configuration):
        found = repository.ecr.get_download_url_for_layer(repositoryName=NAME, layerDigest=digest_of(content))
        with urllib.request.urlopen(found["downloadUrl"], timeout=30) as answer:
            assert answer.read() == content
    [detail] = repository.ecr.describe_images(repositoryName=NAME)["imageDetails"]
    assert detail["imageSizeInBytes"] == len(image.layer) + len(image.configuration)


def test_the_layers_are_in_no_bucket_of_the_account(repository: Repository, account: LocalAccount) -> None:
    repository.push(Image())
    assert [one["Name"] for one in account.aws.client("s3").list_buckets()["Buckets"]] == [
        "covalent-batch-job-resources"
    ]


def test_a_layer_has_its_digest_and_comes_once(repository: Repository) -> None:
    large = b"x" * (5 * MIB)
    assert refusal(repository.upload, b"layer", digest=digest_of(b"other")) == "InvalidLayerException"
    assert refusal(repository.upload, large[1:], b"more") == "LayerPartTooSmallException"
    assert refusal(repository.upload) == "EmptyUploadException"
    repository.upload(large, b"more")
    assert refusal(repository.upload, large, b"more") == "LayerAlreadyExistsException"


def test_an_image_without_its_layers_is_refused(repository: Repository) -> None:
    image = Image()
    assert refusal(repository.put, image) == "LayersNotFoundException"
    missing = {"repositoryName": NAME, "layerDigest": digest_of(image.layer)}
    assert refusal(repository.ecr.get_download_url_for_layer, **missing) == "LayersNotFoundException"
    repository.push(image)
    wrong = digest_of(b"other")
    assert refusal(repository.put, image, "v2", imageDigest=wrong) == "ImageDigestDoesNotMatchException"


def test_a_tag_is_moved_unless_it_is_immutable(repository: Repository) -> None:
    first, second = Image(), Image(files={"other": b""})
    repository.push(first)
    assert refusal(repository.put, first) == "ImageAlreadyExistsException"
    assert repository.push(second)["imageId"]["imageDigest"] == digest_of(second.manifest)
    repository.ecr.put_image_tag_mutability(repositoryName=NAME, imageTagMutability="IMMUTABLE")
    repository.push(Image(files={"third": b""}), "other")
    assert refusal(repository.put, Image(files={"third": b""}), "v1") == "ImageTagAlreadyExistsException"


def test_a_job_runs_from_the_layers_of_its_image(repository: Repository, account: LocalAccount) -> None:
    script = b"#!/bin/sh\necho from $0, $GREETING\n"
    config = {"Entrypoint": ["sh", "/opt/job/bin/greet"], "Env": ["PATH=/bin", "GREETING=hello from /opt/job"]}
    files = {"opt/job/bin/greet": script, "opt/job/pyvenv.cfg": b"home = /usr/bin\n", "bin/other": b""}
    repository.push(Image(config, files))
    definition = account.define("baked", image=f"{REGISTRY}/{NAME}:v1")
    [line] = account.output(account.run(definition=definition))
    place, _, greeting = line.removeprefix("from ").partition("/opt/job/bin/greet, hello from ")
    assert place
    assert greeting == f"{place}/opt/job"


def test_an_image_that_is_not_there_cannot_be_pulled(repository: Repository, account: LocalAccount) -> None:
    repository.push(Image())
    job = account.run(definition=account.define("gone", image=f"{REGISTRY}/{NAME}@{digest_of(b'other')}"))
    assert job["status"] == "FAILED"
    assert job["container"]["reason"].startswith("CannotPullContainerError: ")
    assert job["container"]["reason"].endswith("not found")
