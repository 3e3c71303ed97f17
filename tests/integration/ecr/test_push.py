"""Images pushed by the core: blobs of a base from its registry, files of this machine, and the manifest."""

from __future__ import annotations

import asyncio
import json
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.images import Image, digest_of
from support.pushing import NAME, Pushing
from support.servers import Answer, Request

from covalent_awsbatch_plugin.errors import AWSBatchError, ServiceError

REPOSITORY = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{NAME}"
LARGE = random.Random(1).randbytes(11 * 1024 * 1024)


def test_a_base_is_copied_once_and_layers_are_appended(pushing: Pushing) -> None:
    base = pushing.registry.add("python:3", Image())
    request = pushing.request(base)
    found = pushing.push(request)
    assert found == f"{REPOSITORY}@{digest_of(request['manifest'].encode())}"
    assert pushing.pushed() == json.loads(request["manifest"])
    assert pushing.asked().count("UploadLayerPart") == 3
    pushing.registry.server.requests.clear()
    pushing.proxy.requests.clear()
    pushing.push(pushing.request(base, b"another layer", "cab-2"))
    assert pushing.asked().count("UploadLayerPart") == 1
    assert [
        path for path in pushing.registry.asked("blobs") if Image().layer and digest_of(Image().layer) in path
    ] == []


def test_what_is_there_is_neither_sent_nor_fetched(pushing: Pushing) -> None:
    request = pushing.request(pushing.registry.add("python:3", Image()))
    first = pushing.push(request)
    pushing.proxy.requests.clear()
    assert pushing.push(request) == first
    assert pushing.asked() == ["BatchCheckLayerAvailability", "PutImage", "DescribeImages"]


def test_an_image_is_found_by_its_tag(pushing: Pushing) -> None:
    async def find(tag: str, repository: str = NAME) -> str | None:
        return await pushing.client.find_image(repository, tag)

    assert asyncio.run(find("cab-1")) is None
    pushed = pushing.push(pushing.request(pushing.registry.add("python:3", Image())))
    assert asyncio.run(find("cab-1")) == pushed
    with pytest.raises(ServiceError, match="set `ecr_repo_name` to one that is in this account"):
        asyncio.run(find("cab-1", "not-there"))


def test_large_layers_go_in_parts_and_a_download_that_breaks_off_goes_on(pushing: Pushing) -> None:
    image = Image(files={"data": LARGE})
    data = f"/data/{digest_of(image.layer)}"

    def cut(request: Request) -> Answer | None:
        asked = [one for one in pushing.registry.server.requests if one.path == data]
        if request.path != data or len(asked) > 2:
            return None
        whole = pushing.registry.answer(request)
        return Answer(whole.body, whole.status, cut=4 * 1024 * 1024)

    pushing.registry.instead = cut
    pushing.push(pushing.request(pushing.registry.add("python:3", image), LARGE))
    ranges = [one.headers.get("range") for one in pushing.registry.server.requests if one.path == data]
    assert ranges == [None, f"bytes={4 * 1024 * 1024}-", f"bytes={8 * 1024 * 1024}-"]
    assert pushing.asked().count("UploadLayerPart") == 3 + 3 + 1
    digests = {layer["digest"] for layer in pushing.pushed()["layers"]}
    assert digests == {digest_of(image.layer), digest_of(LARGE)}


def test_a_registry_without_ranges_is_read_from_the_start_again(pushing: Pushing) -> None:
    image = Image(files={"data": LARGE})
    data = f"/data/{digest_of(image.layer)}"

    def cut(request: Request) -> Answer | None:
        first = [one.path for one in pushing.registry.server.requests].count(data) == 1
        return Answer(image.layer, cut=9 * 1024 * 1024 if first else None) if request.path == data else None

    pushing.registry.instead = cut
    pushing.push(pushing.request(pushing.registry.add("python:3", image)))
    assert digest_of(image.layer) in {layer["digest"] for layer in pushing.pushed()["layers"]}


def test_trouble_of_the_registry_is_waited_out(pushing: Pushing) -> None:
    pushing.registry.instead = lambda _: Answer(status=503) if len(pushing.registry.server.requests) in (1, 4) else None
    pushing.push(pushing.request(pushing.registry.add("python:3", Image())))


def test_content_that_was_tampered_with_is_not_pushed(pushing: Pushing) -> None:
    base = pushing.registry.add("python:3", Image())
    data = f"/data/{digest_of(Image().layer)}"
    request = pushing.request(base)
    pushing.registry.instead = lambda request: Answer(b"something else") if request.path == data else None
    with pytest.raises(ServiceError, match="has other content"):
        pushing.push(request)
    assert "PutImage" not in pushing.asked()


def test_a_list_of_images_has_one_for_the_platform(pushing: Pushing) -> None:
    base = pushing.registry.add("python:3", Image(), Image(architecture="arm64"))
    assert json.loads(pushing.base(base, "arm64")["config"])["architecture"] == "arm64"
    assert pushing.base(base)["image"] == f"{base.removesuffix(':3')}@{digest_of(Image().manifest)}"
    with pytest.raises(ServiceError, match="is not made for linux/riscv64"):
        pushing.base(base, "riscv64")
    with pytest.raises(ServiceError, match="has no such image"):
        pushing.base(f"{base}4")


