"""Makes objects of wheels: `python -m …environment.packages.build PYTHON WHEEL FILE …`.

A process of its own, since it takes processor time, and in it one for each wheel: so a wheel's byte code is the same
whichever wheels came before it, as nothing is left of them in the interpreter.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from covalent_awsbatch_plugin.environment.distributions import CORE_SUFFIX, CannotPackError
from covalent_awsbatch_plugin.environment.pack import byte_code

from .splice import END, member
from .wheel import core, splice


def build(wheel: Path, file: Path, python: str) -> None:
    """Writes a wheel as a file that can be unpacked into a virtual environment; the same bytes each time.

    The core of this package is a file beside it.

    Raises:
        CannotPackError: It is no wheel, or one that is not safe to unpack.
    """
    with wheel.open("rb") as opened, file.open("wb") as out:
        splice(opened, out, python, byte_code)
        out.write(member(END))
        target = file.with_suffix(CORE_SUFFIX)
        with target.open("wb") as own:
            is_there = core(opened, own)
        if not is_there:
            target.unlink()


def main(python: str, pairs: list[tuple[Path, Path]]) -> int:
    """Builds all of them, as many at a time as there are processors.

    Returns:
        The exit status; what stands on stderr then says which wheel it was, and why.
    """
    running: set[int] = set()
    failed = False
    while (pairs and not failed) or running:
        if pairs and not failed and len(running) < (os.cpu_count() or 1):
            wheel, file = pairs.pop()
            if pid := os.fork():
                running.add(pid)
                continue
            try:
                build(wheel, file, python)
            except (CannotPackError, OSError) as error:
                print(f"{wheel.name}: {error}", file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        pid, status = os.wait()
        running.remove(pid)
        failed = failed or status != 0
    return int(failed)


if __name__ == "__main__":
    os.nice(5)
    PYTHON, *PATHS = sys.argv[1:]
    places = [Path(path) for path in PATHS]
    sys.exit(main(PYTHON, list(zip(places[::2], places[1::2], strict=True))))
