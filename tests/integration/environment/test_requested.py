"""Packages of an index reach a job through the bucket, once: what `ct.DepsPip` asks for, and the option `packages`."""

from __future__ import annotations

import asyncio
import functools
import importlib.metadata
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from covalent._workflow.depsbash import DepsBash
from covalent._workflow.depspip import DepsPip
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn
from support.package_index import Index, wheel
from support.task_bench import BUCKET, TaskBench

from covalent_awsbatch_plugin.environment import cache, requested
from covalent_awsbatch_plugin.environment.packages import locked, wanted
from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.task.connection import client

SECRET = "s3cret-word"


def there() -> dict[str, Any]:
    """What a function finds in its job."""
    import nails
    import toolbox

    return {"file": toolbox.__file__, "prefix": sys.prefix, "size": nails.SIZE, "cached": toolbox.__cached__}


@pytest.fixture(autouse=True)
def _by_value(bench: TaskBench) -> Iterator[None]:
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    forget(bench)
    cloudpickle.unregister_pickle_by_value(module)


def run(bench: TaskBench, function: Any = there, deps: list[Any] | None = None, **options: Any) -> Any:
    """Runs a function as Covalent's server has an executor run it."""
    executor = bench.executor(runtime="bucket", memory=2, time_limit=300, **options)
    call = functools.partial(wrapper_fn, TransportableObject(function), [one.apply() for one in deps or []], [])
    task = bench.task()
    result = asyncio.run(executor.run(call, [], {}, task)).get_deserialized()
    return result.get_deserialized() if isinstance(result, TransportableObject) else result, executor, task


def stored(bench: TaskBench) -> dict[str, bytes]:
    listed = bench.s3.list_objects_v2(Bucket=BUCKET, Prefix="environments/").get("Contents", [])
    return {one["Key"]: bench.s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read() for one in listed}


def records(bench: TaskBench) -> list[str]:
    return [key for key in stored(bench) if key.startswith(locked.PREFIX)]


def forget(bench: TaskBench) -> None:
    for key in records(bench):
        bench.s3.delete_object(Bucket=BUCKET, Key=key)


def uploaded(bench: TaskBench) -> list[str]:
    return [one.path for one in bench.requests if one.method == "PUT" and "/environments/" in one.path]


def definition(bench: TaskBench, task: Any) -> dict[str, str]:
    job = bench.job(task)
    assert job is not None
    [found] = bench.batch.describe_job_definitions(jobDefinitions=[job["jobDefinition"]])["jobDefinitions"]
    return {one["name"]: one["value"] for one in found["containerProperties"]["environment"]}


def test_what_depspip_asks_for_is_there_before_the_function_and_uploaded_once(bench: TaskBench, index: Index) -> None:
    found, _, task = run(bench, deps=[DepsPip(["toolbox==2.0"])])
    assert found["file"].startswith(found["prefix"])
    assert found["size"] == 5
    first = definition(bench, task)
    asked = len(index.requests)
    assert sorted(index.fetched) == ["nails-1.5-py3-none-any.whl", "toolbox-2.0-py3-none-any.whl"]
    bench.requests.clear()
    requested._ready.clear()
    _, _, task = run(bench, deps=[DepsPip(["toolbox==2.0"])])
    assert uploaded(bench) == [], "another process finds it"
    assert len(index.requests) == asked, "neither the server nor the job asks the index again"
    assert definition(bench, task) == first, "and the revision is the same"


def test_one_process_makes_it_once_for_many_tasks_and_says_how_long_it_took(
    bench: TaskBench, index: Index, caplog: pytest.LogCaptureFixture
) -> None:
    executor = bench.executor(runtime="bucket", packages=["toolbox"])

    async def all_of_them() -> list[Any]:
        settings = executor._settings()
        connection = client(settings)
        requested.begin(settings, connection, None)
        return await asyncio.gather(*(requested.packages(settings, connection, sys.stderr) for _ in range(100)))

    with caplog.at_level(logging.INFO, "covalent_awsbatch_plugin"):
        found = asyncio.run(all_of_them())
    assert all(one is found[0] for one in found)
    assert len(index.fetched) == 2
    assert re.search(r"Making the environment of 2 packages, \d+ MB: \d+ s", caplog.text)


