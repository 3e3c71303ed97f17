"""Real dispatches to a real Covalent server, whose electrons run as jobs of the embedded AWS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import covalent as ct
import psutil
import pytest
from support.covalent_client import Client, client_of

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.local import JobSummary, LocalAWS, covalent_server
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

SVM_WORKFLOW = Path(covalent_server.__file__).with_name("svm_workflow.py")

ENDED = {"SUCCEEDED", "FAILED"}

# Small jobs, looked at often and tried once: what a test of a workflow wants.
QUICK = {
    "container_image_uri": "team/jobs:1",
    "vcpu": 1,
    "memory": 0.5,
    "poll_freq": 1,
    "retry_attempts": 1,
    "time_limit": 700,
}


@dataclass(frozen=True)
class Cloud:
    """An embedded AWS and the Covalent server whose section `[executors.awsbatch]` points at it."""

    aws: LocalAWS
    server: CovalentServer
    client: Client

    def executor(self, **options: Any) -> AWSBatchExecutor:
        """An executor for electrons, with options of its own."""
        from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor

        return AWSBatchExecutor(**{**self.aws.options, **QUICK, **options})

    def jobs(self, dispatch_id: str) -> list[JobSummary]:
        """The jobs of one dispatch."""
        return [job for job in self.aws.jobs() if dispatch_id in job.name]

    def job_ended(self, dispatch_id: str) -> JobSummary:
        """The only job of a dispatch, once it has ended."""
        self.client.until(lambda: all(job.status in ENDED for job in self.jobs(dispatch_id)), "the job to end", 20)
        (job,) = self.jobs(dispatch_id)
        return job

    def active_definitions(self, name: str) -> list[dict[str, Any]]:
        """The ACTIVE revisions of a job definition."""
        answer: list[dict[str, Any]] = self.aws.client("batch").describe_job_definitions(
            jobDefinitionName=name, status="ACTIVE"
        )["jobDefinitions"]
        return answer


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """One embedded AWS and one server for all tests of this file."""
    with LocalAWS(max_vcpus=8, stop_grace=2) as aws:
        config = {"awsbatch": {**aws.options, **QUICK}}
        with CovalentServer(environment=aws.environment, config=config) as server, client_of(server) as client:
            yield Cloud(aws, server, client)


def test_the_svm_workflow_of_the_readme(cloud: Cloud) -> None:
    before = {job.id for job in cloud.aws.jobs()}
    done = cloud.server.run_script(SVM_WORKFLOW, timeout=150)
    assert done.returncode == 0, done.stderr + cloud.server.log()[-4000:]
    assert 0.5 < float(done.stdout.splitlines()[-1]) <= 1.0
    (job,) = [job for job in cloud.aws.jobs() if job.id not in before]
    assert (job.status, job.exit_code, job.attempts, job.vcpus) == ("SUCCEEDED", 0, 1, 2)


def test_bash_commands_run_before_the_electron(cloud: Cloud) -> None:
    @ct.electron(executor=cloud.executor(), deps_bash=ct.DepsBash(["echo prepared > marker.txt"]))
    def read() -> Any:
        return Path("marker.txt").read_text()

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow() -> Any:
        return read()

    assert cloud.client.run(workflow).result == "prepared\n"


def test_calls_before_and_after_the_electron(cloud: Cloud, tmp_path: Path) -> None:
    log = tmp_path / "calls.txt"

    def before(word: str) -> str:
        log.write_text("before\n")
        return word.upper()

    def after() -> None:
        log.write_text(log.read_text() + "after\n")

    @ct.electron(
        executor=cloud.executor(),
        call_before=[ct.DepsCall(before, args=["token"], retval_keyword="token")],
        call_after=[ct.DepsCall(after)],
    )
    def task(token: str = "") -> Any:
        log.write_text(log.read_text() + "task\n")
        return token

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow() -> Any:
        return task()

    assert cloud.client.run(workflow).result == "TOKEN"
    assert log.read_text().split() == ["before", "task", "after"]


def test_a_lattice_wholly_on_awsbatch(cloud: Cloud) -> None:
    @ct.electron
    def double(x: int) -> Any:
        return 2 * x

    @ct.lattice(executor="awsbatch", workflow_executor="awsbatch")
    def workflow(x: int) -> Any:
        return {"first": double(x), "second": double(x + 1)}

    dispatch_id = cloud.client.dispatch(workflow, 3)
    assert cloud.client.completed(dispatch_id, 90).result == {"first": 6, "second": 8}
    assert [job.status for job in cloud.jobs(dispatch_id)] == ["SUCCEEDED", "SUCCEEDED"]


def test_a_sublattice(cloud: Cloud) -> None:
    @ct.electron
    def double(x: int) -> Any:
        return 2 * x

    @ct.electron
    @ct.lattice(executor="awsbatch", workflow_executor="awsbatch")
    def inner(x: int) -> Any:
        return double(x)

    # The graph of a sublattice is built where the outer workflow is put together, that is in a job too.
    @ct.lattice(executor="awsbatch", workflow_executor="awsbatch")
    def outer(x: int) -> Any:
        return inner(x)

    result = cloud.client.run(outer, 21, timeout=90)
    assert result.result == 42
    (inner_id,) = [node["sub_dispatch_id"] for node in cloud.client.nodes(result) if node["sub_dispatch_id"]]
    assert {job.status for job in cloud.jobs(inner_id)} == {"SUCCEEDED"}
    assert {job.status for job in cloud.jobs(result.dispatch_id)} == {"SUCCEEDED"}


def test_a_sublattice_by_name_inside_a_lattice_with_another_executor(cloud: Cloud) -> None:
    """Covalent then gives the sublattice the lattice's attributes beside its own executor's name."""
    from covalent.executor import LocalExecutor

    @ct.electron
    @ct.lattice(executor="awsbatch")
    def inner(x: int) -> Any:
        return ct.electron(lambda y: y + 1)(x)

    @ct.lattice(executor=LocalExecutor(), workflow_executor=LocalExecutor())
    def workflow(x: int) -> Any:
        return inner(x)

    assert cloud.client.run(workflow, 1, timeout=90).result == 2


def test_what_an_executor_was_not_given_is_the_servers(cloud: Cloud) -> None:
    """This process, and a job that builds a sublattice, know nothing of the server's section."""
    from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor

    def double(x: int) -> Any:
        return 2 * x

    @ct.electron
    @ct.lattice(executor="awsbatch", workflow_executor="awsbatch")
    def inner(x: int) -> Any:
        from covalent_awsbatch_plugin import AWSBatchExecutor

        return ct.electron(double, executor=AWSBatchExecutor(tags={"made": "inside"}))(x)

    outside = AWSBatchExecutor(tags={"made": "outside"})

    @ct.lattice(executor=outside, workflow_executor=outside)
    def outer(x: int) -> Any:
        return inner(x)

    assert AWSBatchExecutor().retry_attempts != QUICK["retry_attempts"]
    result = cloud.client.run(outer, 21, timeout=90)
    assert result.result == 42
    (inner_id,) = [node["sub_dispatch_id"] for node in cloud.client.nodes(result) if node["sub_dispatch_id"]]
    batch = cloud.aws.client("batch")
    for dispatch_id, made in ((result.dispatch_id, "outside"), (inner_id, "inside")):
        jobs = batch.describe_jobs(jobs=[job.id for job in cloud.jobs(dispatch_id)])["jobs"]
        assert {job["status"] for job in jobs} == {"SUCCEEDED"}
        assert {job["retryStrategy"]["attempts"] for job in jobs} == {QUICK["retry_attempts"]}
        assert made in [job["tags"].get("made") for job in jobs]


