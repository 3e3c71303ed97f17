"""Two servers with the same packages and caches of their own, that make a job's environment at the same moment."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support.images import Image, Registry
from support.servers import Answer, Request
from support.task_bench import BUCKET, SECRET, TaskBench

from covalent_awsbatch_plugin.agreement.naming import ENVIRONMENT, PACKAGES

NAME = "covalent-jobs"
CHECK = "BatchCheckLayerAvailability"
TASK = """
import asyncio, io, json, sys
from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor

def function():
    import covalent, toolbox
    return toolbox.SIZE

described, dispatch = json.loads(sys.argv[1]), sys.argv[2]
executor = AWSBatchExecutor().from_dict(described)
executor._task_stdout, executor._task_stderr = io.StringIO(), io.StringIO()
result = asyncio.run(executor.run(function, [], {}, {"dispatch_id": dispatch, "node_id": 7}))
print(result.get_deserialized(), executor.task_stderr.getvalue())
"""


class Server:
    """A process that runs one task, as a machine of its own.

    Args:
        bench: What it talks to.
        name: Its access key, by which its requests are told from those of others.
        home: Where its cache is.
    """

    def __init__(self, bench: TaskBench, name: str, home: Path, **options: Any) -> None:
        self._bench, self.name = bench, name
        credentials = home / name
        credentials.write_text(f"[default]\naws_access_key_id = {name}\naws_secret_access_key = {SECRET}\n")
        both = {"container_image_uri": "", "memory": 2, "time_limit": 300, "packages": ["toolbox"], **options}
        executor = bench.executor(**both, credentials=str(credentials))
        self.task = bench.task()
        program = [sys.executable, "-c", TASK, json.dumps(executor.to_dict()), self.task["dispatch_id"]]
        environment = {**os.environ, "XDG_CACHE_HOME": str(home / f"cache-{name}")}
        self.process = subprocess.Popen(
            program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def ended(self) -> None:
        """Waits until its task has succeeded, with nothing to say of the packages but that it waited."""
        printed, error = self.process.communicate(timeout=500)
        assert self.process.returncode == 0, error
        size, _, said = printed.partition(" ")
        assert size == "5", printed
        assert "not packed" not in said
        assert "No image was made" not in said

    def kill(self) -> None:
        """Ends it at once."""
        self.process.kill()
        assert self.process.wait(30) == -signal.SIGKILL
        self.process.communicate()

    @property
    def container(self) -> dict[str, Any]:
        """What its job's definition says of the container."""
        job = self._bench.job(self.task)
        assert job is not None
        found = self._bench.batch.describe_job_definitions(jobDefinitions=[job["jobDefinition"]])
        container: dict[str, Any] = found["jobDefinitions"][0]["containerProperties"]
        return container

    def asked(self, named: Callable[[Request], str]) -> set[str]:
        """What it asked for, of that which has a name."""
        return {named(one) for one in self._bench.requests if one.access_key == self.name} - {""}


class Together:
    """Has requests wait until the other server asks for the same.

    Args:
        named: Says what a request is for; empty for one that need not wait.
    """

    def __init__(self, named: Callable[[Request], str]) -> None:
        self._named = named
        self._asking: dict[str, set[str]] = defaultdict(set)
        self._changed = threading.Condition()

    def __call__(self, request: Request) -> Answer | None:
        if name := self._named(request):
            with self._changed:
                self._asking[name].add(request.access_key)
                self._changed.notify_all()
                assert self._changed.wait_for(lambda: len(self._asking[name]) > 1, timeout=240), name
        return None


class Hold:
    """Keeps a server's first request of a kind from its end; later ones are answered.

    Args:
        name: Access key of the server.
        named: Says of which kind a request is; empty for others.
    """

    def __init__(self, name: str, named: Callable[[Request], str]) -> None:
        self._name, self._named = name, named
        self.holding, self.ended = threading.Event(), threading.Event()

    def __call__(self, request: Request) -> Answer | None:
        if request.access_key != self._name or not self._named(request):
            return None
        self.holding.set()
        assert self.ended.wait(240)
        return Answer(status=503)


def written(request: Request) -> str:
    """The key of an environment's object that a request begins to write."""
    url = urlsplit(request.path)
    begins = request.method == "PUT" and "uploadId" not in parse_qs(url.query)
    begins |= request.method == "POST" and url.query.startswith("uploads")
    found = re.search("/(environments/sha256-.*)", url.path)
    return found[1] if begins and found else ""


def part(request: Request) -> str:
    """The key of a large object whose second part a request has."""
    url = urlsplit(request.path)
    found = re.search("/(environments/sha256-.*)", url.path)
    return found[1] if found and parse_qs(url.query).get("partNumber") == ["2"] else ""


