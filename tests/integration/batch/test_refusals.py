"""What AWS refuses, what waits, and what is tried again: said in words, and done as often as was asked for."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from lab import BUCKET, QUEUE, Bucket, Lab, Queue, endings, faults, results

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import AccessError, AWSBatchError, JobFailedError, ServiceError


async def _outcome(lab: Lab, node: str = "1", **options: Any) -> Any:
    executor = AWSBatchExecutor(**{**lab.options, "vcpu": 1, "poll_freq": 1, **options})
    try:
        return await executor.run(len, ["x"], {}, {"dispatch_id": "refusals", "node_id": node})
    except AWSBatchError as error:
        return error


@pytest.mark.parametrize(
    ("queues", "options", "words"),
    [
        ({QUEUE: Queue(state="DISABLED")}, {}, ("DISABLED", "enable it")),
        (
            {QUEUE: Queue()},
            {"batch_queue": "no-such-queue"},
            ("no-such-queue", "there is no queue", "region us-east-1"),
        ),
        ({QUEUE: Queue(fair_share=True)}, {}, ("shareIdentifier must be", "set `share_identifier`")),
        (
            {QUEUE: Queue()},
            {"share_identifier": "blue"},
            ("shareIdentifier must not be", "leave `share_identifier` out"),
        ),
    ],
    ids=["disabled", "missing", "without-share", "with-share"],
)
def test_a_queue_that_takes_no_jobs(queues: Any, options: Any, words: tuple[str, ...]) -> None:
    with Lab(queues=queues) as lab:
        outcome = asyncio.run(_outcome(lab, **options))
        assert isinstance(outcome, ServiceError)
        assert outcome.details["operation"] in {"batch:ListJobs", "batch:SubmitJob"}
        for word in words:
            assert word in str(outcome)
        assert not lab.jobs()


def test_a_bucket_that_is_missing_or_denied() -> None:
    async def both(lab: Lab) -> Any:
        return await asyncio.gather(
            _outcome(lab, s3_bucket_name="no-such-bucket"), _outcome(lab, s3_bucket_name="locked")
        )

    with Lab(buckets={BUCKET: Bucket(), "locked": Bucket(denied=True)}) as lab:
        missing, denied = asyncio.run(both(lab))
        assert isinstance(missing, ServiceError)
        assert "create the bucket, or set `s3_bucket_name`" in str(missing)
        assert isinstance(denied, AccessError)
        assert "s3:PutObject on s3://locked/func-refusals-1.pkl" in str(denied)
        assert not lab.jobs()


def test_a_missing_right_is_named() -> None:
    with Lab(faults=[faults.denied("SubmitJob")]) as lab:
        outcome = asyncio.run(_outcome(lab))
    assert isinstance(outcome, AccessError)
    assert "AWS denied batch:SubmitJob" in str(outcome)
    assert "profile default" in str(outcome)


def test_an_older_policy_still_does() -> None:
    """That of 0.42.0 allows neither to look for definitions nor for jobs."""
    with Lab(faults=[faults.denied("DescribeJobDefinitions"), faults.denied("ListJobs")]) as lab:
        assert not isinstance(asyncio.run(_outcome(lab)), Exception)


def test_an_exception_is_retried_only_if_that_was_asked_for() -> None:
    async def all_three(lab: Lab) -> Any:
        infrastructure = {"retry_on": "infrastructure", "retry_attempts": 3}
        return await asyncio.gather(
            _outcome(lab, "raises", **infrastructure),
            _outcome(lab, "raises-any", retry_attempts=3),
            _outcome(lab, "loses-its-host", **infrastructure),
        )

    chosen: Any = {
        "*-loses-its-host": endings.spot_reclaim(then=endings.succeed(results.Envelope())),
        "*": endings.raised(),
    }
    with Lab(endings=chosen) as lab:
        once, thrice, well = asyncio.run(all_three(lab))
    assert isinstance(once, JobFailedError)
    assert once.details["attempts"] == 1
    assert thrice.details["attempts"] == 3
    assert not isinstance(well, Exception)


@pytest.mark.parametrize("kind", endings.STUCK)
def test_a_job_that_waits_says_why_once(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with Lab(endings={"*": endings.stuck(endings.STUCK[kind])}) as lab, caplog.at_level(logging.WARNING):
        outcome = asyncio.run(_outcome(lab, runnable_timeout=2.5))
        assert isinstance(outcome, JobFailedError)
        (job,) = lab.jobs()
        assert job.status == "FAILED", "it was terminated"
    reason = endings.STUCK[kind]
    said = [record.getMessage() for record in caplog.records if " waits: " in record.getMessage()]
    assert len(said) == 1, said
    assert f"waits: {reason}: " in said[0], "with what it means"
    assert reason in str(outcome)


def test_a_live_job_of_the_same_name_is_adopted() -> None:
    """As after a dispatcher's restart: what runs already under the task's name is waited for."""

    async def twice(lab: Lab) -> Any:
        first = asyncio.ensure_future(_outcome(lab))
        while not lab.jobs():  # noqa: ASYNC110  (it becomes so in another process)
            await asyncio.sleep(0.02)
        second = asyncio.ensure_future(_outcome(lab, profile="default"))
        while lab.counts["DescribeJobs"] < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        lab.end("*", endings.succeed())
        return await asyncio.gather(first, second)

    with Lab(endings={"*": endings.runs_for_ever()}) as lab:
        outcomes = asyncio.run(twice(lab))
        assert len(lab.jobs()) == 1
    assert [outcome.get_deserialized() for outcome in outcomes] == ["covalent-batch-refusals-1"] * 2
