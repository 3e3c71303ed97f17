"""What a job leaves for a report: in the metadata of its result, from itself and from the ECS agent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.bench import BUCKET, RESULT, Bench
from support.servers import Answer, HttpServer, Request

VARIABLE = "ECS_CONTAINER_METADATA_URI_V4"
TASK = {"PullStartedAt": "2020-10-02T00:43:06.202617438Z", "PullStoppedAt": "2020-10-02T00:43:16.5Z"}


def usage(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        bench.s3.head_object(Bucket=BUCKET, Key=RESULT)["Metadata"]["covalent-awsbatch-usage"]
    )
    return found


def holds(size: int, until: str = "") -> int:
    import time
    from pathlib import Path

    held = b"x" * size
    for _ in range(600):  # until the agent is asked
        if not until or Path(until).exists():
            break
        time.sleep(0.1)
    time.sleep(1 if until else 0)  # while its answer is read
    return len(held)


def test_a_job_says_how_much_memory_it_took_and_when_its_image_was_pulled(bench: Bench, tmp_path: Path) -> None:
    def answer(_: Request) -> Answer:
        (tmp_path / "asked").touch()
        return Answer(json.dumps(TASK).encode())

    with HttpServer(answer) as agent:
        bench.environment |= {VARIABLE: f"{agent.url}/v4/task-1", "AWS_BATCH_JOB_ATTEMPT": "2"}
        bench.put_by_value(holds, 300 * 1024 * 1024, str(tmp_path / "asked"))
        assert bench.run()[0] == 0
        assert [request.path for request in agent.requests] == ["/v4/task-1/task"]
    found = usage(bench)
    assert found["attempt"] == 2
    # No more than that: until a process runs its program, it counts what its parent has.
    assert found["peak_rss_bytes"] > 300 * 1024 * 1024
    assert found["pull_started_at"] == pytest.approx(1601599386.202617, abs=1e-5)
    assert found["pull_stopped_at"] == pytest.approx(1601599396.5)
    is_known = any(Path(place).is_file() for place in ("/sys/fs/cgroup/memory.peak",))
    assert not is_known or found["container_peak_bytes"] > 0


def test_outside_ecs_a_control_group_is_of_something_else(bench: Bench) -> None:
    bench.put_by_value(holds, 1)
    assert bench.run()[0] == 0
    assert usage(bench).keys() <= {"attempt", "peak_rss_bytes"}


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"no JSON"),
        Answer(b"[1]"),
        Answer(b'{"PullStartedAt": 7, "PullStoppedAt": "yesterday"}'),
        Answer(status=500),
    ],
)
def test_an_agent_that_says_something_else_harms_nobody(bench: Bench, answer: Answer) -> None:
    with HttpServer(lambda _: answer) as agent:
        bench.environment[VARIABLE] = f"{agent.url}/v4/task-1"
        bench.put_by_value(holds, 1)
        code, _, err = bench.run()
    assert (code, err) == (0, "")
    assert "pull_started_at" not in usage(bench)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/v4", "https://127.0.0.1/v4", "", "http://a b"])
def test_an_agent_that_is_not_there_harms_nobody(bench: Bench, address: str) -> None:
    bench.environment[VARIABLE] = address
    bench.put_by_value(holds, 1)
    code, _, err = bench.run()
    assert (code, err) == (0, "")
    assert "pull_started_at" not in usage(bench)
