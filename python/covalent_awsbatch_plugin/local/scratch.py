"""The scratch directory of an attempt, with a virtual environment in it.

The virtual environment sees every package of the caller's, but what a job installs lands only in it: the caller's
directories stand behind its own on `sys.path`, and pip leaves alone what lies outside `sys.prefix`.
"""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import site
import stat
import sys
import venv
from pathlib import Path
from types import TracebackType

# A shell script: a generated one has the interpreter's path in its first line, whose length the kernel limits.
_PIP_SCRIPT = """#!/bin/sh
exec "$(dirname "$0")/python" -m pip "$@"
"""
# By its own path, since what is beside a link would make another Python of it.
_PLAIN_SCRIPT = """#!/bin/sh
exec {} "$@"
"""


class Scratch:
    """A directory for one attempt, removed when the `with` block ends, with a virtual environment in it.

    Args:
        directory: Where to make it; must not exist yet.

    Attributes:
        root: The directory itself.
        work: The job's working directory and its `HOME`.
        bin: The virtual environment's programs: `python`, `pip`.
        plain: In place of an image of Python: `python3`, which sees no package of the caller's virtual environment.
    """

    def __init__(self, directory: Path) -> None:
        self.root = directory
        self.work = directory / "work"
        self.venv = directory / "venv"
        self.bin = self.venv / "bin"
        self.plain = directory / "plain"

    @property
    def python(self) -> Path:
        """The virtual environment's interpreter."""
        return self.bin / "python"

    def __enter__(self) -> Scratch:
        self.root.mkdir(mode=0o700, parents=True)
        self.work.mkdir()
        # Without pip of the caller's, ensurepip has to do; it takes seconds where the rest takes milliseconds.
        with_pip = importlib.util.find_spec("pip") is None
        venv.EnvBuilder(with_pip=with_pip, symlinks=True).create(self.venv)
        for name in ("pip", "pip3"):
            (self.bin / name).unlink(missing_ok=True)
            _write_script(self.bin / name, _PIP_SCRIPT)
        self._show_caller_packages()
        self.plain.mkdir()
        real = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
        _write_script(self.plain / "python3", _PLAIN_SCRIPT.format(shlex.quote(str(real))))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def _show_caller_packages(self) -> None:
        [packages] = self.venv.glob("lib/python*/site-packages")
        # addsitedir, not a plain path: it follows the .pth files there, such as those of editable installs.
        calls = [f"site.addsitedir({str(directory)!r})" for directory in caller_site_directories()]
        lines = ["; ".join(["import site", *calls])]
        lines += [str(directory) for directory in _source_directories()]
        (packages / "caller.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_script(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def caller_site_directories() -> list[Path]:
    """Returns the directories that the caller imports installed packages from, in its order, each once."""
    directories = [Path(name) for name in sys.path if Path(name).name in ("site-packages", "dist-packages")]
    directories += [Path(name) for name in site.getsitepackages()]
    if site.ENABLE_USER_SITE:
        directories.append(Path(site.getusersitepackages()))
    return [directory for directory in dict.fromkeys(directories) if directory.is_dir()]


def _source_directories() -> list[Path]:
    """Returns where this package lies when it is not installed, so that a job runs the same code as the caller."""
    root = Path(__file__).resolve().parents[2]
    return [] if root in caller_site_directories() else [root]
