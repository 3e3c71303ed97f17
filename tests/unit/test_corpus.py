"""Every seed of the fuzz targets in Python goes through its decoder, so that what was found once stays found."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from support.paths import ROOT

FUZZ = ROOT / "fuzz"
spec = spec_from_file_location("decoders", FUZZ / "python" / "decoders.py")
assert spec is not None
assert spec.loader is not None
decoders = module_from_spec(spec)
spec.loader.exec_module(decoders)
TARGETS = decoders.TARGETS
SEEDS = [seed for target in TARGETS for seed in sorted((FUZZ / "corpus" / target).iterdir())]


@pytest.mark.parametrize("seed", SEEDS, ids=[f"{seed.parent.name}-{seed.name}" for seed in SEEDS])
def test_a_seed_is_decoded_or_refused_within_bounds(seed: Path) -> None:
    TARGETS[seed.parent.name](seed.read_bytes())


def test_every_target_has_seeds_and_every_corpus_a_target() -> None:
    in_rust = {file.stem for file in (FUZZ / "fuzz_targets").iterdir()}
    assert {seed.parent.name for seed in SEEDS} == set(TARGETS)
    assert {folder.name for folder in (FUZZ / "corpus").iterdir()} == in_rust | set(TARGETS)
