"""`report`, `why` and `logs` of tasks that have several jobs one after the other, where no Covalent server is."""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from lab import Lab, Queue, endings
from support.task_bench import TaskBench

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.cli import main
from covalent_awsbatch_plugin.errors import JobFailedError

SPOT = {"lab-queue": Queue(kind="SPOT"), "on-demand": Queue()}
PRICES = {"vcpu_hour": 100, "gb_hour": 1}


@pytest.fixture(autouse=True)
def _no_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COVALENT_DATABASE_URL", f"sqlite:///{tmp_path}/none.sqlite")


def run(lab: Lab, metadata: dict[str, Any], **options: Any) -> None:
    """Runs a task to its end, whichever it is."""
    executor = AWSBatchExecutor(**{**lab.options, "poll_freq": 0.2, **options})
    executor._task_stdout, executor._task_stderr = io.StringIO(), io.StringIO()
    with suppress(JobFailedError):
        asyncio.run(executor.run(len, ["x"], {}, metadata))


def ask(lab: Lab, command: str, *arguments: str, queue: str = "lab-queue", **environment: Any) -> Result:
    places = ("endpoint_url", "credentials", "region")
    options = [f"--queue={queue}", *(f"--{name.replace('_', '-')}={lab.options[name]}" for name in places)]
    options += [f"--s3-bucket-name={lab.options['s3_bucket_name']}"] * (command == "report")
    return CliRunner().invoke(main, [command, *options, *arguments], env=environment)


def reported(lab: Lab, *arguments: str, **environment: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(ask(lab, "report", "--json", *arguments, **environment).stdout)
    return told


@pytest.mark.lab(endings={"*": endings.takes_memory(5_000)}, wait_seconds=0.01, job_seconds=0.05)
def test_a_report_counts_the_job_that_was_killed(lab: Lab, metadata: dict[str, Any], tmp_path: Path) -> None:
    run(lab, metadata, retry_memory_factor=2)
    first, second = lab.jobs()
    table = tmp_path / "prices.json"
    table.write_text(json.dumps({"EC2": PRICES, "FARGATE": PRICES}), encoding="utf-8")
    told = reported(lab, metadata["dispatch_id"], f"--prices={table}")
    (electron,) = told["electrons"]
    assert [(one["job"], one["number"], one["exit_code"]) for one in electron["attempts"]] == [
        (first.id, 1, 137),
        (second.id, 2, 0),
    ]
    assert [(job["id"], job["asked"]["memory_mib"], job["was_killed"]) for job in electron["jobs"]] == [
        (first.id, 3840, True),
        (second.id, 7680, False),
    ]
    hours = [
        (one["stopped_at"] - one["started_at"]) / 3600 for one in electron["attempts"]
    ]  # each job asked for 2 vCPUs
    assert told["cost"]["vcpu_hours"] == pytest.approx(2 * sum(hours))
    assert told["cost"]["gb_hours"] == pytest.approx(3.75 * hours[0] + 7.5 * hours[1])
    assert told["cost"]["amount"] == pytest.approx(sum(job["cost"]["amount"] for job in electron["jobs"]))
    (size,) = told["memory"]
    assert (size["jobs"], size["asked_mib"], size["largest_mib"], size["was_killed"]) == (2, 3840, 7680, True)
    assert size["proposed_mib"] == 7680, "so much was enough"
    page = tmp_path / "run.html"
    ask(lab, "report", metadata["dispatch_id"], f"--output={page}")
    text = page.read_text(encoding="utf-8")
    assert "<b>2</b><span>jobs, 2 attempts</span>" in text
    assert 'title="attempt 1, 3.75 GB: running, and failed' in text
    for which, state, asked in (("1", "failed, for its memory", "3.75 GB"), ("2", "succeeded", "7.50 GB")):
        assert f'<span class="of">attempt {which}</span></td><td>{state}</td>' in text
        assert f"<td>2 vCPU, {asked}</td>" in text


@pytest.mark.lab(endings={"*": endings.spot_in("lab-queue")}, queues=SPOT, job_seconds=0.05)
def test_jobs_in_other_queues_are_found_and_told_apart(lab: Lab, metadata: dict[str, Any], tmp_path: Path) -> None:
    run(lab, metadata, retry_queues=["on-demand"])
    page = tmp_path / "run.html"
    ask(lab, "report", metadata["dispatch_id"], f"--output={page}", queue="on-demand")
    text = page.read_text(encoding="utf-8")
    assert "vCPU, 3.75 GB in queue lab-queue</td>" in text
    assert "vCPU, 3.75 GB in queue on-demand</td>" in text
    assert 'title="attempt 2, queue on-demand: running' in text


@pytest.mark.lab(endings={"*": endings.takes_memory(100_000)})
def test_the_size_that_was_not_enough_is_doubled(lab: Lab, metadata: dict[str, Any]) -> None:
    run(lab, metadata, retry_memory_factor=2, retry_attempts=2)
    (size,) = reported(lab, metadata["dispatch_id"])["memory"]
    assert (size["jobs"], size["proposed_mib"]) == (2, 4 * 3840)


@pytest.mark.lab(endings={"*": endings.takes_memory(5_000)})
def test_earlier_jobs_cost_one_call_for_all_of_them_and_none_where_there_are_none(
    lab: Lab, metadata: dict[str, Any]
) -> None:
    for node in range(3):
        run(lab, {**metadata, "node_id": node}, memory=6)
    before = lab.counts.copy()
    reported(lab, metadata["dispatch_id"])
    assert (lab.counts - before)["DescribeJobs"] == 1
    for node in range(3, 6):
        run(lab, {**metadata, "node_id": node}, retry_memory_factor=2)
    before = lab.counts.copy()
    assert sum(len(one["jobs"]) for one in reported(lab, metadata["dispatch_id"])["electrons"]) == 9
    assert (lab.counts - before)["DescribeJobs"] == 2


@pytest.mark.lab(endings={"*": endings.takes_memory(100_000)})
def test_jobs_that_aws_has_forgotten_are_said_to_be_missing(lab: Lab, metadata: dict[str, Any]) -> None:
    run(lab, metadata, retry_memory_factor=2)
    first, second, third = lab.jobs()
    lab.forget(second.id)
    told = reported(lab, metadata["dispatch_id"])
    assert "no record of 1 job any more" in told["problems"][-1]
    (electron,) = told["electrons"]
    assert [(job["id"], job["status"]) for job in electron["jobs"]] == [(second.id, "VANISHED"), (third.id, "FAILED")]
    assert [one["number"] for one in electron["attempts"]] == [2], "what is known of it follows one at least"
    (failure,) = json.loads(ask(lab, "why", metadata["dispatch_id"], "--json").stdout)["failures"]
    assert [(one["job_id"], one["ended"]) for one in failure["earlier"]] == [
        (second.id, "AWS Batch has no record of it any more")
    ]
    assert first.id not in json.dumps(failure)


@pytest.mark.lab(endings={"*": endings.takes_memory(100_000)})
@pytest.mark.parametrize("columns", [80, 120])
def test_why_names_the_jobs_before_the_one_that_failed_last(
    lab: Lab, metadata: dict[str, Any], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(lab, metadata, retry_memory_factor=2)
    first, second, third = lab.jobs()
    # Where no endpoint is given, it is AWS itself.
    monkeypatch.setenv("AWS_ENDPOINT_URL", lab.url)
    done = ask(lab, "why", metadata["dispatch_id"], "--endpoint-url=", COLUMNS=str(columns))
    lines = done.stdout.splitlines()
    at = lines.index(f"  job {third.id}, 1 attempt")
    console = "https://us-east-1.console.aws.amazon.com/batch/home?region=us-east-1#jobs/detail/"
    assert lines[at + 1 : at + 6] == [
        f"  {console}{third.id}",
        f"  earlier job {first.id}: out of memory with 3.75 GB",
        f"    {console}{first.id}",
        f"  earlier job {second.id}: out of memory with 7.5 GB",
        f"    {console}{second.id}",
    ]


@pytest.mark.lab(endings={"*": replace(endings.exited(3), spot_queue="lab-queue")}, queues=SPOT)
def test_how_a_job_in_another_queue_ended_names_the_queue(lab: Lab, metadata: dict[str, Any]) -> None:
    run(lab, metadata, retry_queues=["on-demand"], retry_on="infrastructure")
    first, second = lab.jobs()
    (failure,) = json.loads(ask(lab, "why", second.id, "--json", queue="on-demand").stdout)["failures"]
    assert [(one["job_id"], one["ended"]) for one in failure["earlier"]] == [(first.id, "host lost in queue lab-queue")]


def test_logs_begin_with_the_lines_of_earlier_jobs(bench: TaskBench) -> None:
    task = bench.task()
    executor = bench.executor('echo "in $AWS_BATCH_JOB_ID"; exit 137', retry_memory_factor=2, retry_attempts=3)
    with pytest.raises(JobFailedError):
        bench.run(executor, task=task)
    first, second, third = [job for job in bench.aws.jobs() if task["dispatch_id"] in job.name]
    for word in (task["dispatch_id"], first.id, third.id):
        done = CliRunner().invoke(main, ["logs", word, *bench_options(bench)])
        assert done.stdout.splitlines() == [
            f"node[7] attempt 1 │ in {first.id}",
            f"node[7] attempt 2 │ in {second.id}",
            f"node[7] attempt 3 │ in {third.id}",
        ], done.stderr
    done = CliRunner().invoke(main, ["logs", task["dispatch_id"], "7", "--json", *bench_options(bench)])
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["job"], line["attempt"]) for line in lines] == [(first.id, 1), (second.id, 2), (third.id, 3)]


