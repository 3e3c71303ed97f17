"""Packages that a job fetches when something asks for them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

import cloudpickle
import pytest
from support.task_bench import BUCKET, TaskBench

from covalent_awsbatch_plugin.environment import prepare
from covalent_awsbatch_plugin.errors import JobFailedError
from covalent_awsbatch_plugin.task.connection import client


@pytest.fixture(autouse=True)
def _by_value() -> Iterator[None]:
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


def run(bench: TaskBench, function: Any) -> Any:
    executor = bench.executor(container_image_uri="", memory=2, time_limit=300)
    return asyncio.run(executor.run(function, [], {}, bench.task())).get_deserialized()


def folder() -> Any:
    """Where the packages belong, in the job."""
    from pathlib import Path

    place = next(one for one in sys.path if one.endswith("more-packages-2"))
    return Path(place)


def fetched() -> bool:
    return bool(folder().exists())


def by_threads_and_processes() -> list[Any]:
    """All import at once what nobody has imported."""
    import subprocess
    from concurrent.futures import ThreadPoolExecutor

    program = [sys.executable, "-c", "import networkx; print(networkx.__file__)"]
    before = fetched()
    children = [subprocess.Popen(program, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    with ThreadPoolExecutor(4) as threads:
        files = list(threads.map(lambda name: __import__(name).__file__, ["networkx", "boto3", "networkx", "tornado"]))
    files += [child.communicate()[0].strip() for child in children]
    return [before, [file.startswith(str(folder())) for file in files], [one.name for one in folder().parent.iterdir()]]


def the_list_of_packages() -> list[Any]:
    from importlib import metadata

    before = fetched()
    found = metadata.version("Python-SocketIO")
    places = [str(one.locate_file("")) for one in metadata.distributions() if one.metadata["Name"] == "networkx"]
    return [before, found, places[0] == str(folder()), fetched()]


def an_optional_package() -> list[Any]:
    try:
        import not_installed_anywhere  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        return [str(error), fetched()]
    return []


def with_rich() -> bool:
    import rich.console

    return bool(rich.console) and fetched()


def a_part_of_this_package() -> list[Any]:
    """Beside what the runner has of it."""
    import subprocess
    from pathlib import Path

    import covalent_awsbatch_plugin
    from covalent_awsbatch_plugin.options.settings import Settings

    own = Path(covalent_awsbatch_plugin.__path__[0])
    program = [sys.executable, "-c", "import covalent_awsbatch_plugin.options as one; print(one.__file__)"]
    child = subprocess.run(program, capture_output=True, text=True, check=True).stdout.strip()
    return [
        (own / "options").exists(),
        Settings.__module__,
        sys.modules["covalent_awsbatch_plugin.options"].__file__,
        child,
        fetched(),
    ]


def a_former_pydantic() -> list[Any]:
    """Of pydantic as it is there, and of another version in its place."""
    import subprocess
    from pathlib import Path

    import pydantic

    folder = Path("other") / "pydantic"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    program = "import sys; sys.path.insert(0, 'other'); from pydantic import v1"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stderr
    from pydantic.v1 import fields

    return [other, fields.__file__, Path(pydantic.__file__).parents[1].name]


def an_executor_of_its_own() -> str:
    """As a sublattice may name one that is built in a job."""
    import covalent as ct

    return repr(ct.executor.AWSBatchExecutor(vcpu=1))


def without_credentials() -> None:
    import os

    os.environ["AWS_ACCESS_KEY_ID"] = ""
    import boto3  # noqa: F401


def test_a_function_that_needs_none_fetches_none(bench: TaskBench) -> None:
    assert run(bench, fetched) is False


def test_threads_and_processes_share_what_the_first_one_fetches(bench: TaskBench) -> None:
    before, found, beside = run(bench, by_threads_and_processes)
    assert before is False
    assert found == [True] * 6
    folders = {"site-packages", *(f"more-packages-{number}" for number in (1, 2, 3))}
    assert {name.removesuffix(".lock") for name in beside} <= folders


def test_what_is_small_is_fetched_without_the_rest(bench: TaskBench) -> None:
    assert run(bench, with_rich) is False


def test_a_part_of_a_package_is_fetched_without_the_rest(bench: TaskBench) -> None:
    is_beside, module, file, child, others = run(bench, a_part_of_this_package)
    assert (is_beside, others) == (False, False)
    assert module == "covalent_awsbatch_plugin.options.settings"
    assert "more-packages-3/covalent_awsbatch_plugin/options" in file
    assert child == file


def test_a_part_belongs_to_one_version_of_its_package(bench: TaskBench) -> None:
    other, file, place = run(bench, a_former_pydantic)
    assert "ImportError: cannot import name 'v1'" in other
    assert "more-packages-1/pydantic/v1/fields.py" in file
    assert place == "site-packages"


def test_an_executor_can_be_made_in_a_job(bench: TaskBench) -> None:
    assert run(bench, an_executor_of_its_own) == "AWSBatchExecutor(vcpu=1)"


def test_whoever_asks_which_packages_there_are_gets_all(bench: TaskBench) -> None:
    from importlib import metadata

    before, version, is_first, after = run(bench, the_list_of_packages)
    assert (before, version, is_first, after) == (False, metadata.version("python-socketio"), True, True)


def test_a_part_is_not_fetched_by_who_asks_which_packages_there_are(bench: TaskBench) -> None:
    def beside() -> list[str]:
        from importlib import metadata

        list(metadata.distributions())
        return [one.name for one in folder().parent.iterdir()]

    assert "more-packages-3" not in run(bench, beside)


def test_a_package_that_is_nowhere_is_not_looked_for_in_the_bucket(bench: TaskBench) -> None:
    assert run(bench, an_optional_package) == ["No module named 'not_installed_anywhere'", False]


def test_an_import_that_cannot_fetch_says_why(bench: TaskBench) -> None:
    with pytest.raises(JobFailedError, match="Has the job a job role"):
        run(bench, without_credentials)


def test_packages_that_were_tampered_with_are_not_unpacked(bench: TaskBench) -> None:
    run(bench, fetched)
    settings = bench.executor(container_image_uri="")._settings()
    found = asyncio.run(prepare.environment(settings, client(settings), sys.stderr))
    assert found is not None
    _, more, _ = [one for one in found.objects if one.on_demand]
    bench.s3.put_object(Bucket=BUCKET, Key=more.key, Body=b"something else")
    try:
        with pytest.raises(JobFailedError, match="not what was uploaded"):
            run(bench, the_list_of_packages)
    finally:
        bench.s3.delete_object(Bucket=BUCKET, Key=more.key)
        prepare._ready.clear()
