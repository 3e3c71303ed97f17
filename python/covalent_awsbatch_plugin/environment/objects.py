"""The objects of an environment, in a job that has the core.

The core unpacks them, as Python's own zlib takes twice as long.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from covalent_awsbatch_plugin._core import unpack as unpack_file

from . import bootstrap

_AT_ONCE = 4


def unpack(key: str, root: str, at: str) -> None:
    """Fetches an object, verifies it, and unpacks it.

    Args:
        key: Its key.
        root: The directory that the names of its files are relative to.
        at: A directory with room for it meanwhile.

    Raises:
        OSError: It is not what an object of an environment is, or the disk is full.
        SystemExit: It cannot be had, or is not what its name says.
    """
    with tempfile.TemporaryFile(dir=at) as file:
        bootstrap.fetch(key, file)
        file.flush()
        try:
            unpack_file(f"/proc/self/fd/{file.fileno()}", root)
        except OSError as error:
            raise OSError(f"{key}: {error}") from None


def unpack_all(keys: Iterable[str], root: str, at: str) -> None:
    """The same for several, some at a time."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for done in [threads.submit(unpack, key, root, at) for key in keys]:
            done.result()
