"""`covalent-awsbatch report`, `logs` and `why` of electrons whose job was followed by a larger one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import covalent as ct
import pytest

from covalent_awsbatch_plugin import AWSBatchExecutor

growing = AWSBatchExecutor(retry_memory_factor=2, retry_attempts=2)


@ct.electron(executor=growing)
def needs(place: str) -> str:
    import os
    import signal
    from pathlib import Path

    if not Path(place).exists():
        Path(place).touch()
        os.kill(os.getppid(), signal.SIGKILL)
        os._exit(1)
    print("this is enough", flush=True)
    return "done"


@ct.electron(executor=growing)
def never_has() -> str:
    import os
    import signal

    os.kill(os.getppid(), signal.SIGKILL)
    os._exit(1)


@ct.lattice(executor="local", workflow_executor="local")
def workflow(place: str) -> Any:
    return [needs(place), never_has()]


@pytest.mark.timeout(300)
def test_every_job_of_an_electron_is_seen(asked: Any, tmp_path: Path) -> None:
    dispatch_id = asked.client.dispatch(workflow, str(tmp_path / "grown"))
    assert str(asked.client.wait(dispatch_id).status) == "FAILED"
    jobs: dict[str, list[str]] = {}
    for job in asked.aws.jobs():
        if dispatch_id in job.name:
            jobs.setdefault(job.name.rpartition("-")[2], []).append(job.id)
    told = json.loads(asked.command("report", dispatch_id[:8], "--json").stdout)
    for electron in told["electrons"]:
        assert [job["id"] for job in electron["jobs"]] == jobs[str(electron["node"])], electron["name"]
        assert [job["asked"]["memory_mib"] for job in electron["jobs"]] == [512, 1024]
        assert [attempt["number"] for attempt in electron["attempts"]] == [1, 2]
        assert electron["attempts"][0]["exit_code"] == 137
    assert {size["function"]: size["proposed_mib"] for size in told["memory"]}["never_has"] == 2048

    (node,) = [one["node"] for one in told["electrons"] if one["name"].startswith("needs")]
    first, second = jobs[str(node)]
    for word in (first, second):
        lines = asked.command("logs", word).stdout.splitlines()
        assert f"needs[{node}] attempt 2 │ this is enough" in lines, (
            "Covalent has the newest job alone, and AWS tells the others"
        )

    (failure,) = json.loads(asked.command("why", dispatch_id[:8], "--json").stdout)["failures"]
    (earlier,) = failure["earlier"]
    assert [earlier["job_id"], failure["job_id"]] == jobs[str(failure["node_id"])]
    assert (earlier["ended"], earlier["attempts"]) == ("exit code 137 with 0.5 GB", 1)
    shown = asked.command("why", dispatch_id[:8], COLUMNS="80").stdout
    assert f"  earlier job {earlier['job_id']}: exit code 137 with 0.5" in shown
