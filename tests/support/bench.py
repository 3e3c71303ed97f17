"""One job of the runner, without AWS Batch around it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import cloudpickle
from covalent._workflow.transportable_object import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn

BUCKET = "covalent-batch-job-resources"
FUNCTION, RESULT = "func-d-1.pkl", "result-d-1.pkl"
KEYS = {
    *("status", "output", "output_blake3", "stdout", "stderr", "traceback", "exception", "python", "cloudpickle"),
    *("covalent", "started_at", "finished_at", "peak_rss_bytes", "job_id", "attempt"),
}


def decoded(content: bytes) -> dict[str, Any]:
    """The fields and parts of an envelope."""
    length = int.from_bytes(content[:4], "big")
    envelope: dict[str, Any] = json.loads(content[4 : 4 + length])
    place = 4 + length
    for name, size in envelope.pop("parts").items():
        part = None if size is None else content[place : place + size]
        envelope[name] = part if part is None or name == "output" else part.decode()
        place += size or 0
    assert place == len(content)
    return envelope


@dataclass
class Bench:
    """One job: its bucket, its environment, and what came of it."""

    s3: Any
    environment: dict[str, str]

    def put(self, function: Any, *args: Any, metadata: dict[str, str] | None = None, **kwargs: Any) -> None:
        """Upload a task as it is."""
        body = cloudpickle.dumps((function, args, kwargs))
        self.s3.put_object(Bucket=BUCKET, Key=FUNCTION, Body=body, Metadata=metadata or {})

    def put_by_value(self, function: Any, *args: Any) -> None:
        """Upload a function of a test's module, which the runner cannot import."""
        module = sys.modules[function.__module__]
        cloudpickle.register_pickle_by_value(module)
        try:
            self.put(function, *args)
        finally:
            cloudpickle.unregister_pickle_by_value(module)

    def put_electron(self, function: Callable[..., Any], *args: Any, before: tuple[Any, ...] = (), **kw: Any) -> None:
        """Upload a task as Covalent's server builds it."""
        call_before = [(*map(TransportableObject, (call, (), {})), "") for call in before]
        wrapped = partial(wrapper_fn, TransportableObject(function), call_before, [])
        self.put(wrapped, *map(TransportableObject, args), **kw)

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "covalent_awsbatch_plugin.runner"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )

    def run(self) -> tuple[int, str, str]:
        with self.start() as process:
            try:
                out, err = process.communicate(timeout=120)
            finally:
                process.kill()
        return process.returncode, out, err

    def envelope(self) -> dict[str, Any]:
        answer = self.s3.get_object(Bucket=BUCKET, Key=RESULT)
        assert answer["Metadata"].keys() == {"covalent-awsbatch-format", "covalent-awsbatch-usage"}
        assert answer["Metadata"]["covalent-awsbatch-format"] == "3"
        envelope = decoded(answer["Body"].read())
        assert set(envelope) == KEYS
        return envelope

    def awaited_envelope(self) -> dict[str, Any]:
        """The envelope, as soon as there is one."""
        self.s3.get_waiter("object_exists").wait(
            Bucket=BUCKET, Key=RESULT, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        return self.envelope()

    def value(self) -> Any:
        return TransportableObject.deserialize(self.envelope()["output"]).get_deserialized()

    def stored_value(self) -> Any:
        """The same, wherever the runner has put it."""
        envelope = self.envelope()
        output = envelope["output"]
        if envelope["output_blake3"] is not None:
            output = self.s3.get_object(Bucket=BUCKET, Key="result-d-1.output")["Body"].read()
        return TransportableObject.deserialize(output).get_deserialized()
