"""Has Covalent's server keep large results in files, and not in memory as well.

Covalent stores and loads a result in one piece, with three copies of it at a time, for each electron that uses it. Here
its store copies the file of a `StoredObject`, and makes one of a large file. This rests on a private module of
Covalent's, `covalent_dispatcher._object_store.local`: where that is another one, all is as Covalent has it.
"""

from __future__ import annotations

import inspect
import logging
import sys
from functools import wraps
from pathlib import Path
from typing import Any

from . import records, shutdown, stored_object

_MODULE = "covalent_dispatcher._object_store.local"
_STORE, _LOAD = ("self", "storage_path", "filename", "data"), ("self", "storage_path", "filename")
_SUFFIX = ".tobj"

_is_looked_at = _is_in_files = False

_log = logging.getLogger(__name__)


def are_in_files() -> bool:
    """Whether large results are in files in this process."""
    return _is_in_files


def keep_in_files() -> None:
    """Keep large results in files from here on, if this process is Covalent's server, and of a known version."""
    global _is_looked_at, _is_in_files  # noqa: PLW0603
    if _is_looked_at or not shutdown.is_server():
        return
    _is_looked_at = True
    provider = getattr(sys.modules.get(_MODULE), "LocalProvider", None)
    if provider is None or records.unsupported():
        return
    if not (_has_parameters(provider, "store_file", _STORE) and _has_parameters(provider, "load_file", _LOAD)):
        _log.debug("Covalent's store is not the known one: large results are in memory as well")
        return
    _change(provider)
    _is_in_files = True


def _has_parameters(provider: Any, name: str, parameters: tuple[str, ...]) -> bool:
    method = getattr(provider, name, None)
    return inspect.isfunction(method) and tuple(inspect.signature(method).parameters) == parameters


def _change(provider: Any) -> None:
    store, load = provider.store_file, provider.load_file

    @wraps(store)
    def store_file(self: Any, storage_path: str, filename: str, data: Any = None) -> Any:
        if type(data) is not stored_object.StoredObject or not filename.endswith(_SUFFIX):
            return store(self, storage_path, filename, data)
        data.copy_to(Path(storage_path) / filename)
        place = {"bucket_name": storage_path, "object_key": filename}
        return self.digest(**place), self.size(**place)

    @wraps(load)
    def load_file(self: Any, storage_path: str, filename: str) -> Any:
        path = Path(storage_path) / filename
        try:
            if filename.endswith(_SUFFIX) and path.stat().st_size >= stored_object.LARGE_BYTES:
                return stored_object.of_file(path)
        except (OSError, ValueError) as error:
            _log.debug("%s is read as Covalent does: %r", path, error)
        return load(self, storage_path, filename)

    provider.store_file, provider.load_file = store_file, load_file
