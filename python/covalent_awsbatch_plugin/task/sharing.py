"""Large arguments that several tasks of a dispatch have: each content is in the bucket once, and tasks refer to it.

A content is known by its hash. It is where a task of the dispatch has stored it, or where the job has left it whose
result it is. Covalent loads an argument anew for each electron; while tasks that have the same are under way, this
process keeps one copy of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from covalent._workflow.transport import TransportableObject

from covalent_awsbatch_plugin._core import Client, Writer
from covalent_awsbatch_plugin.agreement.naming import shared_key
from covalent_awsbatch_plugin.agreement.references import Reference
from covalent_awsbatch_plugin.server import stored_object

from . import threads
from .shared_argument import SharedArgument

SHARED_CHARS = 1024 * 1024
"""Characters in base64 from which on an argument is shared."""

_CHUNK_CHARS = 1024 * 1024
_FRESH_SECONDS = 24 * 3600.0  # a lifecycle rule removes nothing that is younger
_MOST_DISPATCHES = 256  # whose contents are remembered when none of their tasks is under way

Dispatch = tuple[Client, str, str]
"""A dispatch: the connection by which its tasks reach the bucket, the bucket, and its id."""


@dataclass(eq=False)
class _Content:
    """A content in the bucket, or on its way there.

    `users` are the tasks under way that refer to it. `is_shared` says that it has an object of its own, `is_needed`
    that a task that has ended may still need that object.
    """

    reference: Reference
    is_shared: bool
    stored: Future[None] = field(default_factory=Future)
    users: set[Arguments] = field(default_factory=set)
    is_needed: bool = False
    at: float = field(default_factory=time.monotonic)
    upload: _Upload | None = None
    texts: dict[str, str] = field(default_factory=dict)  # while there are users


_lock = threading.Lock()
_known: OrderedDict[Dispatch, dict[str, _Content]] = OrderedDict()
# Results whose hash is being computed, by their dispatch and the length of their texts.
_hashing: dict[tuple[Dispatch, int], set[Future[None]]] = {}


class Arguments:
    """What one task refers to, until it has ended.

    Args:
        dispatch: The task's dispatch.
    """

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._contents: set[_Content] = set()
        self._stopped: list[Future[None]] = []

    async def store(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Have the large ones among a call's arguments in the bucket.

        Args:
            args: Positional arguments.
            kwargs: Keyword arguments.

        Returns:
            Both, with a `SharedArgument` in the place of each large one.

        Raises:
            AWSBatchError: One could not be stored. The next task tries again.
        """
        stored = [await self._begun(value) for value in (*args, *kwargs.values())]
        for content in self._contents:
            # The upload goes on if this task is cancelled: others may wait for it.
            await asyncio.shield(asyncio.wrap_future(content.stored))
        return stored[: len(args)], dict(zip(kwargs, stored[len(args) :], strict=True))

    async def _begun(self, value: Any) -> Any:
        if not _is_large(value):
            return value
        connection, bucket, dispatch_id = self._dispatch
        length = stored_object.chars(value)
        sha256 = await threads.run(length, hash_of, value)
        with _lock:
            hashing = list(_hashing.get((self._dispatch, length), ()))
        if hashing:
            # Neither a failure there nor a cancellation here concerns anybody else.
            await asyncio.wait([asyncio.wrap_future(future) for future in hashing])
        # A name of its own: the deletion of an earlier one may be under way, and jobs of an earlier server read theirs.
        reference = Reference(shared_key(dispatch_id, secrets.token_hex(8), sha256), 0, length, sha256)
        with _lock:
            content = _claimed(self._dispatch, reference, self)
            self._contents.add(content)
            if content.is_shared and content.upload is None:
                content.upload = _Upload(connection, bucket, reference.key)
                content.stored = threads.submit(length, content.upload.run, value)
            _keep_one_copy(value, content)
        return SharedArgument(value, content.reference)

    def release(self, *, is_needed: bool) -> list[str]:
        """Say that the task has ended.

        Args:
            is_needed: Whether its objects stay, or its job may go on.

        Returns:
            Keys of the objects that no task needs any more; to be deleted when `uploads_ended` has returned.
        """
        deletable = []
        with _lock:
            for content in self._contents:
                content.users.discard(self)
                content.is_needed |= is_needed
                if content.users:
                    continue
                content.texts.clear()
                is_stored = content.stored.done() and content.stored.exception() is None
                if content.is_shared and not (is_stored and content.is_needed):
                    _forget(self._dispatch, content)
                    if content.upload is not None:
                        content.upload.stop()
                        self._stopped.append(content.stored)
                    if not content.is_needed:
                        deletable.append(content.reference.key)
        return deletable

    async def uploads_ended(self) -> None:
        """Wait for the end of the uploads that were stopped: an object may appear until then."""
        if self._stopped:
            await asyncio.wait([asyncio.wrap_future(future) for future in self._stopped])


