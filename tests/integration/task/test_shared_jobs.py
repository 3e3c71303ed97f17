"""Tasks that share an argument, from the executor's `run` to what is left of them in the bucket."""

from __future__ import annotations

import asyncio
import functools
import threading
from typing import Any

import pytest
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn
from lab import Lab, endings, results
from support.servers import Answer, HttpServer, Request, forward_to

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import JobFailedError
from covalent_awsbatch_plugin.task import sharing

LARGE = bytes(2 * sharing.SHARED_CHARS)
LENGTH = functools.partial(wrapper_fn, TransportableObject(len), [], [])
INLINE = ["func-0", "func-1", "result-0", "result-1"]
SHARED = [*INLINE, "shared"]

pytestmark = pytest.mark.usefixtures("small_packages")


class Submitting(AWSBatchExecutor):
    """It may run what it likes."""

    async def submit_task(self, task_metadata: Any, identity: Any = None) -> str:
        job_id: str = await super().submit_task(task_metadata, identity)
        return job_id


def run_two(lab: Lab, dispatch_id: str, kind: type = AWSBatchExecutor, **options: Any) -> tuple[list[Any], list[str]]:
    """How two tasks end that have the same argument, and what they leave in the bucket."""
    executor = kind(**{**lab.options, "poll_freq": 1, "retry_attempts": 1, "runtime": "bucket", **options})

    async def both() -> list[Any]:
        tasks = ({"dispatch_id": dispatch_id, "node_id": node} for node in range(2))
        runs = [executor.run(LENGTH, [TransportableObject(LARGE)], {}, task) for task in tasks]
        return await asyncio.gather(*runs, return_exceptions=True)

    ends = [type(one) for one in asyncio.run(both())]
    sharing._known.clear()
    names = [key.replace(f"-{dispatch_id}", "").partition(".")[0] for key in lab.objects() if dispatch_id in key]
    return ends, sorted("shared" if name.startswith("shared") else name for name in names)


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({}, SHARED),
        ({"s3_cleanup": "success"}, []),
        # Whatever the image has: the public image's program, or another version of the runner.
        ({"runtime": "image"}, INLINE),
        ({"kind": Submitting}, INLINE),
    ],
)
def test_jobs_whose_runner_knows_references_share_an_argument(
    lab: Lab, metadata: dict[str, Any], options: dict[str, Any], left: list[str]
) -> None:
    ends = [TransportableObject] * 2
    assert run_two(lab, metadata["dispatch_id"], **options) == (ends, left)


@pytest.mark.lab(endings={"*-0": endings.raised(), "*-1": endings.succeed()})
def test_what_a_job_that_failed_refers_to_stays(lab: Lab, metadata: dict[str, Any]) -> None:
    ends, left = run_two(lab, metadata["dispatch_id"], s3_cleanup="success")
    assert ends == [JobFailedError, TransportableObject]
    assert left == ["func-0", "result-0", "shared"]


def test_what_s3_stores_after_its_task_was_cancelled_is_deleted_too(lab: Lab, metadata: dict[str, Any]) -> None:
    """A request that has arrived is carried out, whether anybody waits for the answer or not."""
    arrived, may_go_on, gone = threading.Event(), threading.Event(), threading.Event()

    def answer(request: Request) -> Answer:
        if request.method == "PUT" and "/shared-" in request.path:
            arrived.set()
            may_go_on.wait()
            return forward(request)
        answered = forward(request)
        if request.method == "POST" and request.path.endswith("?delete"):
            gone.set()
        return answered

    async def cancelled(endpoint: str) -> None:
        options = {**lab.options, "endpoint_url": endpoint, "runtime": "bucket", "s3_cleanup": "always"}
        running = asyncio.ensure_future(
            AWSBatchExecutor(**options).run(LENGTH, [TransportableObject(LARGE)], {}, metadata)
        )
        await asyncio.to_thread(arrived.wait)
        running.cancel()
        # What is deleted before would be too early.
        await asyncio.to_thread(gone.wait, 1.0)
        may_go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await running

    forward = forward_to(lab.url)
    with HttpServer(answer) as way:
        asyncio.run(cancelled(way.url))
    assert gone.is_set()
    assert [key for key in lab.objects() if not key.startswith("environments/")] == []


@pytest.mark.lab(result=results.Envelope(value="x" * len(LARGE), apart=True))
@pytest.mark.parametrize(("s3_cleanup", "uploads"), [("never", 0), ("success", 1)])
def test_a_result_is_referred_to_as_long_as_its_object_stays(
    lab: Lab, metadata: dict[str, Any], s3_cleanup: str, uploads: int
) -> None:
    options = {"poll_freq": 1, "retry_attempts": 1, "runtime": "bucket", "s3_cleanup": s3_cleanup}
    executor = AWSBatchExecutor(**{**lab.options, **options})

    async def one_after_the_other() -> None:
        returned = await executor.run(LENGTH, [], {}, metadata)
        await executor.run(LENGTH, [returned], {}, {**metadata, "node_id": 1})

    asyncio.run(one_after_the_other())
    keys = [str(call.facts["Key"]) for call in lab.calls("PutObject")]
    assert len([key for key in keys if key.startswith("shared-")]) == uploads
    assert len([key for key in keys if key.startswith("func-")]) == 2
