"""A serialised result that Covalent did not write is refused, and costs nothing."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from covalent._workflow.transport import TransportableObject
from hypothesis import given
from hypothesis import strategies as st

from covalent_awsbatch_plugin.task import archive


class File(io.BytesIO):
    @property
    def size(self) -> int:
        return len(self.getvalue())


def of(header: bytes, text: bytes = b"7", data: bytes = b"gARLBy4=", *, text_at: int = 0, data_at: int = 0) -> File:
    """An archive of these parts, with other offsets if they are given."""
    start = text_at or 16 + len(header)
    end = data_at or start + len(text)
    return File(start.to_bytes(8, "big") + end.to_bytes(8, "big") + header + text + data)


HEADER = json.dumps({"py_version": "3.11.7", "cloudpickle_version": "3.1.1", "attrs": {"doc": "", "name": ""}}).encode()


def test_what_covalent_writes_is_taken() -> None:
    loaded = archive.load(of(HEADER))
    assert loaded.get_deserialized() == 7
    assert loaded.object_string == "7"


@pytest.mark.parametrize(
    "file",
    [
        of(b"[" * 990 + b"]" * 990),
        of(b'{"attrs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        of(b"[]"),
        of(b"7"),
        of(b"not JSON"),
        of(b'{"attrs": []}'),
        of(b'{"attrs": {"doc": {"deep": 1}}}'),
        of(b'{"py_version": ["3"]}'),
        of(HEADER, data=b""),
        of(HEADER, data=b"\xff\xfe"),
        of(HEADER, data="ä".encode()),
        of(HEADER, text=b"\xed\xb3\xa9"),
        of(HEADER, text_at=2**63, data_at=2**64 - 1),
        of(HEADER, text_at=17, data_at=16),
        of(HEADER, text_at=1, data_at=1),
        File(b""),
        File(bytes(16)),
    ],
)
def test_what_covalent_does_not_write_is_refused(file: File) -> None:
    with pytest.raises((ValueError, EOFError)):
        archive.load(file)


def test_a_header_that_is_larger_than_any_is_not_read() -> None:
    with pytest.raises(ValueError, match="larger than any"):
        archive.load(of(b" " * (5 * 1024 * 1024) + HEADER))


@given(st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4))
def test_a_result_can_be_stored_or_is_refused(junk: bytes, changes: list[tuple[int, int]]) -> None:
    data = bytearray(TransportableObject(["value"]).serialize())
    for place, byte in changes:
        data[place % len(data)] = byte
    for file in (File(bytes(data)), File(junk)):
        try:
            made: Any = archive.load(file)
        except (ValueError, EOFError):
            continue
        assert TransportableObject.deserialize(made.serialize()) == made
