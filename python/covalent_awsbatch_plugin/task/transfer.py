"""Packages a call into the bucket, and loads a result from it without executing anything."""

from __future__ import annotations

import asyncio
import logging
import platform
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import cloudpickle

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin._core import Client, Reader, Writer
from covalent_awsbatch_plugin.agreement import references
from covalent_awsbatch_plugin.agreement.naming import REFERENCES_METADATA, SENDER_METADATA
from covalent_awsbatch_plugin.printable import one_line
from covalent_awsbatch_plugin.server import large_assets, stored_object

from . import archive, bare, memory, shared_argument, threads

_CHUNK_BYTES = 1024 * 1024
_MAX_VERIFIED_CHUNKS = 64  # of a corrupt object that are read to verify its checksum
_MAX_REASON_CHARS = 300
_log = logging.getLogger(__name__)


class OutputHash(NamedTuple):
    """What the envelope says of an output that is an object of its own.

    Attributes:
        algorithm: Of the hash.
        digest: The hash of the object's content in hexadecimal digits.
    """

    algorithm: Literal["blake3", "sha256"]
    digest: str


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
        call: Function, positional and keyword arguments; the pickle refers to the content of a `SharedArgument`.
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
    """Pickle a call into an upload. Blocks while parts are sent, and while other uploads use the memory.

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
    """Pickles a call into an upload in one thread; another thread may stop it."""

    def __init__(self) -> None:
        self._writer: Writer | None = None
        self._stopped = False

    def run(self, client: Client, bucket: str, key: str, call: tuple[Any, Any, Any]) -> Writer:
        from . import pickling

        metadata = {SENDER_METADATA + name: version for name, version in versions().items()}
        contents = shared_argument.numbered(*call[1:])
        listed = references.encode(contents) if contents else b""
        if listed:
            metadata[REFERENCES_METADATA] = str(len(listed))
        self._writer = writer = client.writer(bucket, key, metadata)
        if self._stopped:
            writer.stop()
        try:
            writer.write(listed)
            pickling.dump(call, writer, contents)
            writer.reserve()
        except BaseException:
            writer.abort()
            raise
        return writer

    def stop(self) -> None:
        """Stop pickling soon and abort the upload."""
        self._stopped = True
        if self._writer is not None:
            self._writer.stop()


def load_output(
    client: Client,
    bucket: str,
    key: str,
    expected: OutputHash | None = None,
    noted: Callable[[Any, int], None] | None = None,
) -> Any:
    """Load the separate object of a large result of the runner. Blocks.

    Args:
        client: Connection to use.
        bucket: Name of the bucket.
        key: Key of the object.
        expected: The hash that its content has to have; None if that is not known.
        noted: Is told of the result and its object's size, if it is what the job wrote.

    Returns:
        A `TransportableObject`, its content still serialised.

    Raises:
        FileNotFoundError: There is no such object.
        ResultError: It is corrupt, or not what the job wrote.
        ServiceError: It arrived damaged, also at the second attempt.
    """
    load = partial(_load_checked, partial(_load_archive, expected, noted))
    open_ = partial(client.reader, hash_algorithm=expected.algorithm if expected else None)
    return _load_with_retry(load, open_, bucket, key)


def load_bare(client: Client, bucket: str, key: str, reader: Reader | None = None) -> Any:
    """Load the bare pickle that the public image's program writes. Blocks.

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
        return _load_checked(bare.load, reader, bucket, key)
    return _load_with_retry(partial(_load_checked, bare.load), client.reader, bucket, key)


def _load_archive(expected: OutputHash | None, noted: Callable[[Any, int], None] | None, reader: Reader) -> Any:
    into_file = large_assets.are_in_files() and reader.size >= stored_object.LARGE_BYTES
    result = archive.load(reader, into_file=into_file)
    if expected is not None and reader.digest() != expected.digest:
        raise ValueError("it is not what the job wrote. Who can write to this bucket?")
    if expected is not None and noted is not None:
        noted(result, reader.size)
    return result


def _load_checked(load: Callable[[Reader], Any], reader: Reader, bucket: str, key: str) -> Any:
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
        for _ in range(_MAX_VERIFIED_CHUNKS):  # raises if it arrived damaged, which explains more
            if not reader.read(_CHUNK_BYTES):
                break
        why = one_line(error, _MAX_REASON_CHARS).rstrip(".")
        raise errors.ResultError(f"The result {location} is corrupt: {why}.", bucket=bucket, key=key) from error


def _load_with_retry(
    load: Callable[[Reader, str, str], Any], open_: Callable[[str, str], Reader], bucket: str, key: str
) -> Any:
    try:
        return load(open_(bucket, key), bucket, key)
    except errors.ServiceError as error:
        # A stream cannot be rewound, so the second attempt has to be here.
        _log.info("%s; the result is read once more", error)
        return load(open_(bucket, key), bucket, key)
