"""Builds the release wheel, which says nothing of the machine that it was built on: `make wheel`.

The compiler writes the paths of sources into what it makes, for the messages of panics: the builder's home, and so a
name, and the checkout. It is told other names for them; then the wheel is searched for what may have been left.

On Linux zig links it, against a C library older than this machine's.
"""

from __future__ import annotations

import argparse
import importlib.util
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


def baseline(target: str) -> list[str]:
    """The arguments for the oldest C library that a platform's wheel is to run with, where that can be chosen.

    Args:
        target: The platform as Rust calls it.
    """
    if "linux" not in target:
        return []
    if importlib.util.find_spec("ziglang") is None:
        print("No zig for this machine: the wheel will need a C library as new as the one here.", file=sys.stderr)
        return []
    return ["--zig", "--compatibility", "musllinux_1_2" if target.endswith("musl") else "manylinux_2_17"]


def build(target: str, arguments: list[str]) -> None:
    """Has maturin build it.

    Args:
        target: The platform as Rust calls it.
        arguments: More arguments for `maturin build`.
    """
    flags = os.environ.get("RUSTFLAGS", "").split()
    flags += [f"--remap-path-prefix={place}={name}" for place, name in places().items()]
    # In the encoded form alone a path may have spaces.
    environment = {**os.environ, "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags)}
    environment["CARGO_ZIGBUILD_PYTHON_PATH"] = sys.executable
    maturin = Path(sysconfig.get_path("scripts")) / "maturin"
    command = [maturin, "build", "--release", "--target", target, *baseline(target), *arguments]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


def host() -> str:
    """This machine's platform as Rust calls it."""
    command = ["rustc", "--print", "host-tuple"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout.strip()


def main() -> None:
    """Builds, and ends with an error if the wheel names a directory of this machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where the wheel goes; default: dist")
    parser.add_argument("--target", help="the platform as Rust calls it; default: this machine's")
    parser.add_argument("--check", type=Path, metavar="WHEEL", help="build nothing, and look at this wheel")
    options, more = parser.parse_known_args()
    if options.check is None:
        build(options.target or host(), ["--out", str(options.out.resolve()), *more])
    wheel = options.check or max(options.out.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    if found := leaks(wheel):
        sys.exit("\n".join([f"{wheel.name} names directories of this machine:", *found]))
    print(f"{wheel.name} names no directory of this machine.")


if __name__ == "__main__":
    main()
