"""What a job runs second: it fetches the packages of its function, and becomes the runner.

It stands in what `bootstrap` has fetched and verified. It uses this package and the standard library.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from covalent_awsbatch_plugin.agreement.naming import PACKAGES

from . import bootstrap, virtual_environment

_AT_ONCE = 4  # objects that are fetched
_RUNNER = "covalent_awsbatch_plugin.runner"


def unpack(manifest: dict[str, Any], root: Path) -> None:
    """Puts packages into the virtual environment.

    Args:
        manifest: As `requested` describes it.
        root: The directory below which the environment stands.

    Raises:
        SystemExit: An object cannot be had, or is not what its name says; or pip fails.
    """
    start = time.monotonic()
    for name in manifest["replaced"]:
        _remove(name)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for done in [threads.submit(bootstrap.unpack, key, str(root), sys.prefix) for key in manifest["objects"]]:
            done.result()
    if manifest["install"]:
        _install(manifest["install"], manifest["constraints"])
    print(f"The function's packages are there: {time.monotonic() - start:.1f} s", file=sys.stderr)


def _remove(name: str) -> None:
    """Removes a package of the runner's that the function needs in another version.

    What is fetched on demand stands behind it, and may stay.
    """
    from importlib.metadata import distributions  # most jobs go without
    from importlib.util import cache_from_source

    for distribution in distributions(name=name, path=[str(virtual_environment.PACKAGES)]):
        for file in distribution.files or ():
            path = Path(str(distribution.locate_file(file)))
            compiled = Path(cache_from_source(str(path)))
            for each in (path, compiled):
                each.unlink(missing_ok=True)
                with suppress(OSError):  # a folder that is left would still count as a package
                    os.removedirs(each.parent)


def _install(lines: list[str], constraints: list[str]) -> None:
    files = []
    for option, content in (("--requirement", lines), ("--constraint", constraints)):
        with tempfile.NamedTemporaryFile("w", dir=sys.prefix, delete=False) as file:
            file.write("\n".join(content) + "\n")
        files += [option, file.name]
    command = [sys.executable, "-m", "pip", "install", "--no-input", "--quiet", "--root-user-action", "ignore", *files]
    print(f"Installing {len(lines)} packages", file=sys.stderr)
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True)


def main() -> None:
    """Goes on as the runner."""
    packages = os.environ.get(PACKAGES)
    try:
        virtual_environment.enter()
        if packages:
            with tempfile.TemporaryFile(dir=sys.prefix) as file:
                bootstrap.fetch(packages, file)
                file.seek(0)
                manifest = json.load(file)
            unpack(manifest, Path(sys.prefix).parents[1])
    except (OSError, subprocess.CalledProcessError) as error:
        bootstrap.fail(error)
    if packages:
        # Anew, since a package may have files that Python reads when it starts.
        os.execv(sys.executable, [sys.executable, "-m", _RUNNER])  # noqa: S606
    runpy.run_module(_RUNNER, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