@pytest.mark.parametrize("manifest", [b"[7]", b"{}", b'{"config": {}}', b"[" * 100_000, b"\xff"])
def test_a_manifest_of_any_kind_is_an_error_of_one_line(pushing: Pushing, manifest: bytes) -> None:
    base = pushing.registry.add("python:3", Image())
    pushing.registry.instead = lambda request: Answer(manifest) if "/manifests/" in request.path else None
    with pytest.raises(ServiceError, match="python") as raised:
        pushing.base(base)
    assert "\n" not in raised.value.message
    assert len(raised.value.message) < 500


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest", "http://example.org/data", ""])
def test_a_registry_leads_nowhere_without_tls(pushing: Pushing, location: str) -> None:
    base = pushing.registry.add("python:3", Image())
    pushing.registry.instead = lambda request: (
        Answer(status=307, headers={"Location": location}) if "/blobs/" in request.path else None
    )
    with pytest.raises(ServiceError, match="redirects to a place without TLS"):
        pushing.base(base)


def test_a_base_in_ecr_is_read_by_ecrs_own_calls(pushing: Pushing) -> None:
    pushing.push(pushing.request(pushing.registry.add("python:3", Image())))
    pushing.registry.server.requests.clear()
    pushing.ecr.create_repository(repositoryName="other")
    try:
        request = pushing.request(f"{REPOSITORY}:cab-1", b"one more")
        request["repository"] = "other"
        assert pushing.push(request).startswith(REPOSITORY.replace(NAME, "other@sha256:"))
    finally:
        pushing.ecr.delete_repository(repositoryName="other", force=True)
    assert pushing.registry.server.requests == []
    assert "GetDownloadUrlForLayer" in pushing.asked()


@pytest.mark.parametrize(
    ("operation", "code", "fields"),
    [
        ("UploadLayerPart", "InvalidLayerPartException", {"lastValidByteReceived": len(LARGE)}),
        ("CompleteLayerUpload", "LayerAlreadyExistsException", {}),
        ("CompleteLayerUpload", "UploadNotFoundException", {}),
    ],
)
def test_what_another_server_pushes_meanwhile_is_no_error(
    pushing: Pushing, operation: str, code: str, fields: dict[str, int]
) -> None:
    """Here another server's layer arrives before this one's is complete."""
    request = pushing.request(pushing.registry.add("python:3", Image()))
    pushing.push({**request, "tag": "cab-other"})
    missing = json.dumps({"layers": [], "failures": [{"layerDigest": blob["digest"]} for blob in request["blobs"]]})
    pushing.refuse_once(operation, code, **fields)
    refuse, asked = pushing.instead, iter([Answer(missing.encode())])

    def answer(request: Request) -> Answer | None:
        is_check = request.headers.get("x-amz-target", "").endswith("BatchCheckLayerAvailability")
        return next(asked, None) if is_check else refuse(request)

    pushing.instead = answer
    assert pushing.push(request).startswith(f"{REPOSITORY}@sha256:")


def test_two_servers_push_the_same_image_at_once(pushing: Pushing) -> None:
    request = pushing.request(pushing.registry.add("python:3", Image()), LARGE)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(pushing.push, [request, request])
    assert first == second


def test_the_first_to_take_an_immutable_tag_has_it(pushing: Pushing) -> None:
    pushing.ecr.put_image_tag_mutability(repositoryName=NAME, imageTagMutability="IMMUTABLE")
    base = pushing.registry.add("python:3", Image())
    first = pushing.push(pushing.request(base))
    assert pushing.push(pushing.request(base, b"other bytes of the same packages")) == first


def test_a_lost_answer_to_a_part_is_no_reason_to_begin_again(pushing: Pushing) -> None:
    request = pushing.request(pushing.registry.add("python:3", Image()))
    forward = pushing.proxy
    lost: list[Request] = []

    def lose(asked: Request) -> Answer | None:
        if lost or not asked.headers.get("x-amz-target", "").endswith("UploadLayerPart"):
            return None
        lost.append(asked)
        pushing.instead(asked)
        return Answer(b"{}", 500)

    pushing.instead = lose
    assert pushing.push(request)
    assert forward.requests
    assert len(lost) == 1


def test_images_are_listed_and_deleted(pushing: Pushing) -> None:
    request = pushing.request(pushing.registry.add("python:3", Image()))
    manifest = {**json.loads(request["manifest"]), "annotations": {"says": "something"}}
    address = pushing.push({**request, "manifest": json.dumps(manifest)})
    pushing.push({**request, "tag": "of-somebody-else"})

    async def listed() -> str:
        return await pushing.client.list_images(NAME, "cab-")

    async def delete(*digests: str) -> None:
        await pushing.client.delete_images(NAME, list(digests))

    [image] = json.loads(asyncio.run(listed()))
    assert image["tag"] == "cab-1"
    assert address.endswith(image["digest"])
    assert image["bytes"] == sum(part["size"] for part in [*manifest["layers"], manifest["config"]])
    assert image["pushed_at"] > 0
    assert image["annotations"] == {"says": "something"}
    asyncio.run(delete(image["digest"], digest_of(b"gone")))
    assert json.loads(asyncio.run(listed())) == []


def test_a_file_that_is_gone_is_named(pushing: Pushing) -> None:
    request = pushing.request(pushing.registry.add("python:3", Image()))
    (pushing.directory / "layer").unlink()
    with pytest.raises(AWSBatchError, match="layer cannot be read"):
        pushing.push(request)