def test_the_traceback_of_an_electron_that_raises(cloud: Cloud) -> None:
    @ct.electron(executor=cloud.executor())
    def careful() -> Any:
        print("so far so good")
        raise LookupError("no such flower")

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow() -> Any:
        return careful()

    dispatch_id = cloud.client.dispatch(workflow)
    result = cloud.client.wait(dispatch_id)
    assert str(result.status) == "FAILED"
    assert "careful" in result.error
    node = cloud.client.node(result, "careful")
    assert str(node["status"]) == "FAILED"
    assert node["stdout"] == "so far so good\n"
    said = f"{node['error']}{node['stderr']}"
    assert "Traceback (most recent call last)" in said
    assert "in careful" in said
    assert "LookupError: no such flower" in said
    job = cloud.job_ended(dispatch_id)
    assert (job.status, job.exit_code, job.attempts) == ("FAILED", 1, 1)


def test_a_dispatch_that_is_cancelled_while_its_job_runs(cloud: Cloud, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"

    @ct.electron(executor=cloud.executor())
    def endless() -> None:
        import os

        pid_file.with_suffix(".tmp").write_text(str(os.getpid()))
        pid_file.with_suffix(".tmp").rename(pid_file)
        time.sleep(600)

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow() -> Any:
        return endless()

    dispatch_id = cloud.client.dispatch(workflow)
    cloud.client.until(pid_file.exists, "the electron to run", 120)
    assert cloud.client.status(dispatch_id) == "RUNNING"
    ct.cancel(dispatch_id)
    result = cloud.client.wait(dispatch_id)
    assert str(result.status) == "CANCELLED"
    assert str(cloud.client.node(result, "endless")["status"]) == "CANCELLED"
    job = cloud.job_ended(dispatch_id)
    assert job.status == "FAILED"
    assert "cancel" in job.reason.lower()
    pid = int(pid_file.read_text())
    cloud.client.until(lambda: not _alive(pid), "the electron's process to be gone", 120)


def test_a_dispatch_that_is_cancelled_at_once_leaves_no_job_running(cloud: Cloud) -> None:
    @ct.electron(executor=cloud.executor())
    def endless(n: int) -> int:
        time.sleep(600)
        return n

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow() -> Any:
        return [endless(n) for n in range(6)]

    dispatch_id = cloud.client.dispatch(workflow)
    # Whatever the electrons are at: not begun, packing, uploading, between submission and the stored job handle.
    cloud.client.until(lambda: cloud.client.status(dispatch_id) == "RUNNING", "the dispatch to begin", 120)
    ct.cancel(dispatch_id)
    result = cloud.client.wait(dispatch_id)
    failed = [(node["name"], node["error"]) for node in cloud.client.nodes(result) if str(node["status"]) == "FAILED"]
    assert str(result.status) == "CANCELLED", (result.error, failed)
    cloud.client.until(
        lambda: all(job.status == "FAILED" for job in cloud.jobs(dispatch_id)), "every job to have ended", 120
    )


def test_twenty_electrons_at_once_leave_one_definition_and_twenty_jobs(cloud: Cloud) -> None:
    @ct.electron(executor=cloud.executor(batch_job_definition_name="twenty"))
    def square(n: int) -> int:
        return n * n

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow(count: int) -> Any:
        return [square(n) for n in range(count)]

    dispatch_id = cloud.client.dispatch(workflow, 20)
    assert cloud.client.completed(dispatch_id, 150).result == [n * n for n in range(20)]
    jobs = cloud.jobs(dispatch_id)
    assert len(jobs) == 20
    assert {(job.status, job.attempts) for job in jobs} == {("SUCCEEDED", 1)}
    assert len({job.name for job in jobs}) == 20
    assert len(cloud.active_definitions("twenty")) == 1


@pytest.mark.parametrize("size", [0, 2**20, 50 * 2**20], ids=["0 bytes", "1 MiB", "50 MiB"])
def test_results_of_any_size(cloud: Cloud, size: int) -> None:
    @ct.electron(executor=cloud.executor(memory=2))
    def produce(size: int) -> bytes:
        return (bytes(range(256)) * (size // 256 + 1))[:size]

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow(size: int) -> Any:
        return produce(size)

    result = cloud.client.run(workflow, size, timeout=90)
    # Not `==`: pytest would print fifty megabytes of difference.
    same = bool(result.result == (bytes(range(256)) * (size // 256 + 1))[:size])
    assert same


def test_unicode_in_everything(cloud: Cloud) -> None:
    @ct.electron(executor=cloud.executor(environment={"GRUSS": "Grüß Gott 🏔"}))
    def größe(wort: str, *, ключ: str) -> dict[str, str]:
        import os
        import sys

        print(f"印刷 {wort}")
        print(f"誤り {ключ}", file=sys.stderr)
        return {"żółć": wort + ключ, "🎉": os.environ["GRUSS"]}

    @ct.lattice(executor="local", workflow_executor="local")
    def процесс(wort: str) -> Any:
        return größe(wort, ключ="значение")

    result = cloud.client.run(процесс, "naïve")
    assert result.result == {"żółć": "naïveзначение", "🎉": "Grüß Gott 🏔"}
    node = cloud.client.node(result, "größe")
    assert node["stdout"] == "印刷 naïve\n"
    assert "誤り значение" in node["stderr"]


def test_unicode_in_an_exception(cloud: Cloud) -> None:
    @ct.electron(executor=cloud.executor())
    def échec() -> None:
        raise RuntimeError("ошибка: 失敗 🔥")

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow() -> Any:
        return échec()

    result = cloud.client.wait(cloud.client.dispatch(workflow))
    assert str(result.status) == "FAILED"
    node = cloud.client.node(result, "échec")
    assert "RuntimeError: ошибка: 失敗 🔥" in f"{node['error']}{node['stderr']}"


def test_a_redispatch(cloud: Cloud) -> None:
    @ct.electron(executor=cloud.executor())
    def increment(x: int) -> int:
        return x + 1

    @ct.lattice(executor="local", workflow_executor="local")
    def workflow(x: int) -> Any:
        return increment(x)

    first = cloud.client.dispatch(workflow, 1)
    assert cloud.client.completed(first).result == 2

    again = ct.redispatch(first)(10)
    assert cloud.client.completed(again).result == 11
    assert len(cloud.jobs(again)) == 1

    reused = ct.redispatch(first, reuse_previous_results=True)()
    assert cloud.client.completed(reused).result == 2
    assert cloud.jobs(reused) == []


def _alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
