"""Packaging a call into the bucket, and taking a result out of it without running anything."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import platform
from collections.abc import Callable
from functools import partial
from typing import Any

import cloudpickle

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin._core import Client, Reader, Writer
from covalent_awsbatch_plugin.agreement.naming import SENDER_METADATA
from covalent_awsbatch_plugin.printable import one_line

from . import archive, bare, memory, threads

_PIECE = 1024 * 1024
_PIECES = 64  # of a corrupt object that are read to learn whether it arrived damaged
_LONGEST_REASON = 300
_log = logging.getLogger(__name__)


def versions() -> dict[str, str]:
    """Versions of `python`, `cloudpickle` and `covalent`, by which calls are packaged here."""
    import covalent

    return {
        "python": platform.python_version(),
        "cloudpickle": cloudpickle.__version__,
        "covalent": covalent.__version__,
    }


async def upload(client: Client, bucket: str, key: str, call: tuple[Any, Any, Any]) -> None:
    """Pickle a call into the bucket.

    Args:
        client: Connection to use.
        bucket: Name of the bucket.
        key: Key of the object.
        call: Function, positional and keyword arguments.
    """
    _, arguments, keywords = call
    packaging = _Packaging()
    try:
        writer = await threads.run(threads.size_of(arguments, keywords), packaging.run, client, bucket, key, call)
    except asyncio.CancelledError:
        packaging.stop()
        raise
    await writer.finish()


def package(client: Client, bucket: str, key: str, call: tuple[Any, Any, Any]) -> Writer:
    """Pickle a call into an upload. Blocks while parts of a large one go out, and while others need the memory.

    Args:
        client: Connection to use.
        bucket: Name of the bucket.
        key: Key of the object.
        call: Function, positional and keyword arguments.

    Returns:
        The upload, still to be finished.
    """
    return _Packaging().run(client, bucket, key, call)


class _Packaging:
    """A call on its way into an upload, in one thread, which another one may stop."""

    def __init__(self) -> None:
        self._writer: Writer | None = None
        self._stopped = False

    def run(self, client: Client, bucket: str, key: str, call: tuple[Any, Any, Any]) -> Writer:
        from . import pickling

        metadata = {SENDER_METADATA + name: version for name, version in versions().items()}
        self._writer = writer = client.writer(bucket, key, metadata)
        if self._stopped:
            writer.stop()
        try:
            pickling.dump(call, writer)
            writer.reserve()
        except BaseException:
            writer.abort()
            raise
        return writer

    def stop(self) -> None:
        """Have it end soon, and the upload be aborted."""
        self._stopped = True
        if self._writer is not None:
            self._writer.stop()


def load_output(client: Client, bucket: str, key: str, sha256: str | None = None) -> Any:
    """Load the object in which our runner leaves a large result. Blocks.

    Args:
        client: Connection to use.
        bucket: Name of the bucket.
        key: Key of the object.
        sha256: Hexadecimal digits of what its content has to have; None if that is not known.

    Returns:
        A `TransportableObject`, its content still serialised.

    Raises:
        FileNotFoundError: There is no such object.
        ResultError: It is corrupt, or not what the job wrote.
        ServiceError: It did not arrive whole, also not at a second try.
    """
    return _patiently(partial(_loaded, partial(_load_archive, sha256)), client.reader, bucket, key)


def load_bare(client: Client, bucket: str, key: str, reader: Reader | None = None) -> Any:
    """Load the bare pickle that the public image's program leaves. Blocks.

    The bucket is not trusted: nothing is unpickled, and its content stays serialised until a container unpickles it.

    Args:
        client: Connection to use.
        bucket: Name of the bucket.
        key: Key of the object.
        reader: Where to read it, if it was opened before.

    Raises:
        FileNotFoundError: There is no such object.
        ResultError: It is corrupt, or refers to something else.
        ServiceError: It did not arrive whole, also not at a second try.
    """
    if reader is not None:
        return _loaded(bare.load, reader, bucket, key)
    return _patiently(partial(_loaded, bare.load), client.reader, bucket, key)


class _Hashed:
    """A file that is hashed while it is read."""

    def __init__(self, file: Reader) -> None:
        self._file = file
        self.size = file.size
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self.sha256.update(data)
        return data

    def readline(self) -> bytes:
        line = self._file.readline()
        self.sha256.update(line)
        return line


def _load_archive(sha256: str | None, reader: Reader) -> Any:
    if sha256 is None:
        return archive.load(reader)
    file = _Hashed(reader)
    result = archive.load(file)
    if file.sha256.hexdigest() != sha256:
        raise ValueError("it is not what the job wrote. Who can write to this bucket?")
    return result


def _loaded(load: Callable[[Reader], Any], reader: Reader, bucket: str, key: str) -> Any:
    location = f"s3://{bucket}/{key}"
    if reader.size > (limit := memory.largest_result()):
        raise errors.ResultError(
            f"The result {location} has {reader.size:,} bytes, more than this machine can take in ({limit:,}): let the "
            "function store it and return where it is.",
            bucket=bucket,
            key=key,
        )
    try:
        return load(reader)
    except bare.RefusedError as refused:
        raise errors.ResultError(
            f"The result {location} was refused: it refers to {refused.what}, and nothing but Covalent's "
            "TransportableObject is read on the dispatcher. Who can write to this bucket?",
            refused=refused.what,
        ) from refused
    except (ValueError, EOFError) as error:
        for _ in range(_PIECES):  # if it arrived damaged, that is what there is to say
            if not reader.read(_PIECE):
                break
        why = one_line(error, _LONGEST_REASON).rstrip(".")
        raise errors.ResultError(f"The result {location} is corrupt: {why}.", bucket=bucket, key=key) from error


def _patiently(
    load: Callable[[Reader, str, str], Any], open_: Callable[[str, str], Reader], bucket: str, key: str
) -> Any:
    try:
        return load(open_(bucket, key), bucket, key)
    except errors.ServiceError as error:
        # What has been made of a stream cannot be taken back, so this is the place for a second try.
        _log.info("%s; the result is read once more", error)
        return load(open_(bucket, key), bucket, key)
