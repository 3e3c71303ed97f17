"""A bucket that is reached through an access point: by its alias or its ARN, each at a host of its own."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from support.servers import Answer, HttpServer
from support.task_bench import TaskBench

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.errors import ServiceError

ALIAS = "jobs-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias"
ARN = "arn:aws:s3:eu-west-1:123456789012:accesspoint/jobs"


@pytest.mark.parametrize(
    ("bucket", "host"),
    [
        (ALIAS, f"{ALIAS}.s3.eu-west-1.amazonaws.com"),
        (ARN, "jobs-123456789012.s3-accesspoint.eu-west-1.amazonaws.com"),
    ],
)
@pytest.mark.parametrize("verb", ["keep", "read", "write", "delete", "list_objects"])
def test_the_core_asks_the_access_points_host(
    monkeypatch: pytest.MonkeyPatch, bucket: str, host: str, verb: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")

    async def ask(core: Client) -> Any:
        if verb == "write":
            writer = core.writer(bucket, "key")
            writer.write(b"content")
            return await writer.finish()
        given = {"delete": ["key"], "list_objects": "environments/"}.get(verb, "key")
        return await getattr(core, verb)(bucket, given)

    with HttpServer(lambda _: Answer()) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        core = Client(json.dumps({"region": "eu-west-1", "interactive": True}))
        with pytest.raises(ServiceError):
            asyncio.run(ask(core))
    assert {(one.method, one.path) for one in proxy.requests} == {("CONNECT", f"{host}:443")}


def test_a_task_runs_with_an_alias_for_its_bucket(bench: TaskBench) -> None:
    """In Python's own image, so that its packages come that way, too."""
    bench.s3.create_bucket(Bucket=ALIAS)
    executor = bench.executor(container_image_uri="", s3_bucket_name=ALIAS, memory=2, time_limit=300)
    assert bench.run(executor) == 2
    keys = {one["Key"].partition("/")[0] for one in bench.s3.list_objects_v2(Bucket=ALIAS)["Contents"]}
    assert "environments" in keys
    assert any(key.startswith("result-") for key in keys)
