"""Virtual environments to measure in: the public plugin's, ours, and that of the public image's program."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "target" / "bench"

PUBLIC = "covalent-awsbatch-plugin==0.42.0"
PUBLIC_IMAGE = "covalent-aws-plugins==0.19.0"
# What both stand on: in one environment that the others see, so that nothing but the plugin differs.
_COMMON = ["covalent==0.240.0", "fastapi<0.132", "boto3", "uv", "scikit-learn", PUBLIC_IMAGE]


_OF_IMAGE = re.compile(r"(pip|setuptools|wheel|pkg_resources|_distutils_hack|distutils-precedence)(\.pth|-.*info)?$")


@dataclass(frozen=True)
class Plugin:
    """A plugin to measure.

    Attributes:
        name: `ours` or `public`.
        python: The interpreter of its environment.
    """

    name: str
    python: Path

    @property
    def home(self) -> Path:
        """A home of its own: Covalent keeps the plugin's options in its configuration file, and versions differ."""
        home = PLACE / f"home-{self.name}"
        home.mkdir(parents=True, exist_ok=True)
        return home


def common() -> Path:
    """The interpreter of the environment with Covalent, boto3 and the public image's program, made if need be."""
    return _made("common", [], _COMMON)


def public() -> Plugin:
    """The public plugin from PyPI."""
    return Plugin("public", _made("public", [common()], ["--no-deps", PUBLIC]))


def ours(wheel: Path) -> Plugin:
    """Our release wheel, installed anew each time."""
    python = _made("ours", [common()], ["--no-deps", "--force-reinstall", str(wheel)], again=True)
    return Plugin("ours", python)


def bare(plugin: Plugin) -> Path:
    """The interpreter of a plugin's environment with the packages of Python's own image: pip and what belongs to it.

    What else is installed here beside it would be in its way at each start: a file `*.pth` may import anything.
    """
    real = plugin.python.resolve()
    home = PLACE / f"bare-{real.name}"
    python, library = home / "bin" / real.name, home / "lib" / real.name
    if not python.exists():
        (library / "site-packages").mkdir(parents=True)
        installed = real.parents[1] / "lib" / real.name
        found = [entry for entry in installed.iterdir() if entry.name != "site-packages"]
        found += [entry for entry in (installed / "site-packages").iterdir() if _OF_IMAGE.match(entry.name)]
        for entry in found:
            (library / entry.relative_to(installed)).symlink_to(entry)
        python.parent.mkdir()
        shutil.copy2(real, python)  # Python looks for its library where its program is
    return python


def newest_wheel() -> Path:
    """The release wheel.

    Raises:
        FileNotFoundError: There is none.
    """
    wheels = sorted((ROOT / "dist").glob("*.whl"), key=lambda path: path.stat().st_mtime)
    if not wheels:
        raise FileNotFoundError("there is no release wheel in dist/: run `make wheel`")
    return wheels[-1]


def _made(name: str, seen: list[Path], packages: list[str], *, again: bool = False) -> Path:
    """The interpreter of an environment in which these packages are installed beside what others hold."""
    home = PLACE / name
    python, done = home / "bin" / "python", home / "done"
    if done.exists() and not again:
        return python
    print(f"environment {name}: {' '.join(packages)}", flush=True)
    venv.create(home, symlinks=True, with_pip=not seen, clear=not again)
    for other in seen:
        (_site(python) / "seen.pth").write_text(f"import site; site.addsitedir({str(_site(other))!r})\n")
    pip = [str(python if not seen else seen[0]), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    target = ["--target", str(_site(python)), "--upgrade"] if seen else []
    subprocess.run([*pip, *target, *packages], check=True, stdout=sys.stderr)
    done.touch()
    return python


def _site(python: Path) -> Path:
    return next((python.parents[1] / "lib").glob("python3.*")) / "site-packages"
