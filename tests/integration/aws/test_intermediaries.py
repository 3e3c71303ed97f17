"""What stands between this machine and AWS: it answers in AWS's place, and changes how an answer is sent."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from support.bucket import PART, Bucket, data_of, do, write
from support.probing import Probe
from support.servers import Answer, HttpServer, Request
from support.sts import secret

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.errors import ServiceError

PAGE = Answer(b"<html>Please sign in</html>", headers={"Content-Type": "text/html"})
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": secret("ENV")}


def first(meant: Callable[[Request], bool], instead: Answer) -> Callable[[Request, Answer], Answer]:
    """Lets the first of these requests not come to S3's answer."""
    left = [instead]
    return lambda request, answer: left.pop() if left and meant(request) else answer


@pytest.mark.parametrize("size", [10, PART + 10])
def test_a_page_in_place_of_s3s_answer_is_no_upload(bucket: Bucket, client: Client, size: int) -> None:
    bucket.meddle = first(lambda request: request.method == "PUT", PAGE)
    write(client, data_of(size))
    sent = [request.path for request in bucket.requests if request.method == "PUT"]
    assert len(sent) == len(set(sent)) + 1
    assert bucket.objects["/bucket/key"].data == data_of(size)


@pytest.mark.parametrize("size", [10, PART + 10])
def test_a_page_in_place_of_an_object_is_not_taken_for_one(bucket: Bucket, client: Client, size: int) -> None:
    bucket.put("/bucket/key", data_of(size))
    bucket.meddle = first(lambda request: request.method == "GET", PAGE)
    assert do(lambda: client.read("bucket", "key")) == data_of(size)


@pytest.mark.parametrize("size", [0, 10, PART, PART + 1, 3 * PART])
def test_an_object_that_is_sent_on_in_chunks_is_read(bucket: Bucket, client: Client, size: int) -> None:
    bucket.put("/bucket/key", data_of(size))
    bucket.meddle = lambda _, answer: dataclasses.replace(answer, chunked=True)
    reader = client.reader("bucket", "key")
    assert reader.size == size
    assert reader.read() == data_of(size)


def test_chunks_that_break_off_are_not_the_whole(bucket: Bucket, client: Client) -> None:
    bucket.put("/bucket/key", data_of(1000))
    bucket.meddle = lambda _, answer: dataclasses.replace(answer, chunked=True, cut=500)
    with pytest.raises(ServiceError, match="broke off after 500"):
        do(lambda: client.read("bucket", "key"))


def test_a_proxy_that_wants_a_password_is_named_without_one(probe: Probe) -> None:
    with HttpServer(lambda _: Answer(status=407)) as proxy:
        url = proxy.url.replace("http://", "http://me:opensesame@")
        outcome = probe({**ENVIRONMENT, "HTTP_PROXY": url}, endpoint_url="http://sts.invalid-host.test")
    assert len(proxy.requests) == 1
    assert outcome["error"] == "ServiceError", outcome
    asked = f"sts.invalid-host.test through the proxy 127.0.0.1:{proxy.port} was asked, the answer has the status 407"
    assert asked in outcome["message"]
    assert "opensesame" not in str(outcome)


@pytest.mark.parametrize("chosen", [{"profile": "work"}, {}])
def test_what_a_credential_process_says_stays_with_it(probe: Probe, tmp_path: Path, chosen: dict[str, str]) -> None:
    (tmp_path / ".aws").mkdir()
    config = "credential_process = sh -c 'echo no vault for token opensesame >&2; exit 3'\n"
    (tmp_path / ".aws" / "config").write_text(f"[default]\n{config}[profile work]\n{config}")
    outcome = probe({}, **chosen)
    name = chosen.get("profile", "default")
    assert f"the credential process of profile {name} failed with exit status 3" in outcome["message"], outcome
    assert outcome["error"] == "AccessError"
    assert "opensesame" not in str(outcome)