def note_output(dispatch: Dispatch, key: str, result: Any, size: int) -> None:
    """Remember where a result is, so that a task that has it as an argument refers to it.

    Its hash is computed in another thread: whoever waits for the result need not wait for that.

    Args:
        dispatch: The dispatch that it belongs to.
        key: The object, which stays, and which ends with the result's content.
        result: The `TransportableObject`.
        size: Bytes of the object.
    """
    if not _is_large(result):
        return
    length = stored_object.chars(result)
    place = dispatch, length
    with _lock:
        future = threads.submit(length, _note, dispatch, key, result, size)
        _hashing.setdefault(place, set()).add(future)
    future.add_done_callback(partial(_end_hashing, place))


def _note(dispatch: Dispatch, key: str, result: Any, size: int) -> None:
    length = stored_object.chars(result)
    output = _Content(Reference(key, size - length, length, hash_of(result)), is_shared=False)
    output.stored.set_result(None)
    with _lock:
        contents = _contents_of(dispatch)
        known = contents.get(output.reference.sha256)
        if known is None or not _is_good(known):
            contents[output.reference.sha256] = output


def _end_hashing(place: tuple[Dispatch, int], future: Future[None]) -> None:
    with _lock:
        _hashing[place].discard(future)
        if not _hashing[place]:
            del _hashing[place]


def hash_of(value: Any) -> str:
    """Hexadecimal digits of the SHA-256 of a value's content in base64, of which no copy is made. Blocks.

    Args:
        value: A `TransportableObject`.
    """
    digest = hashlib.sha256()
    for piece in _pieces(value):
        digest.update(piece)
    return digest.hexdigest()


def _pieces(value: Any) -> Iterator[bytes]:
    if type(value) is stored_object.StoredObject:
        yield from value.pieces()
        return
    text = value.get_serialized()
    for start in range(0, len(text), _CHUNK_CHARS):
        yield text[start : start + _CHUNK_CHARS].encode("ascii")


class _Upload:
    """Stores a content in one thread; another thread may stop it.

    Not its last request, which S3 may carry out all the same, and then who deletes the object must come later.
    """

    def __init__(self, connection: Client, bucket: str, key: str) -> None:
        self._writer: Writer = connection.writer(bucket, key)
        self._lock = threading.Lock()
        self._is_closing = False

    def run(self, value: Any) -> None:
        try:
            for piece in _pieces(value):
                self._writer.write(piece)
            with self._lock:
                self._is_closing = True
            self._writer.close()
        except BaseException:
            self._writer.abort()
            raise

    def stop(self) -> None:
        with self._lock:
            if not self._is_closing:
                self._writer.stop()


def _claimed(dispatch: Dispatch, reference: Reference, user: Arguments) -> _Content:
    """The content that has this hash: a known one, or one that is still to be stored there."""
    contents = _contents_of(dispatch)
    content = contents.get(reference.sha256)
    if content is None or not _is_good(content):
        content = contents[reference.sha256] = _Content(reference, is_shared=True)
    content.users.add(user)
    return content


def _is_good(content: _Content) -> bool:
    """Whether a content may be referred to: its upload has not failed, and no lifecycle rule can have removed it."""
    failed = content.stored.done() and content.stored.exception() is not None
    return not failed and (bool(content.users) or time.monotonic() - content.at < _FRESH_SECONDS)


def _contents_of(dispatch: Dispatch) -> dict[str, _Content]:
    contents = _known.setdefault(dispatch, {})
    _known.move_to_end(dispatch)
    for other in list(islice(_known, max(0, len(_known) - _MOST_DISPATCHES))):
        if not any(content.users for content in _known[other].values()):
            del _known[other]
    return contents


def _forget(dispatch: Dispatch, content: _Content) -> None:
    contents = _known.get(dispatch, {})
    if contents.get(content.reference.sha256) is content:
        del contents[content.reference.sha256]


def _keep_one_copy(value: Any, content: _Content) -> None:
    """Have the values with the same content share its texts, which are equal."""
    for name, text in vars(value).items():
        if type(text) is str and len(text) >= SHARED_CHARS:
            known = content.texts.setdefault(name, text)
            if known is not text and known == text:
                vars(value)[name] = known


def _is_large(value: Any) -> bool:
    if type(value) is stored_object.StoredObject:
        return value.nbytes >= SHARED_CHARS
    if type(value) is not TransportableObject:
        return False
    text = vars(value).get("_object")
    return type(text) is str and len(text) >= SHARED_CHARS and text.isascii()


def _reset() -> None:
    global _lock  # noqa: PLW0603  (a thread of the parent may hold it)
    _lock = threading.Lock()
    _known.clear()
    _hashing.clear()


# A child of fork() has none of its parent's uploads.
os.register_at_fork(after_in_child=_reset)
