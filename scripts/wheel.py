"""Builds the release wheel, which says nothing of the machine that it was built on: `make wheel`.

The compiler writes the paths of sources into what it makes, for the messages of panics: the builder's home, and so a
name, and the checkout. It is told other names for them; then the wheel is searched for what may have been left.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""


def places() -> dict[Path, str]:
    """The directories that the wheel must not name, and what stands there instead; the last that fits holds."""
    home = Path.home()
    cargo = Path(os.environ.get("CARGO_HOME") or home / ".cargo")
    rustup = Path(os.environ.get("RUSTUP_HOME") or home / ".rustup")
    found = {home: "~", rustup: "rustup", cargo: "cargo"}
    found |= dict.fromkeys(sorted(cargo.glob("registry/src/*")), "crates")
    found |= {ROOT: ".", Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target"): "target"}
    # The root directory is nobody's home in particular.
    return {place.absolute(): name for place, name in found.items() if place != Path("/")}


def leaks(wheel: Path) -> list[str]:
    """Each file of a wheel with a directory of this machine that it names."""
    with zipfile.ZipFile(wheel) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    return [
        f"{name}: {place}"
        for name, content in contents.items()
        for place in places()
        if re.search(rb"(?<![\w.-])" + re.escape(os.fsencode(place)) + rb"(?![\w.-])", content)
    ]


def build(arguments: list[str]) -> None:
    """Has maturin build it.

    Args:
        arguments: More arguments for `maturin build`.
    """
    flags = os.environ.get("RUSTFLAGS", "").split()
    flags += [f"--remap-path-prefix={place}={name}" for place, name in places().items()]
    # In the encoded form alone a path may have spaces.
    environment = {**os.environ, "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags)}
    maturin = Path(sysconfig.get_path("scripts")) / "maturin"
    subprocess.run([maturin, "build", "--release", *arguments], cwd=ROOT, env=environment, check=True)


def main() -> None:
    """Builds, and ends with an error if the wheel names a directory of this machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where the wheel goes; default: dist")
    parser.add_argument("--check", type=Path, metavar="WHEEL", help="build nothing, and look at this wheel")
    options, more = parser.parse_known_args()
    if options.check is None:
        build(["--out", str(options.out.resolve()), *more])
    wheel = options.check or max(options.out.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    if found := leaks(wheel):
        sys.exit("\n".join([f"{wheel.name} names directories of this machine:", *found]))
    print(f"{wheel.name} names no directory of this machine.")


if __name__ == "__main__":
    main()
