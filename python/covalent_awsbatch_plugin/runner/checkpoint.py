"""Stores the function's checkpoint directory in the bucket again and again, and restores it in a later attempt."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covalent_awsbatch_plugin.checkpoint import VARIABLE

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Callable, Iterator

    from covalent_awsbatch_plugin._core import Client, Writer

_UNFINISHED = ".tmp"
_BUFFER_BYTES = 1024 * 1024
_STOP_SECONDS = 10.0
_TRIES = 3  # to store a directory in which files are removed meanwhile


class RestoreError(Exception):
    """What an earlier attempt stored is there, and could not be brought back."""


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
        self._is_restored = False
        self._left_out: set[str] = set()
        self._storing = threading.Lock()
        self._upload: Writer | None = None
        self._stopped = threading.Event()

    def restore(self) -> None:
        """Bring back what an earlier attempt stored, if there is any.

        Until it is all there, nothing is stored: a part of it must not take the place of the whole.

        Raises:
            RestoreError: It is there, but S3 does not answer or there is no room. The function must not begin anew.
        """
        place = f"s3://{self._bucket}/{self._key}"
        try:
            is_found = self._bring_back(place)
        except Exception as error:
            raise RestoreError(f"The checkpoint {place} could not be restored: {error}") from error
        if is_found:
            self._stored = self._content()
            self._log(f"Restored {_amount(self._stored)} from {place}.")
        self._is_restored = True

    def _bring_back(self, place: str) -> bool:
        import tarfile

        try:
            reader: Any = self._client.reader(self._bucket, self._key)
        except FileNotFoundError:
            return False
        except PermissionError as error:  # what is missing looks denied without the right to list
            if os.environ.get("AWS_BATCH_JOB_ATTEMPT", "1") != "1":
                self._log(f"The checkpoint {place} cannot be read, if there is one: {error}")
            return False
        before = set(self._directory.iterdir())
        options: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        try:
            with tarfile.open(fileobj=reader, mode="r|", bufsize=_BUFFER_BYTES) as tar:
                tar.extractall(self._directory, **options)  # noqa: S202  (what an attempt of this very job stored)
        except tarfile.TarError as error:
            self._log(f"The checkpoint {place} is damaged, so the function begins anew: {error}")
            for path in set(self._directory.iterdir()) - before:
                _remove(path)
            return False
        return True

    def start(self) -> None:
        """Store it from now on, in a thread."""
        threading.Thread(target=self._store_repeatedly, name="checkpoint", daemon=True).start()

    def stop(self) -> None:
        """Leave off, since the function has returned: what is being stored is of no use any more."""
        self._stopped.set()
        if self._upload:
            self._upload.stop()
        if self._storing.acquire(timeout=_STOP_SECONDS):
            self._storing.release()

    def store(self) -> None:
        """Store it, unless it has not changed. Never raises: the log says what was wrong."""
        with self._storing:
            if not self._is_restored:
                return
            try:
                self._store_changed()
            except Exception as error:  # noqa: BLE001  (whatever it is, the function goes on)
                if not self._stopped.is_set():
                    self._log(f"The checkpoint could not be stored: {type(error).__name__}: {error}")

    def _store_repeatedly(self) -> None:
        while not self._stopped.wait(self._interval):
            self.store()

    def _store_changed(self) -> None:
        for left in reversed(range(_TRIES)):
            content = self._content()
            if content == self._stored or self._stopped.is_set():
                return
            try:
                self._write(content)
            except OSError as error:  # a file was removed or cut, and what came in its place is not in the list
                if isinstance(error, PermissionError) or not left or self._stopped.is_set():
                    raise
            else:
                self._stored = content
                self._log(f"Stored {_amount(content)} as checkpoint.")
                return

    def _write(self, content: list[tuple[str, int, int]]) -> None:
        import tarfile

        with self._client.writer(self._bucket, self._key) as upload:
            self._upload = upload
            if self._stopped.is_set():
                upload.stop()
            target: Any = _Target(upload)
            tar = tarfile.TarFile(fileobj=target, mode="w", copybufsize=_BUFFER_BYTES)  # an error leaves no end
            for name, _, _ in content:
                self._add(tar, name)
            tar.close()

    def _add(self, tar: tarfile.TarFile, name: str) -> None:
        path = self._directory / name
        info = tar.gettarinfo(path, name)
        if info.issym() and Path(info.linkname).is_absolute():  # the directory has another name in the next attempt
            target = Path(info.linkname)
            info.linkname = os.path.relpath(target.parent.resolve() / target.name, path.parent.resolve())
        if not info.isreg():
            tar.addfile(info)
            return
        with path.open("rb") as file:  # its size from here, since another file may have come in its place
            tar.addfile(tar.gettarinfo(arcname=name, fileobj=file), file)

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
                    is_link = entry.is_symlink()
                    name = str(Path(entry.path).relative_to(self._directory))
                    if (is_link and self._is_inside(name)) or is_directory or entry.is_file(follow_symlinks=False):
                        found = entry.stat(follow_symlinks=False)
                        yield name, 0 if is_directory else found.st_size, 0 if is_directory else found.st_mtime_ns
                    if is_directory:
                        yield from self._entries(Path(entry.path))

    def _is_inside(self, name: str) -> bool:
        """Whether a link leads to what is stored, too; one that does not could not be restored."""
        path = self._directory / name
        if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self._directory)):
            return True
        if name not in self._left_out:
            self._left_out.add(name)
            self._log(f"The checkpoint is without the link {name}, which leads out of its directory.")
        return False


class _Target:
    """What a tar file is written to, as much of a file as that needs."""

    def __init__(self, upload: Writer) -> None:
        self.write = upload.write

    def tell(self) -> int:
        """Where it begins."""
        return 0


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _amount(content: list[tuple[str, int, int]]) -> str:
    size = sum(size for _, size, _ in content)
    return f"{len(content)} files and folders, {size / 1e6:.1f} MB,"
