"""Who can write to the bucket costs a task, and not the dispatcher."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from lab import BUCKET, Lab, endings, results
from support.bucket import Bucket, do

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import ResultError

MIB = 1024 * 1024
PICKLED, PARTS = {"covalent-awsbatch-format": "2"}, {"covalent-awsbatch-format": "3"}
BOMBS: dict[str, tuple[bytes, dict[str, str]]] = {
    "one text 330 times": (
        b"\x80\x04}(X" + (10 * MIB).to_bytes(4, "little") + b"a" * 10 * MIB + b"\x94" + b"h\x00" * 330 + b"u.",
        PICKLED,
    ),
    "a number of four million bytes for a dict": (
        b"\x80\x04\x8b" + (4 * MIB).to_bytes(4, "little") + b"\x09" * 4 * MIB + b"NNs.",
        PICKLED,
    ),
    "bytes for a dict": (b"\x80\x04B" + (20 * MIB).to_bytes(4, "little") + b"\xff" * 20 * MIB + b"NNs.", PICKLED),
    "a header that is no object": (b"\x00\x00\xff\xff" + b"[" * 0xFFFF + b"x" * 20 * MIB, PARTS),
    "lists in lists": (b"[" * 20 * MIB, {}),
}
# Reads one object, and tells how much more memory that took at its peak, in MiB, and what the error says.
CHILD = """
import asyncio, json, sys
from pathlib import Path
from covalent_awsbatch_plugin._core import Client

def memory(name):
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[name].split()[0]) // 1024

async def read(call):
    try:
        await call("lab-bucket", "key")
    except Exception as error:
        return str(error)

client = Client(json.dumps({"endpoint_url": sys.argv[1], "region": "us-east-1"}))
asyncio.run(read(client.stored_result))
Path("/proc/self/clear_refs").write_text("5")
before = memory("VmRSS")
said = asyncio.run(read(client.printed if sys.argv[2] == "printed" else client.stored_result))
print(json.dumps([memory("VmHWM") - before, said]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process's memory is asked of /proc")
@pytest.mark.parametrize("name", BOMBS)
def test_a_planted_object_costs_its_own_task_and_no_other(name: str) -> None:
    data, metadata = BOMBS[name]
    with Lab() as lab:
        lab.boto3("s3").put_object(Bucket=BUCKET, Key="key", Body=data, Metadata=metadata)
        child = subprocess.run(
            [sys.executable, "-c", CHILD, lab.url, "report" if metadata else "printed"],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **lab.environment},
        )
    grown, said = json.loads(child.stdout)
    assert "s3://lab-bucket/key" in said
    assert len(said) < 1000
    assert grown < 4 * len(data) // MIB + 40


def test_what_was_printed_is_not_read_beyond_a_bound(bucket: Bucket, client: Client) -> None:
    bucket.put("/bucket/key", b"x" * (33 * MIB))
    with pytest.raises(ResultError, match=r"has 34603008 bytes and is not shown"):
        do(lambda: client.printed("bucket", "key"))


@pytest.mark.parametrize(
    "content",
    [b"[" * 990 + b"]" * 990, b'{"a": 1}', b'["only", "three", null]', b"\xff\xfe", json.dumps([1, 2, 3, 4]).encode()],
)
def test_what_was_printed_does_not_stand_in_the_way_of_the_result(content: bytes) -> None:
    def leave(container: results.Container) -> dict[str, results.Left]:
        left = dict(results.Legacy(value=7)(container))
        return {key: results.Left(content) if key.startswith("io_output") else value for key, value in left.items()}

    with Lab(endings={"*": endings.succeed(leave)}) as lab:
        assert _run(lab, "printed", 0).get_deserialized() == 7


def test_what_is_not_signed_is_refused_where_its_image_signs() -> None:
    planted = {"covalent-batch-d-1": endings.succeed(results.Legacy()), "covalent-batch-d-3": endings.raised_legacy()}
    with Lab(endings=planted) as lab:
        first = _run(lab, "d", 0)
        assert first.get_deserialized() == "covalent-batch-d-0"
        with pytest.raises(ResultError, match=r"refused: the task's job did not write it \(it has no signature, .*"):
            _run(lab, "d", 1)
        # Another image may have another program.
        assert _run(lab, "d", 2, container_image_uri="public:stable").get_deserialized() == "covalent-batch-d-2"


def test_a_result_that_is_larger_than_the_machine_is_not_read() -> None:
    from covalent_awsbatch_plugin.task import memory, transfer

    class Huge:
        size = memory.largest_result() + 1

    with pytest.raises(ResultError, match="more than this machine can take in"):
        transfer.load_bare(Client("{}"), "bucket", "key", Huge())  # type: ignore[arg-type]


def _run(lab: Lab, dispatch: str, node: int, **options: Any) -> Any:
    executor = AWSBatchExecutor(**{**lab.options, "poll_freq": 1, **options})
    return asyncio.run(executor.run(len, ["x"], {}, {"dispatch_id": dispatch, "node_id": node}))
