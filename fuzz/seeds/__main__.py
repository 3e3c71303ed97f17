"""Writes the seeds of the fuzz targets.

    .venv/bin/python fuzz/seeds            # small ones, which are kept: fuzz/corpus/TARGET/
    .venv/bin/python fuzz/seeds --large    # of up to two MiB, made anew for each run: fuzz/large/TARGET/

Each target gets what is written in earnest and what an attacker once wrote. What fuzzing has found is in `FOUND`.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import answers
import left
import wheels

FOLDER = Path(__file__).parents[1]
FOUND: dict[tuple[str, str], str] = {
    (
        "wheel",
        "no-name",
    ): "UEsDBBQAAAAIAAAAIVDmYPIHDAAAAC4uL2V2aWwucHkDAFBLAQIUAxQAAAAIZGlzdC1pbmZvL3kDAFBLAQIUAxQAAAAIAAAAIVD"
    "mYPIHDAAAAAoAAAAaAAAAAAAAAAAAAACAAQAAAABvbmUtMi4wLmRpc3QtaW5mby9NRVRBREFUQVBLAQIUAxQAAAAIZGlzdC1pbmZvL3kDAFBLAQIUAxQAA"
    "AAIAAAAIVDmYPIHDAAAAAoAAAAaAAAALnB5UEsFBgAAAAACAAIAgwAAAHEAAAAAAA==",
}
"""By target and name, in base64."""

SMALL = {
    "archive": left.small_archive,
    "bare": left.small_bare,
    "batch": answers.batch,
    "ecr": answers.ecr,
    "inspect": answers.inspect,
    "items": left.small_items,
    "manifest": answers.manifest,
    "parts": left.small_parts,
    "pickled": left.small_pickled,
    "printed": left.small_printed,
    "wheel": wheels.small,
}
LARGE = {
    "archive": left.large_archive,
    "bare": left.large_bare,
    "batch": partial(answers.large, "batch"),
    "ecr": partial(answers.large, "ecr"),
    "inspect": partial(answers.large, "inspect"),
    "items": left.large_items,
    "manifest": answers.large_manifest,
    "parts": left.large_parts,
    "pickled": left.large_pickled,
    "printed": left.large_printed,
    "wheel": wheels.large,
}


def seeds(large: bool) -> Iterator[tuple[Path, bytes]]:
    """Every seed with its place below this folder."""
    for target, make in (LARGE if large else SMALL).items():
        for name, data in make().items():
            yield Path("large" if large else "corpus", target, name), data
    if not large:
        for (target, name), data in FOUND.items():
            yield Path("corpus", target, name), base64.b64decode(data)


if __name__ == "__main__":
    for place, content in seeds(large="--large" in sys.argv):
        file = FOLDER / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
