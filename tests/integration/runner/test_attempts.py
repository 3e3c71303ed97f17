"""A later attempt of a job in whose place something lies already."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.bench import BUCKET, RESULT, Bench


def work(calls: str) -> str:
    with Path(calls).open("a", encoding="utf-8") as file:
        print(os.environ["AWS_BATCH_JOB_ATTEMPT"], file=file)
    if Path(f"{calls}-fail").exists():
        raise ValueError("this once")
    return "done"


@pytest.fixture
def calls(bench: Bench, tmp_path: Path) -> Path:
    calls = tmp_path / "calls"
    bench.put_by_value(work, str(calls))
    return calls


def attempt(bench: Bench, number: int, job: str = "job-1") -> tuple[int, str]:
    bench.environment |= {"AWS_BATCH_JOB_ATTEMPT": str(number), "AWS_BATCH_JOB_ID": job}
    code, _, err = bench.run()
    return code, err


def test_a_success_of_the_same_job_stands(bench: Bench, calls: Path) -> None:
    assert attempt(bench, 1)[0] == 0
    assert attempt(bench, 2) == (
        0,
        "An earlier attempt of this job has left its result: the function is not called again.\n",
    )
    assert calls.read_text() == "1\n"
    assert (bench.value(), bench.envelope()["attempt"]) == ("done", 1)


def test_a_failure_does_not(bench: Bench, calls: Path) -> None:
    failing = Path(f"{calls}-fail")
    failing.touch()
    assert attempt(bench, 1)[0] == 1
    failing.unlink()
    assert attempt(bench, 2)[0] == 0
    assert calls.read_text() == "1\n2\n"
    assert bench.value() == "done"


def test_a_success_of_another_job_does_not(bench: Bench, calls: Path) -> None:
    assert attempt(bench, 1, "job-0")[0] == 0
    assert attempt(bench, 2)[0] == 0
    assert calls.read_text() == "1\n2\n"
    assert bench.envelope()["job_id"] == "job-1"


def test_the_first_attempt_looks_at_nothing(bench: Bench, calls: Path) -> None:
    assert attempt(bench, 1)[0] == 0
    assert attempt(bench, 1)[0] == 0
    assert calls.read_text() == "1\n1\n"


def test_what_is_planted_runs_nothing_and_is_in_nobodys_way(bench: Bench, calls: Path, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    planted = f"cposix\nsystem\n(Vtouch {touched}\ntR.".encode()
    for metadata in ({"covalent-awsbatch-format": "2"}, {}):
        bench.s3.put_object(Bucket=BUCKET, Key=RESULT, Body=planted, Metadata=metadata)
        code, err = attempt(bench, 2)
        assert code == 0, err
        assert bench.value() == "done"
        assert ("cannot be read" in err) is bool(metadata)
    assert calls.read_text() == "2\n2\n"
    assert not touched.exists()
