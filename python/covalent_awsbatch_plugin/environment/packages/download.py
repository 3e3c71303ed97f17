"""Fetches wheels from an index, each compared with its hash."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests

from covalent_awsbatch_plugin.environment.distributions import CannotPackError

from . import index
from .resolve import Wheel

_AT_ONCE = 4
_ATTEMPTS = 3
_PIECE = 1024 * 1024
_SECONDS = 900
_TIMEOUT = (10, 60)


def downloaded(wheels: list[Wheel], directory: Path, variables: Mapping[str, str]) -> list[Path]:
    """Fetches wheels.

    Args:
        wheels: Which.
        directory: Where to.
        variables: As `index.variables` returns them.

    Returns:
        The files, in their order.

    Raises:
        CannotPackError: One of them cannot be had, or is not what the index says.
    """
    until = time.monotonic() + _SECONDS
    with ThreadPoolExecutor(_AT_ONCE, "awsbatch-wheels") as threads:
        return list(threads.map(lambda wheel: _fetch(wheel, directory / wheel.sha256, variables, until), wheels))


def _fetch(wheel: Wheel, file: Path, variables: Mapping[str, str], until: float) -> Path:
    why = ""
    for attempt in range(_ATTEMPTS):
        time.sleep(attempt)
        sha256 = hashlib.sha256()
        try:
            with file.open("wb") as out:
                for piece in _pieces(wheel, variables):
                    sha256.update(piece)
                    out.write(piece)
                    if time.monotonic() > until:
                        raise CannotPackError(f"fetching {wheel.file} took more than {_SECONDS} s")
            if sha256.hexdigest() == wheel.sha256:
                return file
            why = "it is not what the index says"
        except requests.RequestException as error:
            why = type(error).__name__  # its text has the address
            if error.response is not None:
                why = f"the index answers {error.response.status_code}"
                if error.response.status_code < 500:
                    break
    raise CannotPackError(f"{wheel.file} cannot be fetched: {why}")


def _pieces(wheel: Wheel, variables: Mapping[str, str]) -> Iterator[bytes]:
    parts = urlsplit(wheel.url)
    if parts.scheme == "file":
        with Path(url2pathname(parts.path)).open("rb") as file:
            yield from iter(lambda: file.read(_PIECE), b"")
        return
    trusted = {host.partition(":")[0] for host in variables.get("UV_INSECURE_HOST", "").split()}
    with requests.get(
        wheel.url,
        stream=True,
        timeout=_TIMEOUT,
        auth=index.password(wheel.url, variables),
        verify=parts.hostname not in trusted and (variables.get("SSL_CERT_FILE") or True),
        headers={"Accept-Encoding": "identity"},
    ) as answer:
        answer.raise_for_status()
        yield from answer.iter_content(_PIECE)
