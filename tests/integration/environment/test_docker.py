"""A baked image in a real container: pulled and run by Docker, where there is an engine."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.images import Image, Registry
from support.task_bench import TaskBench

from covalent_awsbatch_plugin import _core
from covalent_awsbatch_plugin.environment import bake, prepare
from covalent_awsbatch_plugin.task.connection import client

NAME = "covalent-jobs"
LABEL = "covalent-awsbatch-test"
PYTHON = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
MINOR = "{}.{}".format(*sys.version_info)
COMMON = ("librt.so.1", "libdl.so.2", "libpthread.so.0", "libutil.so.1", "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6")
FOUND = """
import json, os, sys, covalent, dask, covalent_awsbatch_plugin.runner
from covalent_awsbatch_plugin import _core
found = {"prefix": sys.prefix, "uid": os.getuid(), "version": _core.__version__, "path": os.environ["PATH"]}
os.remove(dask.__file__)  # as pip does when it installs another version
open(dask.__file__, "w").close()
print(json.dumps({**found, "files": [covalent.__file__, dask.__file__]}))
"""


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def engine() -> Iterator[None]:
    """What runs containers. It is left as it was."""
    if not shutil.which("docker") or docker("info").returncode:
        pytest.skip("no Docker engine answers")
    if sys.platform != "linux":
        pytest.skip("the base is made of this machine's Python")
    yield
    for kind, remove in (("ps", "rm"), ("images", "rmi")):
        ids = docker(kind, "--all", "--quiet", "--filter", f"label={LABEL}").stdout.split()
        if ids:
            docker(remove, "--force", *ids)


def libraries(*programs: Path) -> set[str]:
    """The shared libraries that programs and modules need."""
    printed = subprocess.run(["ldd", *programs], capture_output=True, text=True).stdout
    return set(re.findall(r"(?:=> |^\s)(/\S+) \(0x", printed, re.MULTILINE))


def base() -> Image:
    """This machine's Python and a shell, and what they need; no more than a small base has."""
    library = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix, "base": sys.base_prefix}))
    modules = [path for path in library.rglob("*") if path.is_file()]
    left_out = {"test", "site-packages", "__pycache__", "idlelib", "lib2to3", f"config-{MINOR}-x86_64-linux-gnu"}
    kept = [path for path in modules if not left_out & set(path.relative_to(library).parts) and path.suffix != ".a"]
    extensions = [path for path in kept if path.suffix == ".so"]
    shell = Path("/bin/sh")
    needed = libraries(PYTHON, shell, Path(_core.__file__), *extensions)
    needed |= libraries(*map(Path, needed))
    [libc] = (Path(name).parent for name in needed if Path(name).name.startswith("libc.so"))
    # What every glibc and compiler brings along, and wheels may need.
    needed |= {str(libc / name) for name in COMMON if (libc / name).exists()}
    files = {str(path): path.read_bytes() for path in [*kept, PYTHON, shell, *map(Path, needed)]}
    files["etc/passwd"] = b"root:x:0:0::/:/bin/sh\nworker:x:1234:1234::/:/bin/sh\n"
    config = {
        "User": "worker",
        "Env": ["PATH=/usr/local/bin:/bin", f"PYTHON_VERSION={MINOR}.0"],
        "Labels": {LABEL: "1", "xyz.covalent.awsbatch.python": str(PYTHON)},
    }
    return Image(config, {name.lstrip("/"): content for name, content in files.items()})


@pytest.mark.usefixtures("engine")
def test_docker_pulls_it_and_its_user_may_replace_packages(bench: TaskBench) -> None:
    ecr = bench.aws.client("ecr")
    ecr.create_repository(repositoryName=NAME)
    registry = Registry()
    with registry.server:
        address = registry.add("python:3", base())
        options = {"container_image_uri": address, "runtime": "ecr", "ecr_repo_name": NAME}
        executor = bench.executor(**options)
        settings = executor._settings()

        async def made() -> str:
            environment = await prepare.environment(settings, client(settings), executor.task_stderr)
            assert environment is not None
            return await bake.bake(settings, client(settings), environment)

        digest = asyncio.run(made()).partition("@")[2]
        pulled = copy(registry, ecr, digest)
        answer = docker("pull", "--quiet", pulled)
        assert answer.returncode == 0, answer.stderr
        tagged = f"{LABEL}:{uuid.uuid4().hex}"
        docker("tag", pulled, tagged)
    found = in_container(tagged, "--entrypoint", "/opt/job/bin/python", arguments=("-c", FOUND))
    assert found.returncode == 0, found.stderr
    said: dict[str, Any] = json.loads(found.stdout)
    assert (said["prefix"], said["uid"], said["version"]) == ("/opt/job", 1234, _core.__version__)
    assert all(file.startswith("/opt/job/lib/") for file in said["files"])
    assert said["path"] == "/opt/job/bin:/usr/local/bin:/bin"
    runner = in_container(tagged)
    assert runner.returncode != 0
    assert "S3_BUCKET_NAME" in runner.stdout + runner.stderr, "the image's own program is the runner"


def copy(registry: Registry, ecr: Any, digest: str) -> str:
    """Has the registry serve an image of ECR, from where Docker cannot pull it here."""
    [image] = ecr.batch_get_image(repositoryName=NAME, imageIds=[{"imageDigest": digest}])["images"]
    manifest = json.loads(image["imageManifest"])
    for part in [*manifest["layers"], manifest["config"]]:
        found = ecr.get_download_url_for_layer(repositoryName=NAME, layerDigest=part["digest"])
        with urllib.request.urlopen(found["downloadUrl"], timeout=60) as content:
            registry.keep(part["digest"], content.read())
    registry.keep(digest, image["imageManifest"].encode())
    return f"127.0.0.1:{registry.server.port}/library/{NAME}@{digest}"


def in_container(image: str, *options: str, arguments: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    own = ("--rm", "--network", "none", "--label", f"{LABEL}=1", "--tmpfs", "/tmp", "--env", "HOME=/tmp")
    return docker("run", *own, *options, image, *arguments)
