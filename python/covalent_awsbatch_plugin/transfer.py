"""Packaging a call into the bucket, and taking a result out of it without running anything."""

from __future__ import annotations

import asyncio
import copyreg
import logging
import pickle
import platform
from collections.abc import Callable
from typing import Any, NoReturn

import cloudpickle

from . import archive, errors, texts, threads
from ._core import Client, Reader, Writer
from .naming import SENDER_METADATA

_PIECE = 1024 * 1024
# What unpickling raises over bytes that are no pickle; the last two over lengths that nothing has.
_CORRUPT = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    MemoryError,
)
_log = logging.getLogger(__name__)

# The class as pickles name it: by the module that it claims for itself, and by those that have defined it.
_TRANSPORTABLE = frozenset(
    (module, "TransportableObject")
    for module in ("covalent", "covalent._workflow.transport", "covalent._workflow.transportable_object")
)


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
        import covalent

        from . import pickling

        versions = {
            "python": platform.python_version(),
            "cloudpickle": cloudpickle.__version__,
            "covalent": covalent.__version__,
        }
        metadata = {SENDER_METADATA + name: version for name, version in versions.items()}
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


def load_output(client: Client, bucket: str, key: str) -> Any:
    """Load the object in which our runner leaves a large result. Blocks.

    Args:
        client: Connection to use.
        bucket: Name of the bucket.
        key: Key of the object.

    Returns:
        A `TransportableObject`, its content still serialised.

    Raises:
        FileNotFoundError: There is no such object.
        ResultError: It is corrupt.
        ServiceError: It did not arrive whole, also not at a second try.
    """
    return _patiently(_load_output, client, bucket, key)


def _load_output(client: Client, bucket: str, key: str) -> Any:
    reader = client.reader(bucket, key)
    try:
        return archive.load(reader)
    except _CORRUPT as error:
        raise _corrupt(reader, bucket, key, error) from error


def load_bare(client: Client, bucket: str, key: str, reader: Reader | None = None) -> Any:
    """Load the bare pickle that the public image's program leaves. Blocks.

    The bucket is not trusted: the pickle may refer to Covalent's `TransportableObject` and to nothing else, and its
    content stays serialised until a container unpickles it.

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
        return _unpickled(reader, bucket, key)
    return _patiently(_load_bare, client, bucket, key)


def _load_bare(client: Client, bucket: str, key: str) -> Any:
    return _unpickled(client.reader(bucket, key), bucket, key)


def _unpickled(reader: Reader, bucket: str, key: str) -> Any:
    location = f"s3://{bucket}/{key}"
    # What the process unpickled by an extension code before is taken from here, past `find_class`.
    copyreg.clear_extension_cache()
    try:
        return _BareUnpickler(reader, location).load()
    except _CORRUPT as error:
        raise _corrupt(reader, bucket, key, error) from error


def _patiently(load: Callable[[Client, str, str], Any], client: Client, bucket: str, key: str) -> Any:
    try:
        return load(client, bucket, key)
    except errors.ServiceError as error:
        # What has been made of a stream cannot be taken back, so this is the place for a second try.
        _log.info("%s; the result is read once more", error)
        return load(client, bucket, key)


def _corrupt(reader: Reader, bucket: str, key: str, error: Exception) -> errors.ResultError:
    while reader.read(_PIECE):
        pass  # to the end: if it arrived damaged, that is what there is to say
    why = str(error) or type(error).__name__
    return errors.ResultError(f"The result s3://{bucket}/{key} is corrupt: {why}.", bucket=bucket, key=key)


class _BareUnpickler(texts.Unpickler):
    def __init__(self, reader: texts.File, location: str) -> None:
        super().__init__(reader)
        self._location = location

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _TRANSPORTABLE:
            self._refuse(f"{module}.{name}")
        from covalent._workflow.transport import TransportableObject

        return TransportableObject

    def persistent_load(self, pid: Any) -> Any:
        try:
            return super().persistent_load(pid)
        except pickle.UnpicklingError:
            self._refuse("an object outside of the pickle")

    def _refuse(self, what: str) -> NoReturn:
        raise errors.ResultError(
            f"The result {self._location} was refused: it refers to {what}, and only Covalent's TransportableObject is "
            "unpickled on the dispatcher. Who can write to this bucket?",
            refused=what,
        )
