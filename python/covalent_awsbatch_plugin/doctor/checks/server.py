"""Covalent's server, where it runs on this machine: whether it fits this package, what it reads, what slows it down."""

from __future__ import annotations

import asyncio
import importlib.metadata
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import requests

from covalent_awsbatch_plugin.server import installed

from .base import Case, Check, State, failed, passed

_SECONDS = 5.0
_LOCAL = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104  (where a server may say that it listens)
_IN_MEMORY = ("tmpfs", "ramfs")
_SQLITE = "sqlite"
_MEMORY = "/dev/shm"  # noqa: S108  (where Linux has files in memory)


@dataclass(frozen=True)
class Running:
    """The process that answers on this machine.

    Attributes:
        pid: Its id.
        prefix: Directory of its Python environment.
        arguments: Its command line.
        variables: Its environment.
    """

    pid: int
    prefix: Path
    arguments: Sequence[str]
    variables: Mapping[str, str]


async def server(case: Case) -> Sequence[Check]:  # noqa: ARG001  (it is the same for all options)
    """What there is to know of Covalent's server on this machine."""
    return await asyncio.to_thread(_server)


def _server() -> list[Check]:
    from covalent._shared_files.config import get_config

    address, port = str(get_config("dispatcher.address")), int(get_config("dispatcher.port"))
    versions = _versions()
    if address not in _LOCAL:
        return [passed("server", f"{versions} here; dispatches go to {address}:{port}")]
    if (problem := installed.problem()) is not None:
        return [failed("server", f"{versions}: {problem.found}", problem.fix)]
    if not _answers(port):
        found = f"{versions}; none answers at {address}:{port}"
        return [Check("server", State.PASSED, found, "`covalent start --no-cluster` starts it")]
    running = _running(port)
    if running is None:
        return [passed("server", f"one answers at {address}:{port}; whose process it is cannot be told")]
    if running.prefix.resolve() != Path(sys.prefix).resolve():
        found = f"the one at {address}:{port} runs in {running.prefix}, and this command in {sys.prefix}"
        return [
            failed(
                "server",
                found,
                f"install the package there: `{running.prefix}/bin/python -m pip install covalent-awsbatch-plugin`",
            )
        ]
    checks = [passed("server", f"{versions} answers at {address}:{port} as process {running.pid}")]
    return [*checks, _configuration(running), counters(running), *_dask(running)]


def _versions() -> str:
    found = [f"Covalent {importlib.metadata.version('covalent')}"]
    try:
        found.append(f"FastAPI {importlib.metadata.version('fastapi')}")
    except importlib.metadata.PackageNotFoundError:
        found.append("no FastAPI")
    return " with ".join(found)


def _answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/api/v2/dispatches?count=1", timeout=_SECONDS).ok
    except requests.RequestException:
        return False


def _running(port: int) -> Running | None:
    """The process that listens on a port; None if it is not for this user to see."""
    try:
        connections = psutil.net_connections("tcp")
        listening = [one for one in connections if one.status == psutil.CONN_LISTEN and one.laddr.port == port]
        for pid in sorted({one.pid for one in listening if one.pid}):
            process = psutil.Process(pid)
            arguments = process.cmdline()
            return Running(pid, Path(arguments[0]).parents[1], arguments, process.environ())
    except (psutil.Error, OSError, IndexError):
        pass
    return None


def _configuration(running: Running) -> Check:
    """Whether the server reads the configuration that this command has read."""
    from covalent._shared_files.config import get_config

    ours = Path(str(get_config("sdk.config_file")))
    theirs = _config_file(running.variables)
    if theirs is None or theirs.resolve() == ours.resolve():
        return passed("configuration", f"{ours}, as the server's")
    fix = "start the server and this command with the same HOME and COVALENT_CONFIG_DIR"
    return failed("configuration", f"the server reads {theirs}, and this command {ours}", fix)


def _config_file(variables: Mapping[str, str]) -> Path | None:
    """Where Covalent has its configuration with these variables, as its `defaults.py` says."""
    directory = variables.get("COVALENT_CONFIG_DIR") or variables.get("XDG_CONFIG_DIR")
    if not directory and not variables.get("HOME"):
        return None
    return Path(directory or f"{variables['HOME']}/.config/covalent") / "covalent.conf"


def counters(running: Running) -> Check:
    """Whether what Covalent counts of a running dispatch, and throws away at its end, is written to a disk.

    Three quarters of what the server waits for its disk are for that.
    """
    url = running.variables.get("COVALENT_CACHE_DB_URL", "")
    if url and not url.startswith(_SQLITE):
        return passed("counters", f"in {urlsplit(url).scheme}, by COVALENT_CACHE_DB_URL")
    path = Path(url.partition("///")[2]) if url else Path(running.variables.get("TMPDIR") or tempfile.gettempdir())
    kind = _file_system(path)
    if kind in _IN_MEMORY or not kind:
        return passed("counters", f"below {path}, in memory" if kind else f"below {path}")
    fix = f"the server is faster with them in memory: `TMPDIR={_MEMORY} covalent start --no-cluster`"
    fix = fix if Path(_MEMORY).is_dir() else ""
    return Check("counters", State.PASSED, f"below {path}, on a disk ({kind})", fix)


def _file_system(path: Path) -> str:
    """The kind of the file system that a path is on, such as `ext4`; empty if it cannot be told."""
    try:
        mounted = {Path(one.mountpoint): one.fstype for one in psutil.disk_partitions(all=True)}
    except OSError:
        return ""
    return next((mounted[place] for place in (path.resolve(), *path.resolve().parents) if place in mounted), "")


def _dask(running: Running) -> list[Check]:
    """Whether `covalent start` has also started the processes of a Dask cluster."""
    if "app.py" not in running.arguments or "--no-cluster" in running.arguments:
        return []
    fix = "where all electrons are jobs nobody needs it: `covalent restart --no-cluster` saves its processes"
    return [Check("Dask", State.PASSED, "the server has started a cluster", fix)]
