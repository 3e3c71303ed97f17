"""Tasks in an image of their own environment: made once in the repository, and run from its layers."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import six
from support.images import Image, Registry, digest_of
from support.package_index import Index, wheel
from support.task_bench import TaskBench

from covalent_awsbatch_plugin.agreement.naming import PACKAGES
from covalent_awsbatch_plugin.environment import bake, prepare, requested
from covalent_awsbatch_plugin.errors import JobFailedError, ServiceError, SettingsError
from covalent_awsbatch_plugin.task.connection import client

NAME = "covalent-jobs"


def where() -> dict[str, Any]:
    """What a function finds in its job."""
    import covalent
    import dask

    return {
        "prefix": sys.prefix,
        "covalent": covalent.__file__,
        "dask": dask.__file__,
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
    prepare._failed.clear()


@pytest.fixture
def registry() -> Iterator[Registry]:
    registry = Registry()
    with registry.server:
        yield registry


@pytest.fixture
def ecr(bench: TaskBench) -> Iterator[Any]:
    ecr = bench.aws.client("ecr")
    ecr.create_repository(repositoryName=NAME, imageTagMutability="IMMUTABLE")
    yield ecr
    ecr.delete_repository(repositoryName=NAME, force=True)


def asked(bench: TaskBench) -> list[str]:
    """The operations of ECR that the executor asked for."""
    targets = [one.headers.get("x-amz-target", "") for one in bench.requests]
    return [target.partition(".")[2] for target in targets if "EC2ContainerRegistry" in target]


def run(bench: TaskBench, base: str, function: Any = where, **options: Any) -> Any:
    both = {"container_image_uri": base, "runtime": "ecr", "ecr_repo_name": NAME, "memory": 2, "time_limit": 300}
    executor = bench.executor(**{**both, **options})
    task = bench.task()
    found = asyncio.run(executor.run(function, [], {}, task)).get_deserialized()
    return found, executor, bench.job(task)


def test_a_task_runs_in_an_image_of_all_packages_that_is_made_once(
    bench: TaskBench, registry: Registry, ecr: Any
) -> None:
    base = registry.add("python:3", Image())
    found, executor, job = run(bench, base)
    assert found["prefix"].endswith("/opt/job")
    for package in ("covalent", "dask"):
        assert found[package].startswith(found["prefix"])
    assert not [place for place in found["path"] if place.startswith(sys.prefix)], "nothing of the server's own"
    assert "until the environment was packed and in an image" in executor.task_stderr.getvalue()
    [image] = ecr.describe_images(repositoryName=NAME)["imageDetails"]
    assert job["container"]["image"].endswith(f"/{NAME}@{image['imageDigest']}")
    assert not [one for one in job["container"]["environment"] if one["name"] == "COVALENT_AWSBATCH_ENVIRONMENT"]
    assert not [one for one in bench.requests if "/environments/" in one.path], "nothing goes to the bucket"
    assert asked(bench)[:2] == ["DescribeImages", "BatchCheckLayerAvailability"]
    bench.requests.clear()
    registry.server.requests.clear()
    _, executor, _ = run(bench, base)
    assert asked(bench) == [], "this process knows"
    assert executor.task_stderr.getvalue() == ""
    prepare._ready.clear()
    run(bench, base)
    assert asked(bench) == ["DescribeImages"], "another process finds it"
    assert registry.server.requests == []


def tool() -> dict[str, Any]:
    """What a function finds of its packages in its job."""
    import toolbox

    return {"file": toolbox.__file__, "prefix": sys.prefix, "size": toolbox.SIZE}


def sizes() -> dict[str, Any]:
    """The same, and which versions of a package there are."""
    import toolbox

    own = [place for place in sys.path if place.startswith(sys.prefix)]  # the base may have it, too
    versions = [one.version for one in importlib.metadata.distributions(name="six", path=own)]
    return {"file": toolbox.__file__, "prefix": sys.prefix, "size": toolbox.SIZE, "versions": versions}


def test_packages_of_a_function_are_layers_of_its_image(
    bench: TaskBench, registry: Registry, ecr: Any, index: Index
) -> None:
    base = registry.add("python:3", Image())
    found, _, job = run(bench, base, tool, packages=["toolbox"])
    assert found["file"].startswith(found["prefix"])
    assert found["size"] == 5
    assert not [one for one in job["container"]["environment"] if one["name"] == PACKAGES]
    assert len(ecr.describe_images(repositoryName=NAME)["imageDetails"]) == 2, "without them, and with them"
    index.add("nails", "1.7", wheel("nails", "1.7", {"nails.py": "SIZE = 7\n"}))
    bench.requests.clear()
    again, _, _ = run(bench, base, tool, packages=["toolbox"])
    assert again["size"] == 5, "as it was found first"
    assert asked(bench) == [], "this process knows"


def test_a_package_of_the_runner_is_hidden_by_another_version(
    bench: TaskBench, registry: Registry, ecr: Any, index: Index
) -> None:
    base = registry.add("python:3", Image())
    other = f"{Path(six.__file__).read_text(encoding='utf-8')}\nSIZE = 1\n"
    index.add("six", "1.99", wheel("six", "1.99", {"six.py": other}))
    index.add("toolbox", "3.0", wheel("toolbox", "3.0", {"toolbox.py": "from six import SIZE\n"}, ["six==1.99"]))
    found, _, job = run(bench, base, sizes, packages=["toolbox>2"])
    assert (found["size"], found["file"].startswith(found["prefix"])) == (1, True)
    assert found["versions"] == ["1.99"], "the other one is not even listed"
    assert not [one for one in job["container"]["environment"] if one["name"] == PACKAGES]
    assert len(ecr.describe_images(repositoryName=NAME)["imageDetails"]) == 2


def test_many_tasks_at_once_wait_for_one_image(bench: TaskBench, registry: Registry, ecr: Any) -> None:
    base = registry.add("python:3", Image())
    executor = bench.executor(container_image_uri=base, runtime="ecr", ecr_repo_name=NAME)
    settings = executor._settings()

    async def all_of_them() -> set[str]:
        waiting = (prepare.environment(settings, client(settings), executor.task_stderr) for _ in range(100))
        return {found.image for found in await asyncio.gather(*waiting) if found}

    [image] = asyncio.run(all_of_them())
    assert asked(bench).count("DescribeImages") == asked(bench).count("PutImage") == 1
    assert [one["imageDigest"] for one in ecr.describe_images(repositoryName=NAME)["imageDetails"]] == [
        image.partition("@")[2]
    ]


def test_an_image_that_was_deleted_is_made_again_for_the_next_task(
    bench: TaskBench, registry: Registry, ecr: Any
) -> None:
    base = registry.add("python:3", Image())
    _, executor, _ = run(bench, base)
    settings = executor._settings()

    async def prune() -> list[bake.BakedImage]:
        images = await bake.list_images(settings, client(settings))
        await bake.prune_images(settings, client(settings), images)
        return images

    [image] = asyncio.run(prune())
    assert image.tag.startswith("cab-")
    assert len(image.tag) == 44
    assert (image.python, image.base) == (
        "{}.{}".format(*sys.version_info),
        f"{base.removesuffix(':3')}@{digest_of(Image().manifest)}",
    )
    assert image.packages
    assert image.packages > 50
    with pytest.raises(JobFailedError, match=r"holds no image sha256:.*; if it was deleted, the next task makes it"):
        run(bench, base)
    assert run(bench, base)[2]["container"]["image"].endswith(image.digest), "the same bytes"
    assert len(ecr.describe_images(repositoryName=NAME)["imageDetails"]) == 1


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (Image(config={}), "does not say which Python it has: set PYTHON_VERSION"),
        (Image(config={"Env": ["PYTHON_VERSION=3.99.1"]}), "has Python 3.99.1, and this server"),
        (
            Image(more={"history": [{"created_by": "ADD alpine-minirootfs-3.20.3-x86_64.tar.gz / # buildkit"}]}),
            "Alpine",
        ),
        (Image(architecture="arm64"), "is made for linux/arm64"),
    ],
)
@pytest.mark.usefixtures("ecr")
def test_a_base_that_cannot_be_used_is_told_before_there_is_a_job(
    bench: TaskBench, registry: Registry, image: Image, why: str
) -> None:
    base = registry.add("python:3", image)
    with pytest.raises(SettingsError, match="no image can be made") as raised:
        run(bench, base)
    assert why in raised.value.message
    assert not any("submitjob" in one.path for one in bench.requests)
    bench.requests.clear()
    registry.server.requests.clear()
    with pytest.raises(SettingsError, match="no image can be made"):
        run(bench, base)
    assert asked(bench) == registry.server.requests == [], "the next task does not wait for the same"


def test_without_a_repository_the_task_says_so_or_takes_the_bucket(bench: TaskBench, registry: Registry) -> None:
    with pytest.raises(ServiceError, match="set `ecr_repo_name` to one that is in this account"):
        run(bench, registry.add("python:3", Image()))
    found, executor, job = run(bench, "", runtime="auto")
    assert found["version"] == importlib.metadata.version("covalent")
    printed = executor.task_stderr.getvalue()
    assert printed.count("No image was made in the ECR repository covalent-jobs: ") == 1
    assert "Jobs get their packages from the bucket instead." in printed
    assert job["container"]["image"].startswith("public.ecr.aws/docker/library/python:")
    bench.requests.clear()
    _, executor, _ = run(bench, "", runtime="auto")
    assert executor.task_stderr.getvalue() == "", "once"
    assert asked(bench) == []


@pytest.mark.usefixtures("small_packages", "ecr")
def test_a_file_that_was_damaged_on_this_machine_is_made_anew(bench: TaskBench, registry: Registry) -> None:
    """As the power leaves it that fails while it is written."""
    base = registry.add("python:3", Image())
    executor = bench.executor(container_image_uri=base, runtime="ecr", ecr_repo_name=NAME)
    settings = executor._settings()

    def made() -> Any:
        prepare._ready.clear()
        return asyncio.run(prepare.environment(settings, client(settings), executor.task_stderr))

    first = made()
    bench.aws.client("ecr").batch_delete_image(
        repositoryName=NAME, imageIds=[{"imageDigest": first.image.partition("@")[2]}]
    )
    file = first.objects[0].file
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    assert made() == first
    assert file.read_bytes() == whole


@pytest.mark.parametrize("is_gone", [True, False])
@pytest.mark.usefixtures("index")
def test_so_is_one_of_a_functions_packages(bench: TaskBench, registry: Registry, ecr: Any, is_gone: bool) -> None:
    base = registry.add("python:3", Image())
    run(bench, base, tool, packages=["toolbox"])
    for image in ecr.describe_images(repositoryName=NAME)["imageDetails"]:
        ecr.batch_delete_image(repositoryName=NAME, imageIds=[{"imageDigest": image["imageDigest"]}])
    [(_, made)] = requested._ready.values()
    file = made.objects[0].file
    whole = file.read_bytes()
    if is_gone:
        file.unlink()
    else:
        file.write_bytes(whole[:100])
    prepare._ready.clear()
    assert run(bench, base, tool, packages=["toolbox"])[0]["size"] == 5
    assert file.read_bytes() == whole


def installing() -> tuple[str, str, str]:
    """Installs another version of a package that the environment has, and imports it."""
    import subprocess

    subprocess.run(["pip", "install", "--no-index", os.environ["WHEEL"]], check=True)
    import toml

    return toml.__file__, importlib.metadata.version("toml"), sys.prefix


def test_what_a_task_installs_wins(bench: TaskBench, registry: Registry, ecr: Any, tmp_path: Path) -> None:
    assert ecr
    wheel = tmp_path / "toml-99.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("toml/__init__.py", "")
        archive.writestr("toml-99.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toml\nVersion: 99.0\n")
        archive.writestr("toml-99.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("toml-99.0.dist-info/RECORD", "")
    base = registry.add("python:3", Image())
    file, version, prefix = run(bench, base, installing, environment={"WHEEL": str(wheel)})[0]
    assert file.startswith(prefix)
    assert version == "99.0"
