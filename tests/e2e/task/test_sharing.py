"""Large arguments and results of a real dispatch, in jobs that have the server's own runner."""

from __future__ import annotations

import sys
from typing import Any

import cloudpickle
import covalent as ct
from support.covalent_client import client_of

from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

QUICK = {"runtime": "bucket", "vcpu": 1, "memory": 2, "poll_freq": 1, "retry_attempts": 1, "time_limit": 700}
ARGUMENT, RESULT = 2 * 1024 * 1024, 9 * 1024 * 1024  # bytes


class Blob:
    """Its text is short, as an array's is."""

    def __init__(self, size: int) -> None:
        self.content = bytes(size)


def made(argument: Blob) -> Blob:  # without an assertion: pytest's own would need pytest in the job
    return Blob(RESULT + len(argument.content) - ARGUMENT)


def sizes(argument: Blob, result: Blob) -> tuple[int, int]:
    return len(argument.content), len(result.content)


def test_each_is_in_the_bucket_once() -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    make, measure = (ct.electron(function, executor="awsbatch") for function in (made, sizes))

    @ct.lattice(executor="awsbatch", workflow_executor="awsbatch")
    def workflow(argument: Blob) -> Any:
        result = make(argument)
        return [measure(argument, result), measure(argument, result)]

    try:
        with LocalAWS(max_vcpus=4, stop_grace=2) as aws:
            config = {"awsbatch": {**aws.options, **QUICK}}
            with CovalentServer(environment=aws.environment, config=config) as server, client_of(server) as client:
                dispatch_id = client.dispatch(workflow, Blob(ARGUMENT))
                assert client.completed(dispatch_id, 240).result == [(ARGUMENT, RESULT)] * 2
            listed = aws.client("s3").list_objects_v2(Bucket="covalent-batch-job-resources")["Contents"]
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    found = {one["Key"]: one["Size"] for one in listed if dispatch_id in one["Key"]}
    large = sorted((key.split("-")[0], size) for key, size in found.items() if size > 1_000_000)
    assert [kind for kind, _ in large] == ["result", "shared"]
    assert sum(size for _, size in large) < 1.4 * (ARGUMENT + RESULT), "in base64"
