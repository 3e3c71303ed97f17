"""The table of jobs: times, short ids, and columns that fit."""

from __future__ import annotations

import pytest
from rich.cells import cell_len
from rich.text import Text

from covalent_awsbatch_plugin.server.orphans import Job, Verdict
from covalent_awsbatch_plugin.show.amounts import duration
from covalent_awsbatch_plugin.show.columns import aligned
from covalent_awsbatch_plugin.show.job_table import Row, lines
from covalent_awsbatch_plugin.show.short_ids import short
from covalent_awsbatch_plugin.show.wrapping import wrapped

ID = "3f2a0000-0000-4000-8000-00000000000"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-3, "0s"),
        (59.9, "59s"),
        (60, "1m 00s"),
        (133, "2m 13s"),
        (3600, "1h 00m"),
        (86399, "23h 59m"),
        (90000, "1d 01h"),
    ],
)
def test_a_duration_has_two_units_and_no_negative_one(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_an_id_is_as_long_as_it_takes_to_tell_it_from_the_others() -> None:
    first, second, other = f"{ID}1", f"{ID}2", "9b1c0000-0000-4000-8000-000000000000"
    assert short([first, second, other, first]) == {first: first, second: second, other: "9b1c0000"}
    assert short(["a", "ab", "b"]) == {"a": "a", "ab": "ab", "b": "b"}
    assert short([]) == {}


@pytest.mark.parametrize("columns", [80, 120])
def test_a_row_is_one_line_whatever_it_holds(columns: int) -> None:
    job = Job(f"{ID}1", "covalent-batch-d-3", "SUBMITTED", 0, f"{ID}2", 1234, verdict=Verdict.ORPHAN)
    rows = [Row(job, f"{'関数' * 30}[1234]", "nobody waits for it; " + "word " * 60)]
    shown = [line.plain for line in lines(rows, [f"{ID}0"], columns, wide=False)]
    assert [line.split()[0] for line in shown] == ["STATE", "SUBMITTED"]
    assert "[1234]" in shown[1]
    assert f"{ID}1" in shown[1]
    assert f"{ID}2" in shown[1]
    short_ids = [Row(Job("a", "n", "RUNNING", 0, "b", 1), f"{'関数' * 30}[1]", "word " * 60)]
    for line in lines(short_ids, [], columns, wide=False):
        assert cell_len(line.plain) <= columns
    (_, whole) = lines(short_ids, [], columns, wide=True)
    assert whole.plain.count("word") == 60
    assert "関数" * 30 in whole.plain


def test_a_command_that_fits_a_line_is_not_broken() -> None:
    said = "start it: `covalent start --no-cluster`, or wait"
    assert wrapped(said, 30) == ["start it:", "`covalent start --no-cluster`,", "or wait"]
    assert wrapped(said, 20) == ["start it: `covalent", "start --no-cluster`,", "or wait"]
    assert wrapped("an odd ` stays one, whatever", 20) == ["an odd ` stays one,", "whatever"]


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    rows = [[Text("日本"), Text("b"), Text("rest")], [Text("x"), Text("long one"), Text("")]]
    assert [line.plain for line in aligned(rows, None)] == ["日本  b         rest", "x     long one"]