def operation(*meant: str) -> Callable[[Request], str]:
    """Says which of these operations of ECR a request is, and of what; not when one layer is looked for again."""

    def named(request: Request) -> str:
        name = request.headers.get("x-amz-target", "").rpartition(".")[2]
        if name not in meant:
            return ""
        body = json.loads(request.body)
        digests = body.get("layerDigests") or []
        return "" if name == CHECK and len(digests) == 1 else f"{name} {body.get('imageTag') or digests}"

    return named


@pytest.fixture
def bucket(bench: TaskBench) -> Iterator[None]:
    """Nothing of environments is in it."""

    def empty() -> None:
        for one in bench.s3.list_objects_v2(Bucket=BUCKET, Prefix="environments/").get("Contents", []):
            bench.s3.delete_object(Bucket=BUCKET, Key=one["Key"])

    empty()
    yield
    empty()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers have their caches; the first test fills them."""
    return tmp_path_factory.mktemp("servers")


def assert_whole(bench: TaskBench) -> set[str]:
    """What stands in the bucket is what its names say."""
    keys = set()
    for one in bench.s3.list_objects_v2(Bucket=BUCKET, Prefix="environments/sha256-")["Contents"]:
        content = bench.s3.get_object(Bucket=BUCKET, Key=one["Key"])["Body"].read()
        assert hashlib.sha256(content).hexdigest() in one["Key"]
        keys.add(one["Key"])
    return keys


@pytest.mark.timeout(600)  # two processes pack all that the runner needs
@pytest.mark.usefixtures("bucket", "index")
def test_both_upload_the_same_at_once_and_both_jobs_run(bench: TaskBench, home: Path) -> None:
    bench.instead = Together(written)
    first, second = (Server(bench, name, home) for name in ("AKIAONE", "AKIATWO"))
    first.ended()
    second.ended()
    assert first.asked(written) == second.asked(written) == assert_whole(bench)
    for variable in (ENVIRONMENT, PACKAGES):
        named = [[one for one in each.container["environment"] if one["name"] == variable] for each in (first, second)]
        assert named[0] == named[1] != []


@pytest.mark.usefixtures("bucket", "index")
def test_what_one_has_half_uploaded_when_it_is_killed_the_other_completes(bench: TaskBench, home: Path) -> None:
    hold = bench.instead = Hold("AKIAONE", part)
    first = Server(bench, "AKIAONE", home)
    assert hold.holding.wait(240)
    [key] = first.asked(part)
    first.kill()
    hold.ended.set()
    assert key not in assert_whole(bench), "what is not complete is not there"
    second = Server(bench, "AKIATWO", home)
    second.ended()
    assert key in assert_whole(bench)
    for one in bench.s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]:  # as a bucket's lifecycle rule does
        bench.s3.abort_multipart_upload(Bucket=BUCKET, Key=one["Key"], UploadId=one["UploadId"])


@pytest.fixture
def ecr(bench: TaskBench) -> Iterator[Any]:
    ecr = bench.aws.client("ecr")
    ecr.create_repository(repositoryName=NAME, imageTagMutability="IMMUTABLE")
    yield ecr
    ecr.delete_repository(repositoryName=NAME, force=True)


@pytest.fixture
def in_ecr() -> Iterator[dict[str, str]]:
    """Options of an image that is made in the repository."""
    registry = Registry()
    with registry.server:
        base = registry.add("python:3", Image())
        yield {"container_image_uri": base, "runtime": "ecr", "ecr_repo_name": NAME}


@pytest.mark.usefixtures("index")
def test_both_make_the_same_image_at_once_and_both_jobs_run(
    bench: TaskBench, home: Path, ecr: Any, in_ecr: dict[str, str]
) -> None:
    bench.instead = Together(operation(CHECK, "PutImage"))
    first, second = (Server(bench, name, home, **in_ecr) for name in ("AKIAONE", "AKIATWO"))
    first.ended()
    second.ended()
    sent = operation("CompleteLayerUpload")
    assert first.asked(sent) == second.asked(sent) != set()
    assert first.container["image"] == second.container["image"]
    images = ecr.describe_images(repositoryName=NAME)["imageDetails"]
    assert len(images) == 2, "without the function's packages, and with them"


@pytest.mark.usefixtures("index")
def test_the_image_that_one_has_half_pushed_when_it_is_killed_the_other_makes(
    bench: TaskBench, home: Path, ecr: Any, in_ecr: dict[str, str]
) -> None:
    hold = bench.instead = Hold("AKIAONE", operation("CompleteLayerUpload"))
    first = Server(bench, "AKIAONE", home, **in_ecr)
    assert hold.holding.wait(240)
    first.kill()
    hold.ended.set()
    assert ecr.describe_images(repositoryName=NAME)["imageDetails"] == []
    second = Server(bench, "AKIATWO", home, **in_ecr)
    second.ended()
    images = {image["imageDigest"] for image in ecr.describe_images(repositoryName=NAME)["imageDetails"]}
    assert second.container["image"].partition("@")[2] in images
