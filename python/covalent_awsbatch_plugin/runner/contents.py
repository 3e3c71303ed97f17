"""Fetches the contents that a task refers to, and compares each with its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from covalent_awsbatch_plugin.agreement import references
from covalent_awsbatch_plugin.agreement.naming import REFERENCES_METADATA

if TYPE_CHECKING:
    from covalent_awsbatch_plugin._core import Client, Reader

_CHUNK_BYTES = 1024 * 1024


class ArgumentError(Exception):
    """An argument of the task cannot be had, or is not what it was."""

    __module__ = "builtins"  # a traceback then shows the bare name


def listed(reader: Reader, function_key: str) -> list[references.Reference]:
    """Read what a task refers to, which stands before its pickle.

    Args:
        reader: The function's object, from its beginning; what follows is the pickle.
        function_key: Its key.

    Raises:
        ArgumentError: It is no such list.
    """
    length = reader.metadata.get(REFERENCES_METADATA)
    if length is None:
        return []
    try:
        return references.decode(reader.read(int(length)), function_key)
    except ValueError as error:
        raise ArgumentError(f"What this task refers to was refused: {error}. Who can write to this bucket?") from None


def send(client: Client, bucket: str, reference: references.Reference, write: Callable[[bytes], object]) -> None:
    """Pass a content on, in pieces. Whoever gets it must not use it before this returns.

    Args:
        client: Connection to S3.
        bucket: Where it is.
        reference: Which it is.
        write: Takes a piece.

    Raises:
        ArgumentError: It is gone, or not what it was.
    """
    place = f"s3://{bucket}/{reference.key}"
    try:
        reader = client.reader(bucket, reference.key)
    except (FileNotFoundError, PermissionError) as error:  # what is missing looks denied without the right to list
        raise ArgumentError(
            f"An argument of this task is in {place}, which is gone or may not be read ({error}). If a lifecycle rule "
            "of the bucket removed it, let the rule keep objects for longer than a dispatch takes, and dispatch again."
        ) from None
    digest = hashlib.sha256()
    if reader.size == reference.offset + reference.size:
        _skip(reader, reference.offset)
        while piece := reader.read(_CHUNK_BYTES):
            digest.update(piece)
            write(piece)
    if digest.hexdigest() != reference.sha256:
        raise ArgumentError(
            f"An argument of this task is in {place}, which was refused: it is not what was stored there. Who can "
            "write to this bucket?"
        )


def _skip(reader: Reader, size: int) -> None:
    while size:
        size -= len(reader.read(min(size, _CHUNK_BYTES)))
