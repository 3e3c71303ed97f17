"""Results of many megabytes, built once in the stand-in's process and left by every job."""

from __future__ import annotations

import base64
import functools
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from .results import Container, Envelope, Left, Legacy

_BLOCK = 3 * 1024 * 1024


@dataclass(frozen=True)
class Bulk:
    """A result of so many bytes, which nobody is to deserialise: its content is noise in base64.

    Attributes:
        size: Bytes before base64.
        legacy: Whether it is left as the public image's program would.
    """

    size: int
    legacy: bool = False

    def __call__(self, container: Container) -> Mapping[str, Left]:
        """The objects."""
        if self.legacy:
            left = dict(Legacy("")(container))
            left[container.key] = Left(_bare(self.size))
            return left
        return Envelope(output=_serialized(self.size), apart=True)(container)


def noise(size: int) -> bytes:
    """As much base64 as so many bytes take."""
    block = base64.b64encode(Random(1).randbytes(_BLOCK))
    length = -(-size // 3) * 4
    return (block * (length // len(block) + 1))[:length]


_HEADER = b'{"py_version": "3.11.7", "cloudpickle_version": "3.1.1", "attrs": {"doc": "", "name": ""}}'


@functools.cache
def _serialized(size: int) -> bytes:
    """As `TransportableObject.serialize()` writes it, with nothing in the place of `str(object)`."""
    start = (16 + len(_HEADER)).to_bytes(8, "big")
    return b"".join([start, start, _HEADER, noise(size)])


@functools.cache
def _bare(size: int) -> bytes:
    """As a pickle of a TransportableObject; protocol 3 has no frames, so its state can stand inside."""
    state = {"_object": noise(size).decode(), "_object_string": "", "_header": {"attrs": {}}}
    new = b"\x80\x03ccovalent._workflow.transportable_object\nTransportableObject\n)\x81"
    return b"".join([new, pickle.dumps(state, protocol=3)[2:-1], b"b."])
