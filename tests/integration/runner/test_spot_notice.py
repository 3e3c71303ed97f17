"""EC2 announces that it takes a spot machine back: the function has word of it, and its job has lost its machine."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.bench import Bench
from support.servers import Answer, HttpServer, Request
from support.tasks import becomes

pytest.importorskip("moto.server")

from covalent_awsbatch_plugin.agreement.naming import SPOT_NOTICE
from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.local import LocalAWS

ENDPOINT = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
NOTICE = b'{"action": "terminate", "time": "2026-01-01T00:02:00Z"}'


class Metadata(HttpServer):
    """EC2's instance metadata, version 2."""

    def __init__(self, is_reclaimed: bool, status: int = 200) -> None:
        def answer(request: Request) -> Answer:
            if status != 200:
                return Answer(b"", status)
            if request.path == "/latest/api/token":
                assert request.method == "PUT"
                assert request.headers["x-aws-ec2-metadata-token-ttl-seconds"]
                return Answer(b"the-token")
            if request.headers.get("x-aws-ec2-metadata-token") != "the-token":
                return Answer(b"", 401)
            assert request.path == "/latest/meta-data/spot/instance-action"
            return Answer(NOTICE) if is_reclaimed else Answer(b"", 404)

        super().__init__(answer)


def saving() -> list[str]:
    """Does something at the notice, and returns what it could do meanwhile."""
    from covalent_awsbatch_plugin import interruption

    done: list[str] = []
    interruption.on_notice(lambda: done.append("saved"))
    while not interruption.is_announced():
        time.sleep(0.05)
    interruption.on_notice(lambda: done.append("late"))
    return done


def giving_way() -> None:
    from covalent_awsbatch_plugin import interruption

    interruption.on_notice()
    while True:
        time.sleep(0.05)


def told_to_end() -> None:
    from covalent_awsbatch_plugin import interruption

    interruption.on_notice(lambda: print("saved", flush=True))
    print("ready", flush=True)
    while True:
        time.sleep(0.05)


def slow() -> str:
    time.sleep(4)
    return "done"


def test_a_function_is_called_back_and_may_look_by_itself(bench: Bench) -> None:
    with Metadata(is_reclaimed=True) as metadata:
        bench.environment |= {SPOT_NOTICE: "1", ENDPOINT: metadata.url}
        bench.put_by_value(saving)
        code, _, err = bench.run()
    assert (code, bench.value()) == (0, ["saved", "late"])
    assert err.count("EC2 has announced that it takes this machine back.") == 1


def test_a_function_that_gives_way_leaves_its_word_and_its_job_waits_for_the_end(bench: Bench) -> None:
    with Metadata(is_reclaimed=True) as metadata:
        bench.environment |= {SPOT_NOTICE: "1", ENDPOINT: metadata.url}
        bench.put_by_value(giving_way)
        with bench.start() as process:
            try:
                envelope = bench.awaited_envelope()
                assert (envelope["status"], envelope["exception"]) == ("terminated", "Interrupted")
                assert "in giving_way" in envelope["traceback"]
                assert process.poll() is None
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 128 + signal.SIGTERM
            finally:
                process.kill()


def test_sigterm_is_word_of_it_too(bench: Bench) -> None:
    bench.put_by_value(told_to_end)
    with bench.start() as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 128 + signal.SIGTERM
        finally:
            process.kill()
    envelope = bench.envelope()
    assert (envelope["status"], envelope["exception"]) == ("terminated", "Terminated")
    assert envelope["stdout"] == "ready\nsaved\n"


@pytest.mark.parametrize("status", [200, 403])
def test_a_machine_that_stays_or_says_nothing_is_in_nobodys_way(bench: Bench, status: int) -> None:
    with Metadata(is_reclaimed=False, status=status) as metadata:
        bench.environment |= {SPOT_NOTICE: "1", ENDPOINT: metadata.url}
        bench.put_by_value(slow)
        code, _, err = bench.run()
        asked = len(metadata.requests)
    assert (code, bench.value()) == (0, "done")
    assert asked >= 2 if status == 200 else asked == 3
    assert ("is not known: its metadata does not answer" in err) == (status == 403)


def test_where_there_is_no_metadata_at_all_the_function_runs(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    bench.environment |= {SPOT_NOTICE: "1", ENDPOINT: f"http://127.0.0.1:{port}"}
    bench.put_by_value(slow)
    code, _, err = bench.run()
    assert (code, bench.value()) == (0, "done")
    assert "Whether this machine is to be taken back is not known" in err


def test_what_is_no_metadata_is_in_nobodys_way(bench: Bench) -> None:
    bench.environment |= {SPOT_NOTICE: "1", ENDPOINT: "nowhere"}
    bench.put_by_value(slow)
    code, _, err = bench.run()
    assert (code, bench.value()) == (0, "done")
    assert "is not known: its metadata does not answer" in err
    assert "Traceback" not in err


def test_without_the_option_nobody_is_asked(bench: Bench) -> None:
    with Metadata(is_reclaimed=True) as metadata:
        bench.environment |= {ENDPOINT: metadata.url}
        bench.put_by_value(slow)
        assert bench.run()[0] == 0
        assert metadata.requests == []


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAWS]:
    with LocalAWS(max_vcpus=4) as aws:
        yield aws


def test_in_the_embedded_aws_the_next_attempt_goes_on_where_the_machine_was_taken_back(
    aws: LocalAWS, tmp_path: Path
) -> None:
    """With `retry_on="infrastructure"`: an attempt that gave way is none that failed by itself."""

    def work(running: str) -> str:
        from covalent_awsbatch_plugin import checkpoint, interruption

        place = checkpoint.directory() / "attempts"
        if place.exists():
            return place.read_text() + os.environ["AWS_BATCH_JOB_ATTEMPT"]

        def save() -> None:
            place.write_text(os.environ["AWS_BATCH_JOB_ATTEMPT"])
            raise interruption.Interrupted

        interruption.on_notice(save)
        Path(running).touch()
        while True:
            time.sleep(0.05)

    options = {"container_image_uri": "team/jobs:1", "vcpu": 1, "memory": 0.5, "poll_freq": 0.2}
    options |= {"retry_on": "infrastructure", "retry_attempts": 2, "checkpoint": True, "spot_notice": True}
    executor: Any = AWSBatchExecutor(**{**aws.options, **options})
    executor._task_stdout, executor._task_stderr = io.StringIO(), io.StringIO()

    async def reclaimed() -> Any:
        metadata = {"dispatch_id": "spot", "node_id": 0}
        running = asyncio.ensure_future(executor.run(work, [str(tmp_path / "running")], {}, metadata))
        await becomes((tmp_path / "running").exists)
        [job] = aws.jobs()
        aws.reclaim(job.id, seconds=10.0)
        return (await running).get_deserialized(), job.id

    result, job_id = asyncio.run(reclaimed())
    assert result == "12"
    [described] = aws.client("batch").describe_jobs(jobs=[job_id])["jobs"]
    assert [one["statusReason"][:8] for one in described["attempts"]] == ["Host EC2", "Essentia"]
    with pytest.raises(RuntimeError, match="has no machine"):
        aws.reclaim(job_id)
