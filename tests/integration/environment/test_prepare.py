"""Tasks in a job that has nothing but Python: the server's packages reach it through the bucket, once."""

from __future__ import annotations

import asyncio
import importlib.metadata
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from support.task_bench import BUCKET, TaskBench

from covalent_awsbatch_plugin.environment import prepare, runtime
from covalent_awsbatch_plugin.environment.store import Environment
from covalent_awsbatch_plugin.errors import JobFailedError, SettingsError
from covalent_awsbatch_plugin.task.connection import client


def where() -> dict[str, Any]:
    """What a function finds in its job."""
    import covalent

    return {
        "prefix": sys.prefix,
        "covalent": covalent.__file__,
        "version": importlib.metadata.version("covalent"),
        "path": sys.path,
    }


@pytest.fixture(autouse=True)
def _by_value() -> Iterator[None]:
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)
    prepare._ready.clear()


def stored(bench: TaskBench) -> dict[str, Any]:
    """The environment's objects in the bucket, with when they were written."""
    listed = bench.s3.list_objects_v2(Bucket=BUCKET, Prefix="environments/").get("Contents", [])
    return {item["Key"]: item["LastModified"] for item in listed}


def asked(bench: TaskBench, method: str) -> list[str]:
    """Which of the environment's objects the executor asked for, or wrote."""
    return [one.path for one in bench.requests if one.method == method and "/environments/" in one.path]


def run(bench: TaskBench, function: Any = where, **options: Any) -> Any:
    executor = bench.executor(container_image_uri="", memory=2, time_limit=300, **options)
    return asyncio.run(executor.run(function, [], {}, bench.task())).get_deserialized(), executor


def environment_of(bench: TaskBench, **options: Any) -> tuple[Environment, str]:
    """What a task's job is to fetch, and what the task said of it."""
    settings, stream = bench.executor(runtime="bucket", **options)._settings(), io.StringIO()
    found = asyncio.run(prepare.environment(settings, client(settings), stream))
    assert found is not None
    return found, stream.getvalue()


def test_packages_reach_a_job_that_has_none(bench: TaskBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "_NOTED_SECONDS", 0.0)
    found, executor = run(bench)
    assert found["covalent"].startswith(found["prefix"])
    assert found["prefix"] != sys.prefix
    assert found["version"] == importlib.metadata.version("covalent")
    assert not [place for place in found["path"] if place.startswith(sys.prefix)], "nothing of the server's own"
    assert len(stored(bench)) == 6
    assert "until the environment was packed and in the bucket" in executor.task_stderr.getvalue()


@pytest.mark.usefixtures("small_packages")
def test_they_are_uploaded_once(bench: TaskBench) -> None:
    first, _ = environment_of(bench)
    keys = [one.key for one in first.objects]
    objects = {key: stored(bench)[key] for key in keys}
    assert len(asked(bench, "PUT")) == len(keys) == 4
    bench.requests.clear()
    assert environment_of(bench) == (first, "")
    assert asked(bench, "HEAD") == asked(bench, "PUT") == [], "this process knows"
    prepare._ready.clear()
    assert environment_of(bench)[0] == first
    assert len(asked(bench, "HEAD")) == 4
    assert {key: stored(bench)[key] for key in keys} == objects, "another process finds them"


@pytest.mark.usefixtures("small_packages")
def test_an_environment_that_was_removed_is_there_again_for_the_next_task(bench: TaskBench) -> None:
    """At once, and not when the bucket is looked at again ten minutes later."""
    first, _ = environment_of(bench)
    for key in first.keys:
        bench.s3.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(JobFailedError, match="environment cannot be used") as raised:
        run(bench)
    assert "S3 answers 404" in raised.value.message
    assert environment_of(bench)[0] == first
    assert set(first.keys) <= stored(bench).keys()


@pytest.mark.usefixtures("small_packages")
def test_a_file_that_was_damaged_on_this_machine_is_packed_again(bench: TaskBench) -> None:
    first, _ = environment_of(bench)
    for one in first.objects:
        bench.s3.delete_object(Bucket=BUCKET, Key=one.key)
    whole = first.objects[0].file.read_bytes()
    first.objects[0].file.write_bytes(whole[:100])
    prepare._ready.clear()
    assert environment_of(bench)[0] == first
    assert bench.s3.get_object(Bucket=BUCKET, Key=first.keys[0])["Body"].read() == whole
    assert first.objects[0].file.read_bytes() == whole


def test_what_cannot_be_packed_is_told_before_there_is_a_job(bench: TaskBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_ROOTS", (*runtime._ROOTS, "not-installed-anywhere"))
    with pytest.raises(SettingsError, match="not-installed-anywhere is needed and not installed here") as raised:
        run(bench)
    assert "set container_image_uri to an image" in raised.value.message
    assert not any("submitjob" in one.path for one in bench.requests)


def test_an_access_point_that_jobs_cannot_fetch_from_is_told_before_there_is_a_job(bench: TaskBench) -> None:
    point = "arn:aws:s3-outposts:us-east-1:123456789012:outpost/op-01ac5d28a6a232904/accesspoint/jobs"
    with pytest.raises(SettingsError, match="through an access point on Outposts"):
        environment_of(bench, s3_bucket_name=point)
    assert bench.requests == []


@pytest.mark.usefixtures("small_packages")
def test_a_task_that_is_cancelled_meanwhile_leaves_the_work_to_others(bench: TaskBench) -> None:
    executor = bench.executor(container_image_uri="")
    settings = executor._settings()

    async def both() -> Any:
        first = asyncio.ensure_future(prepare.environment(settings, client(settings), sys.stderr))
        second = asyncio.ensure_future(prepare.environment(settings, client(settings), sys.stderr))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert len(asyncio.run(both()).keys) == 3


def test_a_forked_server_packs_with_a_thread_of_its_own() -> None:
    before = prepare._thread()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if prepare._thread() is not before else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_the_runner_needs_no_more_than_is_packed() -> None:
    """Each of its requirements is there: a package that is installed without its own would fail in the job."""
    found = runtime.distributions("x86_64")
    assert {"covalent", "cloudpickle", "covalent-awsbatch-plugin", "pydantic"} <= found.keys()
    assert "pytest" not in found


def test_a_runner_without_files_is_told_before_there_is_a_job(bench: TaskBench, small_packages: Path) -> None:
    """As where an editable installation lost its mark: only the record of it is there."""
    (small_packages / "small_two" / "__init__.py").unlink()
    with pytest.raises(SettingsError, match="small-two is installed here without a record of where its files are"):
        environment_of(bench)


@pytest.mark.usefixtures("small_packages")
def test_a_cache_that_cannot_be_written_to_is_told_before_there_is_a_job(
    bench: TaskBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("COVALENT_AWSBATCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(SettingsError, match="COVALENT_AWSBATCH_CACHE names another directory"):
        environment_of(bench)
