"""What has to hold of the decoders in Python, whatever bytes they get: only the errors that are foreseen, and bounds.

The fuzz targets are these functions, and `tests/unit/test_corpus.py` calls them with every seed.
"""

from __future__ import annotations

import io
import pickle
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from typing import Any

from covalent._workflow.transport import TransportableObject

from covalent_awsbatch_plugin.doctor import images
from covalent_awsbatch_plugin.environment.distributions import CannotPackError
from covalent_awsbatch_plugin.environment.packages import splice, wheel
from covalent_awsbatch_plugin.task import archive, bare
from covalent_awsbatch_plugin.task.own_nodes import structure

FOR_A_BYTE = 64
"""Bytes of memory for each one that is read: a header of three characters an entry becomes a dict of Python's."""
BESIDES = 1024 * 1024
REPEATED = 64 * 1024
"""Characters of texts that a pickle may use twice."""
LONGEST_ERROR = 5000
FOR_AN_INSTRUCTION = 1024
"""Bytes of memory for each instruction of a pickle that is taken apart, and put together again."""
FOR_A_REFERENCE = 5
"""Bytes of one where it is written; one takes two at least where it is read, and to keep a value takes one."""
MANY = 10 * structure.MOST_INSTRUCTIONS

pickle.dumps(TransportableObject(None))  # leaves a note of its own on the class
_CLASS = dict(vars(TransportableObject))


class _File(io.BytesIO):
    @property
    def size(self) -> int:
        return len(self.getbuffer())


def decode_archive(data: bytes) -> None:
    """A result that our runner leaves."""
    _decode(archive.load, data)


def decode_bare(data: bytes) -> None:
    """A result that the public image's program leaves."""
    _decode(bare.load, data)


def decode_manifest(data: bytes) -> None:
    """An image's manifest, as a registry tells it."""

    def look(file: Any) -> None:
        found = images.document(file.read())
        images.platforms(found), images.digest_for(found, {"amd64"}), images.python_of(found)

    _decode(look, data)


def decode_wheel(data: bytes) -> None:
    """A wheel of a package index: what is made of it unpacks to its files, and nowhere else."""
    out = io.BytesIO()
    try:
        wheel.splice(io.BytesIO(data), out, "3.11", lambda _source, path: b"code of " + path.encode())
    except CannotPackError:
        return
    out.write(splice.member(splice.END))
    out.seek(0)
    names = set()
    contents = set()
    with tarfile.open(fileobj=out, mode="r:gz") as tar:
        for entry in tar:
            file = tar.extractfile(entry)
            assert entry.isfile()
            assert file is not None
            parts = entry.name.split("/")
            assert parts[:2] == ["opt", "job"]
            assert not {"", ".", ".."} & set(parts)
            names.add(entry.name)
            contents.add(file.read())
        assert len(names) == len(tar.getmembers())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for entry in archive.infolist():
            if not entry.filename.endswith((".pyc", "/")) and ".data/scripts/" not in entry.filename:
                assert archive.read(entry) in contents


def decode_items(data: bytes) -> None:
    """A result of which Covalent's own nodes take items, without a job."""

    def look(file: Any) -> None:
        whole = structure.read(file.read())
        for value in (whole, *whole.items[:1], *whole.items[-1:]):
            alone = structure.written(value)
            assert len(alone) <= FOR_A_REFERENCE * (len(data) + 1)
            again = structure.read(alone, MANY)
            assert again.kind in (value.kind, "")  # a value that something has changed is of no kind that is known
            assert len(again.items) == len(value.items) or again.kind != value.kind

    _decode(look, data, FOR_AN_INSTRUCTION * min(len(data), structure.MOST_INSTRUCTIONS))


def _decode(load: Callable[[Any], Any], data: bytes, more: int = 0) -> None:
    file = _File(data)
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    result, said = None, ""
    try:
        result = load(file)
    except (bare.RefusedError, ValueError, EOFError) as error:
        said = str(error)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        if not tracing:
            tracemalloc.stop()
    assert len(said) < LONGEST_ERROR
    assert peak - before <= BESIDES + FOR_A_BYTE * len(data) + more
    assert dict(vars(TransportableObject)) == _CLASS
    if load in (archive.load, bare.load) and result is not None:
        _storable(result, len(data))


def _storable(result: Any, size: int) -> None:
    """Covalent's server can store it and read it back; else its electron would be RUNNING for ever."""
    assert type(result) is TransportableObject
    assert len(result._object) + len(result._object_string) <= size + REPEATED
    stored = result.serialize()
    assert TransportableObject.deserialize(stored).serialize() == stored


TARGETS: dict[str, Callable[[bytes], None]] = {
    "archive": decode_archive,
    "bare": decode_bare,
    "items": decode_items,
    "manifest": decode_manifest,
    "wheel": decode_wheel,
}
