"""The virtual environment of a job, for the Python that has unpacked its packages."""

from __future__ import annotations

import gc
import importlib
import os
import site
import sys
from pathlib import Path

PACKAGES = Path(__file__).parents[2]
"""Where its packages are."""

_DIRECTORY = PACKAGES.parents[2]
# What setuptools has each Python import at its start, and what no package of a job depends on.
_HARMLESS = {"_distutils_hack"}


def enter() -> None:
    """Makes a virtual environment of the packages that are unpacked here, and has this process run in it.

    It is then as if the environment's own Python had been started, without the time that takes: what `site` does at
    that, https://docs.python.org/3/library/site.html. Where more than that would differ, its own Python is started.
    Nothing happens in that.

    Raises:
        OSError: It cannot be written to.
    """
    gc.enable()  # see `program`
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
    if not _is_plain():
        os.execv(sys.executable, [sys.executable, "-m", f"{__package__}.unpack"])  # noqa: S606
    sys.prefix = sys.exec_prefix = str(_DIRECTORY)
    site.PREFIXES.insert(0, sys.prefix)
    sys.modules.pop("sysconfig", None)  # it keeps the prefix that it finds
    importlib.invalidate_caches()
    own = str(PACKAGES)
    sys.path.remove(own)
    bases = next((number for number, path in enumerate(sys.path) if path.endswith("-packages")), len(sys.path))
    if not sys.path[0]:  # which is where the process is at each import
        sys.path[0] = os.getcwd()  # noqa: PTH109
    after = sys.path[bases:]
    del sys.path[bases:]
    site.addsitedir(own)
    sys.path += [path for path in after if path not in sys.path]


def _is_plain() -> bool:
    """Whether this Python differs from the environment's own by nothing but the environment.

    It does where it runs in another virtual environment, whose packages it sees; where it was told of directories that
    come before all; where it has imported packages of the image at its start, of which the environment may have
    another version; and where it knows the environment by another name.
    """
    imported = {
        name.partition(".")[0]
        for name, module in list(sys.modules.items())
        if "-packages/" in (file := getattr(module, "__file__", None) or "") and not file.startswith(f"{PACKAGES}/")
    }
    return (
        sys.prefix == sys.base_prefix
        and not os.environ.get("PYTHONPATH")
        and imported <= _HARMLESS
        and sys.path.count(str(PACKAGES)) == 1
    )
