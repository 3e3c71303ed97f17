"""What a report concludes from the times, sizes and prices that it is given."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import covalent
import pytest

from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.server.database import Electron
from covalent_awsbatch_plugin.show.named import Task
from covalent_awsbatch_plugin.show.report import prices
from covalent_awsbatch_plugin.show.report.markup import breakable
from covalent_awsbatch_plugin.show.report.sizes import sizes
from covalent_awsbatch_plugin.show.report.timeline import Span, spans, timeline
from covalent_awsbatch_plugin.show.report.work import MIB, Asked, Attempt, Submitted, Usage, Work, usage_of

assert covalent  # it must be imported before its plugins

TABLE = prices.table(prices.OWN)
UNKNOWN, USUAL = Usage(), Asked(2, 4096)


def work(
    *attempts: Attempt,
    usage: Usage = UNKNOWN,
    asked: Asked | None = USUAL,
    killed: bool = False,
    label: str = "train[3]",
    status: str = "COMPLETED",
) -> Work:
    electron = Electron("d", 3, "train", status, "awsbatch", "j", started_at=100.0, ended_at=200.0)
    return Work(Task(electron, label, "j"), (Submitted("j", status, "queue", asked, killed, attempts),), usage)


def used(process: float | None = None, container: float | None = None) -> Usage:
    taken = [None if mib is None else int(mib * MIB) for mib in (process, container)]
    return Usage(1, *taken)


def test_an_attempt_is_pulled_where_that_is_known_and_else_waits_until_it_runs() -> None:
    usage = Usage(2, None, None, 150.0, 160.0)
    first, second = Attempt(1, 110.0, 120.0, 130.0, 1), Attempt(2, 130.0, 165.0, 190.0, 0)
    assert spans(work(first, second, usage=usage), 999.0) == [
        Span("prepared", 100.0, 110.0),
        Span("queued", 110.0, 120.0, 1),
        Span("failed", 120.0, 130.0, 1),
        Span("queued", 130.0, 150.0, 2),
        Span("pulling", 150.0, 160.0, 2),
        Span("starting", 160.0, 165.0, 2),
        Span("running", 165.0, 190.0, 2),
        Span("fetched", 190.0, 200.0),
    ]
    planted = Usage(2, None, None, 1.0, 2.0**39)
    assert "pulling" not in {span.kind for span in spans(work(first, second, usage=planted), 999.0)}
    assert [span.kind for span in spans(work(Attempt(1, 110.0, None, None)), 999.0)] == ["prepared", "queued"]
    assert spans(work(), 999.0) == [Span("running", 100.0, 200.0)]
    assert not timeline([Work(Task(Electron("d", 1, "f", "NEW_OBJECT"), "f[1]"))], 9.0)


@pytest.mark.parametrize(
    ("usages", "asked", "killed", "proposed"),
    [
        ([used(600)], Asked(2, 4096), False, 768.0),
        ([used(600), used(3000)], Asked(2, 4096), False, 3840.0),
        ([used(100, 900)], Asked(2, 4096), False, 1280.0),
        ([used(3900)], Asked(2, 4096), False, 5120.0),
        ([used(500, 4096)], Asked(2, 4096), False, None),
        ([used(3200)], Asked(2, 4096), False, None),
        ([used()], Asked(2, 4096), False, None),
        ([used()], Asked(2, 4096), True, 8192.0),
        ([used(600)], Asked(2, 8192, is_fargate=True), False, 4096.0),
        ([used(600)], Asked(2, 4096, is_fargate=True), False, None),
        ([used(600)], Asked(3, 4096, is_fargate=True), False, None),
    ],
)
def test_less_is_proposed_where_it_surely_is_enough_and_more_where_it_is_needed(
    usages: list[Usage], asked: Asked, killed: bool, proposed: float | None
) -> None:
    (size,) = sizes([work(usage=usage, asked=asked, killed=killed) for usage in usages])
    assert (size.function, size.jobs, size.proposed_mib) == ("train", len(usages), proposed)


@pytest.mark.parametrize(
    ("jobs", "usage", "proposed"),
    [
        ([(2048, True), (4096, False)], used(3000), 3840.0),
        ([(2048, True), (4096, False)], used(500), 2304.0),
        ([(2048, True), (4096, False)], used(100, 4096), 4096.0),
        ([(2048, True), (4096, False)], used(), 4096.0),
        ([(2048, True), (4096, True)], used(), 8192.0),
        ([(4096, False), (4096, False)], used(600), 768.0),
    ],
)
def test_what_was_not_enough_and_what_was_are_known_of_several_jobs(
    jobs: list[tuple[int, bool]], usage: Usage, proposed: float
) -> None:
    submitted = [Submitted(str(mib), "", "", Asked(2, mib), killed) for mib, killed in jobs]
    (size,) = sizes([replace(work(usage=usage), jobs=tuple(submitted))])
    assert (size.jobs, size.asked_mib, size.largest_mib) == (2, jobs[0][0], jobs[1][0])
    assert (size.proposed_mib, size.was_killed) == (proposed, any(killed for _, killed in jobs))


def test_several_jobs_are_one_timeline_and_one_cost() -> None:
    small = Submitted("1", "FAILED", "spot", Asked(2, 1024), True, (Attempt(1, 110.0, 120.0, 130.0, 137),))
    large = Submitted("2", "SUCCEEDED", "spot", Asked(2, 2048), False, (Attempt(2, 135.0, 140.0, 190.0, 0),))
    both = replace(work(usage=Usage(2, None, None, 136.0, 138.0)), jobs=(small, large))
    assert spans(both, 999.0) == [
        Span("prepared", 100.0, 110.0),
        Span("queued", 110.0, 120.0, 1, "1.00 GB"),
        Span("failed", 120.0, 130.0, 1, "1.00 GB"),
        Span("prepared", 130.0, 135.0),
        Span("queued", 135.0, 136.0, 2, "2.00 GB"),
        Span("pulling", 136.0, 138.0, 2, "2.00 GB"),
        Span("starting", 138.0, 140.0, 2, "2.00 GB"),
        Span("running", 140.0, 190.0, 2, "2.00 GB"),
        Span("fetched", 190.0, 200.0),
    ]
    found = prices.cost(both, TABLE, 0.0)
    assert (found.vcpu_hours, found.gb_hours) == pytest.approx((2 * 60 / 3600, (10 + 2 * 50) / 3600))
    elsewhere = replace(large, queue="<on-demand>")
    assert replace(both, jobs=(small, elsewhere)).differing(elsewhere) == "2.00 GB, queue <on-demand>"
    assert "queue &lt;on-demand&gt;" in timeline([replace(both, jobs=(small, elsewhere))], 999.0)


def test_the_word_of_an_attempt_of_an_earlier_job_makes_a_later_one_no_dearer() -> None:
    asked = Asked(1, 2048, is_fargate=True)
    jobs = (
        Submitted("1", "FAILED", "q", asked, False, (Attempt(1, 0.0, 1000.0, 4600.0, 1),)),
        Submitted("2", "SUCCEEDED", "q", asked, False, (Attempt(2, 5000.0, 6000.0, 9600.0, 0),)),
    )
    left_by_the_first = replace(work(usage=Usage(2, None, None, 400.0, 900.0)), jobs=jobs)
    assert prices.cost(left_by_the_first, TABLE, 0).vcpu_hours == pytest.approx(2.0)


def test_a_job_costs_what_it_asked_for_while_it_ran() -> None:
    attempts = Attempt(1, 0.0, 0.0, 1800.0, 1), Attempt(2, 1800.0, 2000.0, None)
    found = prices.cost(work(*attempts, asked=Asked(2, 4096, 1)), TABLE, 3800.0)
    assert (found.vcpu_hours, found.gb_hours, found.gpu_hours) == pytest.approx((2.0, 4.0, 1.0))
    assert found.amount == pytest.approx(2 * TABLE.EC2.vcpu_hour + 4 * TABLE.EC2.gb_hour + TABLE.EC2.gpu_hour)
    of_four = prices.cost(work(*attempts, asked=Asked(2, 4096, 1, nodes=4)), TABLE, 3800.0)
    assert of_four.amount == pytest.approx(4 * found.amount)
    fargate = Asked(1, 2048, is_fargate=True)
    assert prices.cost(work(Attempt(1, 0.0, 100.0, 101.0, 0), asked=fargate), TABLE, 0).vcpu_hours == 60 / 3600
    pulled = work(Attempt(1, 0.0, 1000.0, 3600.0, 0), asked=fargate, usage=Usage(1, None, None, 400.0, 900.0))
    assert prices.cost(pulled, TABLE, 0).vcpu_hours == pytest.approx(3200 / 3600)
    assert prices.cost(work(Attempt(1, 0.0, 1.0, 2.0), asked=None), TABLE, 9.0) == prices.Cost()


def test_another_table_of_prices_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    one = {"vcpu_hour": 1, "gb_hour": 0.5}
    path.write_text(json.dumps({"currency": "EUR", "EC2": one, "FARGATE": one}), encoding="utf-8")
    assert prices.table(path).EC2.vcpu_hour == 1.0
    for wrong, named in (
        ({"EC2": one}, "FARGATE: "),
        ({"EC2": {**one, "vcpu_hour": -1}, "FARGATE": one}, "EC2.vcpu_hour: "),
        ({"EC2": one, "FARGATE": one, "SPOT": one}, "SPOT: "),
    ):
        path.write_text(json.dumps(wrong), encoding="utf-8")
        with pytest.raises(SettingsError, match=f"is no table of prices .{named}"):
            prices.table(path)
    path.write_text("no JSON", encoding="utf-8")
    with pytest.raises(SettingsError, match="is no table of prices"):
        prices.table(path)
    with pytest.raises(SettingsError, match="cannot be read"):
        prices.table(tmp_path / "none.json")


@pytest.mark.parametrize(
    "text",
    ["", "no", "[1]", '{"peak_rss_bytes": -1}', '{"peak_rss_bytes": 1e999}', '{"attempt": true}', "[" * 100_000],
)
def test_what_anybody_may_have_written_is_not_believed(text: str) -> None:
    assert usage_of(text) == Usage()


def test_what_an_attempt_left_is_read() -> None:
    text = '{"attempt": 2, "peak_rss_bytes": 7, "container_peak_bytes": 9, "pull_started_at": 1.5, "more": []}'
    assert usage_of(text) == Usage(2, 7, 9, 1.5, None)
    assert usage_of(text).peak_bytes == 9


def test_a_long_name_is_broken_after_an_underscore_and_does_nothing_to_the_page() -> None:
    assert breakable("load_<b>_rows") == "load_<wbr>&lt;b&gt;_<wbr>rows"