def test_one_package_more_changes_no_other_object(bench: TaskBench, index: Index) -> None:
    for number in range(30):
        index.add(f"small{number}", "1.0", wheel(f"small{number}", "1.0", {f"small{number}.py": "X = 1\n"}))
    names = [f"small{number}" for number in range(30)]
    packages_of(bench, packages=names[:-1])
    before = stored(bench)
    packages_of(bench, packages=names)
    fresh = {key: data for key, data in stored(bench).items() if key not in before}
    layers = [data for key, data in fresh.items() if key.endswith(".tar.gz")]
    assert len(layers) == 1
    assert sum(map(len, fresh.values())) < 1_000_000


def test_a_version_that_the_runner_has_in_another_is_the_one_that_was_asked_for(bench: TaskBench, index: Index) -> None:
    """Covalent needs `natsort` in any newer version, and the server has one."""
    index.add("natsort", "8.99", wheel("natsort", "8.99", {"natsort/__init__.py": "OTHER = True\n"}))

    def versions() -> Any:
        import natsort

        return (
            natsort.OTHER,
            importlib.metadata.version("natsort"),
            sorted(path.name for path in Path(*natsort.__path__).iterdir()),
        )

    index.add("unrelated", "1.0", wheel("unrelated", "1.0", {"unrelated.py": ""}, ["natsort==8.99"]))
    found, _, _ = run(bench, versions, [DepsPip(["unrelated"])])
    assert found == (True, "8.99", ["__init__.py", "__pycache__"])


def test_a_later_pip_install_in_the_task_is_honoured(bench: TaskBench, index: Index) -> None:
    url = index.url

    def installs() -> Any:
        command = ["pip", "install", "--quiet", "--no-deps", "--index-url", url, "nails==1.0"]
        subprocess.run(command, check=True, capture_output=True)
        import nails

        return nails.SIZE, importlib.metadata.version("nails")

    found, _, _ = run(bench, installs, [DepsPip(["nails==1.5"])])
    assert found == (4, "1.0")


