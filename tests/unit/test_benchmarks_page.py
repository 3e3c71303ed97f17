"""What a row of docs/benchmarks says follows from its figures."""

from __future__ import annotations

import re
import runpy

import pytest
from support.paths import ROOT

PAGE = (ROOT / "docs/benchmarks/README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([✓✗]) \| (.*?) \| (.*?) \| (.*?) \|", PAGE, re.MULTILINE)
NUMBER = re.compile(r"-?[\d,]*\.?\d+")


def number(text: str) -> float:
    """The first one in a text."""
    found = NUMBER.search(text)
    assert found, text
    return float(found[0].replace(",", ""))


def test_the_page_has_figures() -> None:
    assert len(ROWS) > 20


@pytest.mark.parametrize(("mark", "what", "target", "measured"), ROWS, ids=[row[1][:60] for row in ROWS])
def test_a_mark_follows_from_target_and_measurement(mark: str, what: str, target: str, measured: str) -> None:
    if target.startswith("≤"):
        reached = number(measured) <= number(target)
    elif target.startswith("≥"):
        reached = number(measured) >= number(target)
    else:
        reached = measured == target
    assert mark == ("✓" if reached else "✗"), what


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_what_is_said_of_speed_was_measured(page: str) -> None:
    """The two runs of 100 tasks, and what each took of the client's processor."""
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    ours, public = (
        re.search(rf"^\| 100 \| {name} \| ([\d.]+) s \| ([\d.]+) ms", PAGE, re.MULTILINE) for name in ("ours", "public")
    )
    assert ours
    assert public
    wall = f"{ours[1]} s, and {float(public[1]):.0f} s with version 0.42.0"
    assert f"100 tasks of one second each, 20 ms to AWS and back: {wall}" in text
    assert f"{float(ours[2]):.0f} ms of the client's processor, and {float(public[2]) / 1000:.1f} s with 0.42.0" in text


@pytest.mark.parametrize("seconds", [1, 10, 60, 600])
def test_what_array_jobs_would_gain_is_what_the_model_says(seconds: int) -> None:
    cost = runpy.run_path(str(ROOT / "benches/compare/model.py"))["cost"]
    alone, array, served, both = (
        cost(3000, job_seconds=seconds, in_server=served, in_arrays=together).seconds
        for served in (False, True)
        for together in (False, True)
    )
    row = f"| {seconds} s | {alone:.0f} s | {array:.0f} s | {alone / array:.1f} × "
    row += f"| {served:.0f} s | {both:.0f} s | {served / both:.1f} × |"
    assert row in (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
