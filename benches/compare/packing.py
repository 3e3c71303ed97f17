"""What packing wheels takes: splicing them, and what one small package more adds."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .environments import PLACE, Plugin, common
from .measuring import environment
from .workloads import MIB

LARGE = 300 * MIB
_LARGE_MEMBERS = 3

SMALL_PACKAGE = "more-itertools"
# What a notebook of a data scientist has: 60 packages and more with what they need.
PACKAGES = ["scikit-learn", "pandas", "jupyterlab", "boto3"]
SPLICED = ("scikit_learn-", "scipy-", "numpy-", "joblib-", "threadpoolctl-")

_SPLICE = """
import json, resource, sys, time
from pathlib import Path
from typing import Any
from covalent_awsbatch_plugin.environment.packages.wheel import splice

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024

wheels = sys.argv[1:]
Path("/proc/self/clear_refs").write_text("5")
before, start = peak(), time.process_time()
for wheel in wheels:
    with open(wheel, "rb") as opened, open("/dev/null", "wb") as out:
        splice(opened, out, "{}.{}".format(*sys.version_info), lambda source, path: None)
print(json.dumps([time.process_time() - start, peak() - before]))
"""

_OBJECTS = """
import hashlib, json, sys
from pathlib import Path
from typing import Any
from covalent_awsbatch_plugin.environment.packages import layers
from covalent_awsbatch_plugin.environment.packages.resolve import Wheel

def wheel(path):
    name, version = path.name.split("-")[:2]
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Wheel(name.replace("_", "-").lower(), version, path.name, sha256, path.as_uri())

objects = layers.packed([wheel(Path(path)) for path in sys.argv[1:]], "{}.{}".format(*sys.version_info), dict)
print(json.dumps({one.key: one.file.stat().st_size for one in objects}))
"""


@dataclass(frozen=True)
class Packing:
    """What packing takes.

    Attributes:
        size: Bytes of scikit-learn's wheels and what it needs.
        cpu: Seconds of processor time to splice them, without byte code.
        memory: Bytes beyond the process while a wheel of `LARGE` is spliced.
        packages: How many packages the large set has.
        added: Bytes that are new in the bucket when `SMALL_PACKAGE` is added to it.
    """

    size: int
    cpu: float
    memory: int
    packages: int
    added: int


def measure(ours: Plugin, repeats: int) -> Packing:
    """Packs wheels.

    Args:
        ours: The plugin.
        repeats: How often scikit-learn's are spliced; the least counts.
    """
    wheels = _wheels("set", PACKAGES)
    spliced = [path for path in wheels if path.name.startswith(SPLICED)]
    times = [_printed(ours, _SPLICE, spliced)[0] for _ in range(repeats)]
    _, memory = _printed(ours, _SPLICE, [_large()])
    without = _printed(ours, _OBJECTS, wheels)
    beside = [path for path in _wheels("small", [SMALL_PACKAGE]) if path.name not in {one.name for one in wheels}]
    both = _printed(ours, _OBJECTS, [*wheels, *beside])
    added = sum(size for key, size in both.items() if key not in without)
    return Packing(sum(path.stat().st_size for path in spliced), min(times), memory, len(wheels), added)


def _wheels(name: str, packages: list[str]) -> list[Path]:
    place = PLACE / "wheels" / name
    if not (place / "done").exists():
        pip = [str(common()), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--only-binary", ":all:", "--dest", str(place), *packages], check=True)
        (place / "done").touch()
    return sorted(place.glob("*.whl"))


def _large() -> Path:
    """A wheel of that size: of what cannot be made smaller, as the libraries in the largest ones mostly."""
    path = PLACE / "wheels" / "large-1-py3-none-any.whl"
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
            for number in range(_LARGE_MEMBERS):
                file.writestr(f"large/{number}.so", os.urandom(LARGE // _LARGE_MEMBERS))
            file.writestr("large-1.dist-info/METADATA", "Name: large\nVersion: 1\n")
        unfinished.rename(path)
    return path


def _printed(ours: Plugin, script: str, paths: list[Path]) -> Any:
    done = subprocess.run(
        [ours.python, "-c", script, *map(str, paths)],
        env=environment(ours),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)
