"""A real Covalent server for trying and testing: a private home, a free port, gone when its owner is gone.

`CovalentServer` runs the program that `covalent start --no-cluster --no-triggers` runs, as a child process in the
foreground instead of a daemon. Everything it reads or writes lies in one directory of mode 0700, so that neither the
user's configuration nor the user's dispatches are touched, and it can stand beside a server that is already running.

Covalent's server asks nobody who they are: while it runs, other users of this machine can dispatch to it, too.

The process that uses this class never imports Covalent for it: importing Covalent writes into the caller's home.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import select
import shutil
import signal
import site
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from covalent_awsbatch_plugin.environment import cache
from covalent_awsbatch_plugin.server import installed

if TYPE_CHECKING:
    from typing_extensions import Self

START_TIMEOUT = 60.0
"""Seconds that the server may take until it answers; four are usual, the first start of an installation takes more."""

STOP_TIMEOUT = 8.0
"""Seconds that the server may take to end by itself before it is killed."""

PORT_TIMEOUT = 15.0
"""Seconds to wait for the former port of a server that is started again."""

LOG_TAIL = 4000
"""Characters of the server's log that an error shows."""

# What Covalent and AWS read from the environment. The user's values would lead out of the private home, or name a
# profile that cannot be found there; what the server needs of them is passed as `environment`.
_FOREIGN_PREFIXES = ("COVALENT_", "XDG_", "AWS_")


