"""Stores the function's checkpoint directory in the bucket again and again, and restores it in a later attempt."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covalent_awsbatch_plugin.checkpoint import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from covalent_awsbatch_plugin._core import Client

_UNFINISHED = ".tmp"
_BUFFER_BYTES = 1024 * 1024
_STOP_SECONDS = 10.0


class _StoppedError(Exception):
    """The function has returned: what is being stored is of no use any more."""


class Checkpoint:
    """The checkpoint of a job, as one object that is replaced as a whole, so that it is never half of one.

    Args:
        client: Connection to S3.
        bucket: Where it is stored.
        key: Its object.
        interval: Seconds from the end of storing it to the next time.
        log: Takes what is said in the container's log.
    """

    def __init__(self, client: Client, bucket: str, key: str, interval: float, log: Callable[[str], None]) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._interval = interval
        self._log = log
        self._directory = Path(os.environ[VARIABLE])
        self._stored: list[tuple[str, int, int]] = []
        self._storing = threading.Lock()
        self._stopped = threading.Event()

    def restore(self) -> None:
        """Bring back what an earlier attempt stored, if there is any.

        Raises:
            Exception: S3 does not answer. Then the function must not begin anew.
        """
        import tarfile

        place = f"s3://{self._bucket}/{self._key}"
        try:
            reader: Any = self._client.reader(self._bucket, self._key)
        except FileNotFoundError:
            return
        except PermissionError as error:  # what is missing looks denied without the right to list
            if os.environ.get("AWS_BATCH_JOB_ATTEMPT", "1") != "1":
                self._log(f"The checkpoint {place} cannot be read, if there is one: {error}")
            return
        options: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        try:
            with tarfile.open(fileobj=reader, mode="r|", bufsize=_BUFFER_BYTES) as tar:
                tar.extractall(self._directory, **options)  # noqa: S202  (what an attempt of this very job stored)
        except tarfile.TarError as error:
            self._log(f"The checkpoint {place} is damaged, and only a part of it is there: {error}")
        self._stored = self._content()
        self._log(f"Restored {_amount(self._stored)} from {place}.")

    def start(self) -> None:
        """Store it from now on, in a thread."""
        threading.Thread(target=self._store_repeatedly, name="checkpoint", daemon=True).start()

    def stop(self) -> None:
        """Leave off, since the function has returned."""
        self._stopped.set()
        if self._storing.acquire(timeout=_STOP_SECONDS):
            self._storing.release()

    def store(self) -> None:
        """Store it, unless it has not changed. Never raises: the log says what was wrong."""
        with self._storing:
            content = self._content()
            if content == self._stored or self._stopped.is_set():
                return
            try:
                self._write(content)
            except _StoppedError:
                pass
            except Exception as error:  # noqa: BLE001  (whatever it is, the function goes on)
                self._log(f"The checkpoint could not be stored: {type(error).__name__}: {error}")
            else:
                self._stored = content
                self._log(f"Stored {_amount(content)} as checkpoint.")

    def _store_repeatedly(self) -> None:
        while not self._stopped.wait(self._interval):
            self.store()

    def _write(self, content: list[tuple[str, int, int]]) -> None:
        import tarfile

        with self._client.writer(self._bucket, self._key) as out:
            file: Any = out
            tar = tarfile.open(fileobj=file, mode="w|", bufsize=_BUFFER_BYTES)  # noqa: SIM115  (an error leaves no end)
            for name, _, _ in content:
                if self._stopped.is_set():
                    raise _StoppedError
                tar.add(self._directory / name, name, recursive=False)
            tar.close()

    def _content(self) -> list[tuple[str, int, int]]:
        """What is to be stored: names, sizes, and when each was written, in nanoseconds."""
        return sorted(self._entries(self._directory))

    def _entries(self, directory: Path) -> Iterator[tuple[str, int, int]]:
        with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.endswith(_UNFINISHED):
                    continue
                with contextlib.suppress(FileNotFoundError):  # removed or renamed meanwhile
                    is_directory = entry.is_dir(follow_symlinks=False)
                    if is_directory or entry.is_symlink() or entry.is_file():
                        found = entry.stat(follow_symlinks=False)
                        name = str(Path(entry.path).relative_to(self._directory))
                        yield name, 0 if is_directory else found.st_size, 0 if is_directory else found.st_mtime_ns
                    if is_directory:
                        yield from self._entries(Path(entry.path))


def _amount(content: list[tuple[str, int, int]]) -> str:
    size = sum(size for _, size, _ in content)
    return f"{len(content)} files and folders, {size / 1e6:.1f} MB,"
