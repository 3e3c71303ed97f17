"""Packaging a call into the bucket, and taking a bare result out of it without running anything."""

from __future__ import annotations

import copyreg
import logging
import pickle
import platform
from typing import Any, NoReturn

import cloudpickle

from . import errors
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


def package(client: Client, bucket: str, key: str, call: tuple[Any, Any, Any]) -> Writer:
    """Pickle a call into an upload. Blocks while parts of a large one go out.

    Args:
        client: Connection to use.
        bucket: Name of the bucket.
        key: Key of the object.
        call: Function, positional and keyword arguments.

    Returns:
        The upload, still to be finished.
    """
    import covalent

    versions = {
        "python": platform.python_version(),
        "cloudpickle": cloudpickle.__version__,
        "covalent": covalent.__version__,
    }
    writer = client.writer(bucket, key, {SENDER_METADATA + name: version for name, version in versions.items()})
    try:
        cloudpickle.dump(call, writer)
    except BaseException:
        writer.abort()
        raise
    return writer


def load_bare(client: Client, bucket: str, key: str) -> Any:
    """Load the bare pickle that the public image's program leaves. Blocks.

    The bucket is not trusted: the pickle may refer to Covalent's `TransportableObject` and to nothing else, and its
    content stays serialised until a container unpickles it.

    Args:
        client: Connection to use.
        bucket: Name of the bucket.
        key: Key of the object.

    Raises:
        FileNotFoundError: There is no such object.
        ResultError: It is corrupt, or refers to something else.
        ServiceError: It did not arrive whole, also not at a second try.
    """
    try:
        return _load_bare(client, bucket, key)
    except errors.ServiceError as error:
        # What has been unpickled of a stream cannot be taken back, so this is the place for a second try.
        _log.info("%s; the result is read once more", error)
        return _load_bare(client, bucket, key)


def _load_bare(client: Client, bucket: str, key: str) -> Any:
    location = f"s3://{bucket}/{key}"
    reader = client.reader(bucket, key)
    # What the process unpickled by an extension code before is taken from here, past `find_class`.
    copyreg.clear_extension_cache()
    try:
        return _BareUnpickler(reader, location).load()
    except _CORRUPT as error:
        while reader.read(_PIECE):
            pass  # to the end: if it arrived damaged, that is what there is to say
        why = str(error) or type(error).__name__
        raise errors.ResultError(f"The result {location} is corrupt: {why}.", bucket=bucket, key=key) from error


class _BareUnpickler(pickle.Unpickler):
    def __init__(self, reader: Reader, location: str) -> None:
        super().__init__(reader)
        self._location = location

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _TRANSPORTABLE:
            self._refuse(f"{module}.{name}")
        from covalent._workflow.transport import TransportableObject

        return TransportableObject

    def persistent_load(self, pid: Any) -> NoReturn:  # noqa: ARG002
        self._refuse("an object outside of the pickle")

    def _refuse(self, what: str) -> NoReturn:
        raise errors.ResultError(
            f"The result {self._location} was refused: it refers to {what}, and only Covalent's TransportableObject is "
            "unpickled on the dispatcher. Who can write to this bucket?",
            refused=what,
        )
