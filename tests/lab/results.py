"""What a job's program leaves in the bucket: a function from what it knows to objects by key.

A test may give any function of its own in place of these.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import pickle
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from blake3 import blake3


@dataclass(frozen=True)
class Container:
    """What a container knows.

    Attributes:
        environment: Its variables.
        job_name: Name of its job.
        job_id: Id of its job.
        attempt: Number of the attempt, from 1.
    """

    environment: Mapping[str, str]
    job_name: str
    job_id: str
    attempt: int

    @property
    def key(self) -> str:
        """Where the result belongs."""
        return self.environment.get("RESULT_FILENAME", "")


@dataclass(frozen=True)
class Left:
    """An object that a program leaves."""

    data: bytes
    metadata: Mapping[str, str] = field(default_factory=dict)


Result = Callable[[Container], Mapping[str, Left]]


def nothing(_: Container) -> Mapping[str, Left]:
    """No object at all."""
    return {}


_HASHES: Mapping[str, Callable[[bytes], Any]] = {"blake3": blake3, "sha256": hashlib.sha256}


@dataclass(frozen=True)
class Envelope:
    """Our runner's envelope: plain values, as it writes them today or as version 1.0.0 did.

    Attributes:
        value: What the function returned, a plain value; `...` for the job's name, so that mixed up results show.
        output: Serialised TransportableObject in place of it.
        apart: Whether the output is an object of its own.
        hash: Algorithm of its hash then: `blake3`, or `sha256` as an older runner of this format has it.
        fields: Of the envelope, in place of the usual ones.
        pickled: Whether it is one of version 1.0.0: a pickle, without a signature.
        key: Hexadecimal digits to sign with, in place of the job's own key.
    """

    value: Any = ...
    output: bytes | None = None
    apart: bool = False
    hash: Literal["blake3", "sha256"] = "blake3"
    fields: Mapping[str, Any] = field(default_factory=dict)
    pickled: bool = False
    key: str | None = None

    def __call__(self, container: Container) -> Mapping[str, Left]:
        """The objects."""
        value = container.job_name if self.value is ... else self.value
        output = transportable(value) if self.output is None else self.output
        content = {
            "status": "succeeded",
            "output": output,
            "output_blake3": None,
            "stdout": f"{container.job_name} was here\n",
            "stderr": "",
            "traceback": None,
            "exception": None,
            "python": platform.python_version(),
            "cloudpickle": "3.1.1",
            "covalent": "0.240.0",
            "started_at": 1.7e9,
            "finished_at": 1.7e9,
            "peak_rss_bytes": 100_000_000,
            "job_id": container.job_id,
            "attempt": container.attempt,
        }
        objects = {}
        if self.apart:
            content["output"] = None
            content.pop("output_blake3")
            content[f"output_{self.hash}"] = _HASHES[self.hash](output).hexdigest()
            objects[container.key.rpartition(".")[0] + ".output"] = Left(output)
        content.update(self.fields)
        if content["status"] != "succeeded":
            content["output"] = None
        objects[container.key] = self._pickled(content) if self.pickled else self._signed(content, container)
        return objects

    @staticmethod
    def _pickled(content: Mapping[str, Any]) -> Left:
        return Left(pickle.dumps(content, protocol=4), {"covalent-awsbatch-format": "2"})

    def _signed(self, content: Mapping[str, Any], container: Container) -> Left:
        data, metadata = parts(content), {"covalent-awsbatch-format": "3"}
        key = container.environment.get("COVALENT_AWSBATCH_SIGNING_KEY", "") if self.key is None else self.key
        if key:
            metadata["covalent-awsbatch-signature"] = hmac.new(bytes.fromhex(key), data, "sha256").hexdigest()
        return Left(data, metadata)


@dataclass(frozen=True)
class Legacy:
    """What the public image's program leaves: the bare pickle of the result, and what was printed as JSON.

    Attributes:
        value: What the function returned, a plain value; `...` for the job's name.
        traceback: Of an exception, in place of a result.
        exception: Its class.
    """

    value: Any = ...
    traceback: str | None = None
    exception: str | None = None

    def __call__(self, container: Container) -> Mapping[str, Left]:
        """The objects."""
        value = container.job_name if self.value is ... else self.value
        printed = [f"{container.job_name} was here\n", "", self.traceback, self.exception]
        io_output = container.key.rpartition(".")[0].replace("result", "io_output") + ".json"
        objects = {io_output: Left(json.dumps(printed).encode())}
        if self.traceback is None:
            objects[container.key] = Left(bare_pickle(value))
        return objects


@dataclass(frozen=True)
class Planted:
    """Bytes of somebody's choice at the result's key."""

    data: bytes
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, container: Container) -> Mapping[str, Left]:
        """The object."""
        return {container.key: Left(self.data, self.metadata)}


def parts(content: Mapping[str, Any]) -> bytes:
    """The header and the parts of an envelope."""
    names = ("stdout", "stderr", "traceback", "output")
    long = {name: content[name] for name in names}
    long = {name: part.encode() if isinstance(part, str) else part for name, part in long.items()}
    header = {name: value for name, value in content.items() if name not in names}
    header["parts"] = {name: None if part is None else len(part) for name, part in long.items()}
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(4, "big") + encoded + b"".join(part or b"" for part in long.values())


def failed(traceback: str, exception: str, **fields: Any) -> Envelope:
    """Our runner's envelope after an exception."""
    return Envelope(fields={"status": "failed", "traceback": traceback, "exception": exception, **fields})


def transportable(value: Any) -> bytes:
    """A plain value as `TransportableObject(value).serialize()`, without importing Covalent."""
    state = _state(value)
    header, text = json.dumps(state["_header"]).encode(), str(state["_object_string"]).encode()
    start = 16 + len(header)
    offsets = start.to_bytes(8, "big") + (start + len(text)).to_bytes(8, "big")
    content: bytes = state["_object"].encode()
    return offsets + header + text + content


def bare_pickle(value: Any) -> bytes:
    """A plain value as the pickle of a `TransportableObject`, without importing Covalent."""
    # Protocol 3 has no frames, so the state can be taken out of its own pickle: past the header, up to the final dot.
    state = pickle.dumps(_state(value), protocol=3)[2:-1]
    new = b"\x80\x03ccovalent._workflow.transportable_object\nTransportableObject\n)\x81"
    return new + state + b"b."


def _state(value: Any) -> dict[str, Any]:
    """The attributes of a TransportableObject."""
    return {
        "_object": base64.b64encode(pickle.dumps(value, protocol=4)).decode(),
        "_object_string": str(value),
        "_header": {
            "py_version": platform.python_version(),
            "cloudpickle_version": "3.1.1",
            "attrs": {"doc": getattr(value, "__doc__", ""), "name": getattr(value, "__name__", "")},
        },
    }