class CovalentServer:
    """A Covalent server that lives as long as its context, and never longer than the process that made it.

    Args:
        environment: Environment for the server and its clients, in addition to the caller's own. The caller's
            `AWS_*`, `COVALENT_*` and `XDG_*` variables are not inherited.
        config: Sections of Covalent's configuration under `[executors]`, by executor: `{"awsbatch": {...}}`.
        home: Directory for everything the server writes, kept afterwards. Without it a temporary one is made, and
            removed when the server is stopped. A home that another server left behind is taken over: its dispatches
            are there again.
        start_timeout: Seconds to wait for the first answer.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        config: Mapping[str, Mapping[str, Any]] | None = None,
        home: str | os.PathLike[str] | None = None,
        start_timeout: float = START_TIMEOUT,
    ) -> None:
        self.port = 0
        self._extra = dict(environment or {})
        self._config = {name: dict(section) for name, section in (config or {}).items()}
        self._given_home = Path(home).absolute() if home is not None else None
        self._home: Path | None = self._given_home
        self._start_timeout = start_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._scripts = 0

    @property
    def url(self) -> str:
        """Where the server answers: `http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def home(self) -> Path:
        """The private home directory.

        Raises:
            RuntimeError: The server was not started, or its temporary home is gone.
        """
        if self._home is None:
            raise RuntimeError("the Covalent server has no home directory before start() and after stop()")
        return self._home

    @property
    def pid(self) -> int | None:
        """Process id of the server, which is also the id of its process group; None when it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def environment(self) -> dict[str, str]:
        """Environment for client processes: `import covalent` in one of them talks to this server."""
        home = self.home
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_PREFIXES)}
        # A proxy must not be asked for what is on this machine.
        no_proxy = ",".join(filter(None, (inherited.get("NO_PROXY", inherited.get("no_proxy")), "127.0.0.1,localhost")))
        return {
            **inherited,
            # With another HOME, packages of `pip install --user` would not be found any more.
            "PYTHONUSERBASE": site.getuserbase(),
            "NO_PROXY": no_proxy,
            "no_proxy": no_proxy,
            # The places that Covalent derives from it: configuration, database, data, logs, results.
            "HOME": str(home),
            # Covalent leaves a file there when it is killed.
            "TMPDIR": str(home / "tmp"),
            # What its tasks pack stays where this user's other servers have it, since packing takes seconds.
            cache.VARIABLE: str(cache.directory()),
            **self._extra,
        }

    def start(self) -> None:
        """Starts the server and waits until it answers. Does nothing when it runs already.

        After `kill()` it starts again in the same home, and on the same port unless something else has taken it.

        Raises:
            RuntimeError: The server cannot be started here, ended at once, or did not answer in time; the message
                says why and shows the end of its log.
        """
        if self.pid is not None:
            return
        _check_installation()
        if self._home is None:
            self._home = Path(tempfile.mkdtemp(prefix="covalent-"))
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.home / "tmp").mkdir(exist_ok=True)
        self.port = _free_port(self.port)
        self._write_config()
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        remove = [] if self._given_home else [str(self.home)]
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(self.port), str(os.getpid()), *remove],
                env=self.environment,
                cwd=self.home,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        atexit.register(self.stop)
        try:
            problem = self._wait()
        except BaseException:
            self.stop()
            raise
        if problem:
            tail = self.log()[-LOG_TAIL:]
            self.stop()
            raise RuntimeError(f"the Covalent server {problem}; the end of its log:\n{tail}")

    def stop(self) -> None:
        """Ends the server and every process of its own, and removes a temporary home. Never raises when it is gone."""
        atexit.unregister(self.stop)
        self.interrupt()
        if self._home is not None and self._given_home is None:
            shutil.rmtree(self._home, ignore_errors=True)
            self._home = None

    def interrupt(self) -> None:
        """Ends the server as `covalent stop` does, and every process of its own; the home stays as it is."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(STOP_TIMEOUT)
            self.kill()

    def kill(self) -> None:
        """Ends the server as a crash would: SIGKILL for all its processes, the home stays as it is."""
        if self._process is None:
            return
        # Also after the server itself has ended: the pool that runs local electrons is of the same group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None

    def log(self) -> str:
        """Everything the server has written to its log so far, over all its starts."""
        if self._home is None or not self._log_path.exists():
            return ""
        return self._log_path.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str) -> bytes:
        """What the server answers to a GET request.

        Args:
            path: Path and query, such as `/api/v2/dispatches?count=1`, or an address on this server.

        Raises:
            urllib.error.URLError: It does not answer, or answers with an error.
        """
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(path if path.startswith(self.url) else self.url + path, timeout=10) as response:
            answer: bytes = response.read()
            return answer

    def run_script(self, script: Path | str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Runs a client's script to its end, with the environment that leads to this server.

        Args:
            script: A file as `Path`, or the code itself as `str`.
            timeout: Seconds until it is ended.

        Returns:
            The script's exit code and what it wrote.

        Raises:
            subprocess.TimeoutExpired: The script did not end in time.
        """
        if isinstance(script, str):
            # Covalent reads the source of electrons, therefore a file and not `python -c`.
            self._scripts += 1
            path = self.home / f"script_{self._scripts}.py"
            path.write_text(script, encoding="utf-8")
            script = path
        return subprocess.run(
            [sys.executable, str(script.absolute())],
            env=self.environment,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _log_path(self) -> Path:
        # Where `covalent start` writes it, and the server's page reads it.
        return self.home / ".cache/covalent/covalent_ui.log"

    def _write_config(self) -> None:
        # Covalent fills in its defaults for all that is not said here.
        import toml  # a dependency of Covalent

        place = {"address": "127.0.0.1", "port": self.port}
        content = {
            "sdk": {"no_cluster": "true"},
            "dispatcher": place,
            "user_interface": place,
            "executors": self._config,
        }
        path = self.home / ".config/covalent/covalent.conf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(toml.dumps(content), encoding="utf-8")
        path.chmod(0o600)

    def _wait(self) -> str | None:
        """Waits until the server answers; what went wrong, if it does not."""
        deadline = time.monotonic() + self._start_timeout
        while time.monotonic() < deadline:
            if self.pid is None:
                return "ended before it answered"
            with contextlib.suppress(OSError):
                self.get("/api/v2/dispatches?count=1")
                return None
            time.sleep(0.1)
        return f"did not answer within {self._start_timeout:g} s"


def _check_installation() -> None:
    """Says in one sentence what is missing, in place of a server that ends with a traceback or refuses everything."""
    if (problem := installed.problem()) is not None:
        raise RuntimeError(f"{problem.found}: {problem.fix}")


def _free_port(wanted: int) -> int:
    """`wanted` if nothing listens on it, else another port: the answer must not come from another server."""
    deadline = time.monotonic() + PORT_TIMEOUT
    # The pool of a server that was just killed holds its port until the kernel has ended that too.
    while wanted and not _is_free(wanted):
        if time.monotonic() > deadline:
            wanted = 0
        time.sleep(0.05)
    with socket.socket() as listener:
        _bind(listener, wanted)
        port: int = listener.getsockname()[1]
        return port


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            _bind(listener, port)
        except OSError:
            return False
        return True


def _bind(listener: socket.socket, port: int) -> None:
    # As the server does: connections of a server that was killed linger on its port, and are no obstacle.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))


def _serve(port: int, owner: int, remove: str | None) -> None:
    """The child process: what `covalent start` does before it starts its program, then the program itself."""
    import runpy
    import threading

    threading.Thread(target=_follow_owner, args=(owner, remove), daemon=True).start()
    package = importlib.util.find_spec("covalent_ui")
    assert package is not None
    assert package.origin is not None
    program = Path(package.origin).with_name("app.py")
    os.chdir(program.parent)
    # The program names itself "app:fastapi_app" to uvicorn, so its directory must be where a script's directory is.
    sys.path[0] = str(program.parent)

    # Before Covalent loads its plugins, which may look whether they are in a server.
    sys.argv = [str(program), "--port", str(port), "--no-cluster", "--no-triggers"]

    from covalent_dispatcher._db.datastore import DataStore

    DataStore.factory().run_migrations(logging_enabled=False)
    runpy.run_path(str(program), run_name="__main__")


def _follow_owner(owner: int, remove: str | None) -> None:
    """Ends this process group as soon as the owner is gone, however it went.

    The owner holds the other end of the standard input, which closes with it; asking for the parent covers the case
    that a process forked from the owner holds that end too. Unlike the kernel's parent-death signal this does not
    depend on which thread of the owner started the server, and works on macOS.
    """
    while os.getppid() == owner and not select.select([sys.stdin], [], [], 1.0)[0]:
        pass
    if remove is not None:
        # The server still runs, and may write a file where one was just removed.
        for _ in range(50):
            shutil.rmtree(remove, ignore_errors=True)
            if not Path(remove).exists():
                break
            time.sleep(0.02)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