def test_logs_tell_the_nodes_of_earlier_jobs_apart(bench: TaskBench) -> None:
    task = bench.task()
    instead = 'echo "in $AWS_BATCH_JOB_ID"; [ "$AWS_BATCH_JOB_NODE_INDEX" = 1 ] && exit 3; exec sleep 60'
    with pytest.raises(JobFailedError):
        bench.run(bench.executor(instead, nodes=2, retry_attempts=2), task=task)
    first, second = [job for job in bench.aws.jobs() if task["dispatch_id"] in job.name]
    done = CliRunner().invoke(main, ["logs", task["dispatch_id"], *bench_options(bench)])
    told = {line for line in done.stdout.splitlines() if "in " in line}
    for attempt, job in enumerate((first, second), 1):
        for node in (0, 1):
            assert f"node[7]#{node} attempt {attempt} │ in {job.id}#{node}" in told, told
    (failure,) = json.loads(
        CliRunner().invoke(main, ["why", task["dispatch_id"], "--json", *bench_options(bench)]).stdout
    )["failures"]
    assert [(one["job_id"], one["ended"]) for one in failure["earlier"]] == [
        (first.id, "One of its nodes has failed, and AWS Batch lets the others run on: node 1")
    ]


def bench_options(bench: TaskBench) -> list[str]:
    options = bench.executor().to_dict()["attributes"]
    names = ("endpoint_url", "credentials", "profile", "region", "batch_queue")
    return [f"--{name.replace('batch_', '').replace('_', '-')}={options[name]}" for name in names if name in options]