@pytest.mark.usefixtures("index")
def test_what_depspip_reads_from_a_file_and_what_packages_says_come_together(bench: TaskBench, tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("# ours\nnails<1.5  # not the new one\n")
    found, _, _ = run(bench, deps=[DepsPip(reqs_path=str(file))], packages=["toolbox"])
    assert found["size"] == 4


def test_a_wheel_that_cannot_be_used_says_why(bench: TaskBench, index: Index) -> None:
    index.add("broken", "1.0", wheel("broken", "1.0", {"broken.py": ""}), "0" * 64)
    with pytest.raises(SettingsError, match="packages_required=False") as raised:
        packages_of(bench, packages=["broken"], packages_required=True)
    assert "broken-1.0-py3-none-any.whl cannot be fetched: it is not what the index says" in str(raised.value)
    index.add("slipping", "1.0", wheel("slipping", "1.0", {"../../../evil.py": ""}))
    with pytest.raises(SettingsError, match="would be written outside of the environment"):
        packages_of(bench, packages=["slipping"], packages_required=True)
    index.add("slipping", "2.0", wheel("slipping", "2.0", {"slipping/evil\\.py": ""}))
    assert "slipping-2.0-py3-none-any.whl" in packages_of(bench, packages=["slipping"]).why


def test_another_version_of_the_runner_is_not_packed(bench: TaskBench, index: Index) -> None:
    """Its core would be missing, which is an object of its own; pip can install it at the job's start."""
    name = "covalent_awsbatch_plugin"
    index.add(name, "99.0", wheel(name, "99.0", {f"{name}/__init__.py": ""}))
    found = packages_of(bench, packages=["covalent-awsbatch-plugin==99.0"])
    assert found.objects == ()
    assert found.install == ("covalent-awsbatch-plugin==99.0",)
    assert "a job's runner is covalent-awsbatch-plugin 1.0.0, and the function asks for another" in found.why


def test_without_uv_or_an_index_the_job_installs_as_before(
    bench: TaskBench, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uv.find_uv_bin", missing)
    calls = {"PIP_INDEX_URL": index.url}
    found, executor, _ = run(bench, deps=[DepsPip(["nails"])], packages=["toolbox"], environment=calls)
    assert found["size"] == 5
    said = executor.task_stderr.getvalue()
    assert "uv is not installed here: pip install 'covalent-awsbatch-plugin[server]'" in said
    assert "They are installed when the job starts" in said


def missing() -> str:
    raise FileNotFoundError


@pytest.mark.usefixtures("index")
def test_no_password_reaches_the_bucket_the_job_or_a_log(bench: TaskBench, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "covalent_awsbatch_plugin"):
        _, executor, task = run(bench, deps=[DepsPip(["toolbox"])])
        with pytest.raises(SettingsError) as raised:
            run(bench, packages=["nowhere-to-be-found"], packages_required=True)
    assert "nowhere-to-be-found" in str(raised.value)
    job = json.dumps(bench.job(task), default=str) + json.dumps(definition(bench, task))
    contents = b"".join(stored(bench).values()).decode("latin-1")
    here = "".join(file.read_text() for file in cache.directory().rglob("*.json"))
    for text in (job, contents, here, caplog.text, str(raised.value), executor.task_stderr.getvalue()):
        assert SECRET not in text
        assert "someone" not in text


def test_ten_servers_agree_on_what_an_unpinned_requirement_is(bench: TaskBench, index: Index) -> None:
    first = packages_of(bench, packages=["toolbox"])
    index.add("nails", "1.9", wheel("nails", "1.9", {"nails.py": "SIZE = 9\n"}))
    for place in cache.directory().iterdir():
        shutil.rmtree(place)
    assert packages_of(bench, packages=["toolbox"]).objects == first.objects, "on another machine"
    before = records(bench)
    forget(bench)  # as a lifecycle rule does
    packages_of(bench, packages=["toolbox"])
    assert records(bench) == before != []
    locked.forget()
    forget(bench)
    assert packages_of(bench, packages=["toolbox"]).objects != first.objects, "after a refresh"


@pytest.mark.usefixtures("index")
def test_a_file_that_was_damaged_on_this_machine_is_made_again(bench: TaskBench) -> None:
    first = packages_of(bench, packages=["toolbox"])
    assert first.manifest is not None
    for one in (*first.objects, first.manifest):
        whole = one.file.read_bytes()
        one.file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        bench.s3.delete_object(Bucket=BUCKET, Key=one.key)
        assert packages_of(bench, packages=["toolbox"]).objects == first.objects
        assert stored(bench)[one.key] == one.file.read_bytes() == whole


def test_what_somebody_writes_into_the_bucket_sends_nobody_anywhere(bench: TaskBench, index: Index) -> None:
    first = packages_of(bench, packages=["toolbox"])
    [key] = records(bench)
    for pins in ({"nails": f"1.5 @ {index.url}"}, {"nails @ http://127.0.0.1:9/": "1"}, ["nails"], {"nails": "0.1"}):
        content = json.dumps({"at": 9_999_999_999, "pins": pins}).encode()
        bench.s3.put_object(Bucket=BUCKET, Key=key, Body=content)
        locked.forget()
        assert packages_of(bench, packages=["toolbox"]).objects == first.objects


def test_with_an_image_of_its_own_the_option_is_not_used_and_says_so(bench: TaskBench) -> None:
    executor = bench.executor(packages=["toolbox"])
    bench.run(executor)
    assert "an image of its own is to have them" in executor.task_stderr.getvalue()


def test_nothing_of_the_users_runs_on_the_server(index: Index) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os._exit, (1,)

    deps = [DepsPip(["toolbox"]), DepsBash(["true"])]
    deps[0].apply_args = TransportableObject([[Trap()], ""])
    call = functools.partial(wrapper_fn, TransportableObject(there), [one.apply() for one in deps], [])
    assert wanted.wanted(call, "") == wanted.Wanted()
    assert index.requests == []


def packages_of(bench: TaskBench, **options: Any) -> requested.Packages:
    """Has packages made, without a job; as a process does that has just started."""
    requested._ready.clear()
    executor = bench.executor(runtime="bucket", **options)
    settings = executor._settings()

    async def made() -> requested.Packages:
        requested.begin(settings, client(settings), None)
        return await requested.packages(settings, client(settings), sys.stderr)

    return asyncio.run(made())
