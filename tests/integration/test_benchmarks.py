"""The benchmarks run from end to end; what they measure is no business of a test."""

from __future__ import annotations

import subprocess
import sys

from support.paths import ROOT


def test_a_quick_run_measures_what_was_asked_for() -> None:
    command = [sys.executable, "-m", "benches.compare", "--quick", "--without-public", "--ours-python", sys.executable]
    done = subprocess.run(
        [*command, "--only", "definitions", "payload"], cwd=ROOT, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✓ Job definitions registered by 2 processes of 3 tasks each: 1 (target 1)" in done.stdout
    assert "Memory beyond the payload, 1 MiB result" in done.stdout
    assert not done.stderr, "wrong results, jobs twice, uploads left"
