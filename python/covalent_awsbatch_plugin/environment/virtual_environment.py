"""The virtual environment of a job, for the Python that has unpacked its packages."""

from __future__ import annotations

import importlib
import os
import site
import sys
from pathlib import Path

_PACKAGES = Path(__file__).parents[2]
_DIRECTORY = _PACKAGES.parents[2]


def enter() -> None:
    """Makes a virtual environment of the packages that are unpacked here, and has this process run in it.

    As if its own Python had been started, without the time that takes: what `site` does at that,
    https://docs.python.org/3/library/site.html. Where this Python runs in another virtual environment, whose packages
    it sees, its own is started. Nothing happens in that.

    Raises:
        OSError: It cannot be written to.
    """
    if sys.prefix == str(_DIRECTORY):
        return
    programs = _DIRECTORY / "bin"
    python = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    settings = f"home = {python.parent}\ninclude-system-site-packages = true\n"
    (_DIRECTORY / "pyvenv.cfg").write_text(settings, encoding="utf-8")
    programs.mkdir(exist_ok=True)
    (programs / "python").symlink_to(python)
    os.environ.update(VIRTUAL_ENV=str(_DIRECTORY), PATH=f"{programs}:{os.environ.get('PATH', '')}")
    sys.executable = f"{programs}/python"
    if sys.prefix != sys.base_prefix:
        os.execv(sys.executable, [sys.executable, "-m", f"{__package__}.unpack"])  # noqa: S606
    sys.prefix = sys.exec_prefix = str(_DIRECTORY)
    site.PREFIXES.insert(0, sys.prefix)
    sys.modules.pop("sysconfig", None)  # it keeps the prefix that it finds
    importlib.invalidate_caches()
    own = str(_PACKAGES)
    sys.path[:] = [path for path in sys.path if path != own]
    if not sys.path[0]:  # which is where the process is at each import
        sys.path[0] = os.getcwd()  # noqa: PTH109
    bases = next((number for number, path in enumerate(sys.path) if path.endswith("-packages")), len(sys.path))
    after = sys.path[bases:]
    del sys.path[bases:]
    site.addsitedir(own)
    sys.path += [path for path in after if path not in sys.path]
