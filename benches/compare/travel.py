"""Large results on a real Covalent server: bytes into the bucket, and the server's memory."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covalent_awsbatch_plugin.local import LocalAWS

from . import endtoend
from .environments import PLACE, Plugin

_SLOTS = 2  # jobs at the same moment
_BUCKET = "covalent-batch-job-resources"

_CLIENT = """
import json, sys, time
import covalent as ct

on = {"executor": "awsbatch"}

class Blob:
    def __init__(self, size):
        import random
        self.content = random.Random(size).randbytes(size)

    def __repr__(self):
        return f"{len(self.content)} bytes"  # as short as an array's

@ct.electron(**on)
def made(size):
    return Blob(size)

@ct.electron(**on)
def length(blob, number):
    return len(blob.content) + number

@ct.electron(**on)
def total(numbers):
    return sum(numbers)

def fan(size):
    blob = made(size)
    return total([length(blob, number) for number in range(12)])

def result(size):
    return made(size)

name, size = sys.argv[1], int(sys.argv[2])
lattice = ct.lattice({"fan": fan, "result": result}[name], executor="awsbatch", workflow_executor="awsbatch")
start = time.monotonic()
dispatch_id = ct.dispatch(lattice)(size)
while (status := str(ct.get_result(dispatch_id, status_only=True)["status"])) not in ("COMPLETED", "FAILED"):
    time.sleep(1)
if status == "FAILED" or name == "fan" and ct.get_result(dispatch_id).result != 12 * size + 66:
    sys.exit(f"{name}: {status}")
print(json.dumps(time.monotonic() - start))
"""


@dataclass(frozen=True)
class Travelled:
    """What a workflow took.

    Attributes:
        stored: Bytes that it put into the bucket: functions, arguments and results.
        peak: Bytes that the server's memory grew by at the most.
    """

    stored: int
    peak: int


def measure(plugin: Plugin, size: int, runtime: str) -> dict[str, Travelled]:
    """Runs a result of `size` bytes that 12 electrons use (`fan`), and one 2.5 times as large (`result`).

    Args:
        plugin: Whose executor the server has.
        size: Bytes.
        runtime: The executor's option: `bucket`, where tasks refer to what is large, or `image`, where they do not.
    """
    program = {"program": [str(plugin.python), "-m", "covalent_awsbatch_plugin.runner"]} if runtime == "image" else {}
    found: dict[str, Travelled] = {}
    with (
        LocalAWS(max_vcpus=_SLOTS, **program) as aws,
        tempfile.TemporaryDirectory(prefix="server-", dir=PLACE) as home,
    ):
        section: dict[str, Any] = {**aws.options, "vcpu": 1, "memory": 2, "poll_freq": 1, "runtime": runtime}
        if runtime == "image":
            section["container_image_uri"] = "team/jobs:1"
        variables = {**aws.environment, "COVALENT_PLUGIN_LOAD": "true"}
        s3 = aws.client("s3")
        with endtoend.server(plugin, Path(home), variables, section) as (process, environment):
            endtoend.run(plugin, Path(home), environment, _CLIENT, "fan", "100")  # with the environment packed
            for name, bytes_ in (("fan", size), ("result", size * 5 // 2)):
                before, stored = process.memory_info().rss, _stored(s3)
                Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # the peak begins anew
                endtoend.run(plugin, Path(home), environment, _CLIENT, name, str(bytes_))
                found[name] = Travelled(_stored(s3) - stored, _peak(process.pid) - before)
    return found


def _stored(s3: Any) -> int:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=_BUCKET)
    return sum(item["Size"] for page in pages for item in page.get("Contents", []))


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
