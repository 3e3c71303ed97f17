"""Every ending of a job has its own outcome, and a sentence that says what happened, why, and what to do.

All endings run at once against the laboratory; each test looks at one of them.
"""

from __future__ import annotations

import asyncio
import io
import pickle
import re
from dataclasses import dataclass
from typing import Any

import pytest
from covalent._shared_files.exceptions import TaskCancelledError, TaskRuntimeError
from lab import Lab, endings
from support.every_ending import OPTIONS, ROWS, Row

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import AWSBatchError


@dataclass
class Seen:
    """What one task's user saw: its result or its exception, and its streams."""

    outcome: Any
    stderr: str


async def _run(lab: Lab, name: str, row: Row) -> Seen:
    executor = AWSBatchExecutor(**{**lab.options, **OPTIONS, **(row.options or {})})
    streams = io.StringIO(), io.StringIO()
    executor._task_stdout, executor._task_stderr = streams
    metadata = {"dispatch_id": "endings", "node_id": name}
    try:
        outcome = await executor.run(len, ["x"], {}, metadata)
    except AWSBatchError as error:
        outcome = error
    return Seen(outcome, streams[1].getvalue())


async def _run_all(lab: Lab) -> dict[str, Seen]:
    seen = await asyncio.gather(*(_run(lab, name, row) for name, row in ROWS.items()))
    return dict(zip(ROWS, seen, strict=True))


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    """Every row's outcome; all of them run at the same time."""
    chosen = {f"covalent-batch-endings-{name}": row.ending for name, row in ROWS.items()}
    with Lab(endings=chosen) as lab:
        outcomes = asyncio.run(_run_all(lab))
        assert len(lab.jobs()) == len(ROWS), "each task has one job"
        return outcomes


@pytest.mark.parametrize("name", ROWS)
def test_an_ending_is_explained(seen: dict[str, Seen], name: str) -> None:
    row, outcome = ROWS[name], seen[name].outcome
    if row.error is None:
        assert not isinstance(outcome, BaseException), outcome
        return
    assert isinstance(outcome, row.error), outcome
    assert isinstance(outcome, TaskRuntimeError), "Covalent marks the electron FAILED and keeps its streams"
    message = str(outcome)
    for word in row.words:
        assert word in message
    assert not re.search(r"\b404\b", message)
    assert "HeadObject" not in message
    assert message in seen[name].stderr
    if row.cause:
        assert outcome.details["cause"] == row.cause
        assert outcome.details["job_id"]
        assert "job-queue/" in outcome.details["queue"]
        assert outcome.details["console"].endswith(outcome.details["job_id"])
        assert outcome.details["attempts"] >= 0
    copy = pickle.loads(pickle.dumps(outcome))
    assert (type(copy), str(copy), copy.details) == (type(outcome), message, outcome.details)


def test_cancelled_from_covalent_is_no_failure() -> None:
    async def cancelled() -> None:
        executor = AWSBatchExecutor(**lab.options, **OPTIONS)
        metadata = {"dispatch_id": "cancelled", "node_id": 1}
        task = asyncio.ensure_future(executor.run(len, ["x"], {}, metadata))
        while not (jobs := lab.jobs()):  # noqa: ASYNC110  (it becomes so in another process)
            await asyncio.sleep(0.01)
        # As Covalent does: by another instance.
        assert await AWSBatchExecutor(**lab.options).cancel(metadata, jobs[0].id)
        with pytest.raises(TaskCancelledError):
            await task

    with Lab(endings={"*": endings.runs_for_ever()}) as lab:
        asyncio.run(cancelled())
