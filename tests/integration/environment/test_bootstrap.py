"""What a job runs first in a plain image: real S3 requests, a real virtual environment, and what goes wrong."""

from __future__ import annotations

import ast
import gzip
import hashlib
import json
import random
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from support.bench import BUCKET, Bench
from support.images import tar
from support.servers import Answer, HttpServer, Request

from covalent_awsbatch_plugin import _core
from covalent_awsbatch_plugin.agreement.naming import (
    BUCKET_OWNER,
    ENVIRONMENT,
    ENVIRONMENT_DIRECTORY,
    ENVIRONMENT_PYTHON,
)
from covalent_awsbatch_plugin.environment import bootstrap
from covalent_awsbatch_plugin.environment.pack import PREFIX
from covalent_awsbatch_plugin.environment.program import LARGEST, program

MINOR = "{}.{}".format(*sys.version_info)
SITE = f"{PREFIX}/lib/python{MINOR}/site-packages"
NEXT = """
import json, sys
from covalent_awsbatch_plugin import VERSION, _core
if __name__ == "__main__":
    print(json.dumps({"version": VERSION, "core": _core.__file__, "arguments": sys.argv[1:]}))
"""
CONTENT = {
    f"{SITE}/covalent_awsbatch_plugin/__init__.py": b"VERSION = 7\n",
    f"{SITE}/covalent_awsbatch_plugin/environment/__init__.py": b"",
    f"{SITE}/covalent_awsbatch_plugin/environment/unpack.py": NEXT.encode(),
}
CORE = Path(_core.__file__).read_bytes()
CORE_KEY = f"environments/sha256-{hashlib.sha256(CORE).hexdigest()}.so"


def packed(content: dict[str, bytes]) -> tuple[str, bytes]:
    """Key and content of an object with these files."""
    data = gzip.compress(tar(content), mtime=0)
    return f"environments/sha256-{hashlib.sha256(data).hexdigest()}.tar.gz", data


KEY, DATA = packed(CONTENT)
KEYS = f"{CORE_KEY} {KEY}"


def served(request: Request) -> Answer:
    """One of the two objects that a job needs."""
    return Answer(CORE if CORE_KEY in request.path else DATA)


class Job:
    """The program in a process of its own."""

    def __init__(self, bench: Bench, directory: Path) -> None:
        self.s3 = bench.s3
        self.directory = directory
        directory.mkdir()
        self.variables = {**bench.environment, ENVIRONMENT_PYTHON: MINOR, ENVIRONMENT_DIRECTORY: str(directory)}
        self.variables[ENVIRONMENT] = KEYS

    def put(self, *contents: dict[str, bytes]) -> None:
        """Puts objects into the bucket, and the core, and names them to the job."""
        objects = [(CORE_KEY, CORE), *(packed(content) for content in contents)]
        for key, data in objects:
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=data)
        self.variables[ENVIRONMENT] = " ".join(key for key, _ in objects)

    def run(
        self, python: str = sys.executable, *, in_pod: bool = False, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs it to its end."""
        command = [python, "-c", program(in_pod=in_pod)]
        return subprocess.run(command, env={**self.variables, **variables}, capture_output=True, text=True, timeout=120)


@pytest.fixture
def job(runner_bench: Bench, tmp_path: Path) -> Job:
    return Job(runner_bench, tmp_path / "place")


def said(job: Job, *, in_pod: bool = False, **variables: str) -> str:
    """What it says when it fails; nothing of the user's ran before."""
    ended = job.run(in_pod=in_pod, **variables)
    assert ended.returncode == 1, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr.startswith("This job's environment cannot be used: ")
    return ended.stderr


def test_it_is_small_and_fit_for_old_pythons() -> None:
    assert len(program()) <= LARGEST
    for text in (program(), program(in_pod=True)):
        compile(text, "bootstrap", "exec", dont_inherit=True)


def test_no_f_string_has_a_text_in_it() -> None:
    """From Python 3.12 on they are written with the quotes of the f-string, which an older one cannot read.

    That one has to say that it is too old.
    """
    source = Path(bootstrap.__file__).read_text(encoding="utf-8")
    assert "{{" not in source, "from Python 3.12 on tokenize gives one of the two braces"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FormattedValue):
            texts = [one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant)]
            assert not any(isinstance(text, str) for text in texts), texts


def test_the_core_unpacks_what_runs_next(job: Job) -> None:
    more = f"{SITE}/covalent_awsbatch_plugin/more.py"
    job.put(CONTENT, {more: b"", f"{PREFIX}/bin/covalent-awsbatch": b"#!/bin/sh\n"})
    ended = job.run()
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    found: dict[str, Any] = json.loads(ended.stdout)
    [root] = job.directory.iterdir()
    core = root / SITE / "covalent_awsbatch_plugin" / "_core.abi3.so"
    assert found == {"version": 7, "core": str(core), "arguments": []}
    assert (root / more).exists()


def test_a_core_that_this_image_cannot_load_is_told_by_a_sentence(job: Job) -> None:
    """It is for another processor."""
    broken = CORE[:18] + b"\xf3" + CORE[19:]  # RISC-V: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
    key = f"environments/sha256-{hashlib.sha256(broken).hexdigest()}.so"
    with HttpServer(lambda request: Answer(broken if key in request.path else DATA)) as server:
        message = said(job, AWS_ENDPOINT_URL=server.url, **{ENVIRONMENT: f"{key} {KEY}"})
    assert "_core.abi3.so" in message


@pytest.mark.parametrize("which", [CORE_KEY, KEY])
def test_an_object_that_was_tampered_with_does_not_run(job: Job, which: str) -> None:
    _, other = packed({f"{SITE}/covalent_awsbatch_plugin/environment/unpack.py": b"print('mine')"})
    with HttpServer(lambda request: Answer(other) if which in request.path else served(request)) as server:
        assert f"{which}: not what was uploaded" in said(job, AWS_ENDPOINT_URL=server.url)
    asked = [request for request in server.requests if which in request.path]
    assert len(asked) == 2, "the first may have been damaged on its way"


@pytest.mark.parametrize("which", [CORE_KEY, KEY])
def test_an_object_that_is_missing_is_named(job: Job, which: str) -> None:
    job.put(CONTENT)
    job.s3.delete_object(Bucket=BUCKET, Key=which)
    assert f"{which}: S3 answers 404" in said(job)


def test_an_object_that_is_no_archive_is_named(job: Job) -> None:
    bad = b"no archive"
    key = f"environments/sha256-{hashlib.sha256(bad).hexdigest()}.tar.gz"
    with HttpServer(lambda request: Answer(bad) if key in request.path else served(request)) as server:
        message = said(job, AWS_ENDPOINT_URL=server.url, **{ENVIRONMENT: f"{KEYS} {key}"})
    assert f"{key}: invalid gzip header" in message


def test_a_bucket_that_denies_is_named(job: Job) -> None:
    denied = b"<Error><Code>AccessDenied</Code></Error>"
    with HttpServer(lambda _: Answer(denied, 403)) as server:
        message = said(job, AWS_ENDPOINT_URL=server.url)
    assert f"{CORE_KEY}: S3 answers 403" in message
    assert "AccessDenied" in message
    assert len(server.requests) == 1, "asking again does not help"


def test_what_answers_in_place_of_the_roles_credentials_is_told_by_a_sentence(job: Job) -> None:
    """A proxy of the network that wants people to sign in."""
    with HttpServer(lambda _: Answer(b"<html>Sign in</html>")) as server:
        variables = {"http_proxy": server.url, "no_proxy": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/role"}
        message = said(job, AWS_ACCESS_KEY_ID="", **variables)
    assert message.count("\n") == 1
    assert {request.path for request in server.requests} == {"http://169.254.170.2/role"}


def test_another_python_is_named(job: Job) -> None:
    assert f"the image has Python {MINOR}, and its server has 3.99" in said(job, **{ENVIRONMENT_PYTHON: "3.99"})


def test_without_a_role_it_asks_for_one(job: Job) -> None:
    assert "Has the job a job role?" in said(job, AWS_ACCESS_KEY_ID="")


MIB = 1024 * 1024
RANDOM = random.Random(1).randbytes(4 * MIB)


@pytest.mark.parametrize(
    ("options", "content", "message"),
    [
        ("noexec", RANDOM, "no place to write and run in"),
        ("ro", RANDOM, "no place to write and run in"),
        ("size=1m", RANDOM, "No space left on device"),
        (f"size={len(CORE) + MIB}", RANDOM, "No space left on device"),
        # What is fetched fits, and not what it holds.
        (f"size={len(CORE) + MIB}", bytes(8 * MIB), "/data: No space left on device"),
    ],
)
def test_no_place_for_it_says_what_to_do(job: Job, options: str, content: bytes, message: str) -> None:
    """Real file systems, in a mount namespace of the job's own."""
    key, data = packed({**CONTENT, "data": content})
    job.variables[ENVIRONMENT] = f"{CORE_KEY} {key}"
    mounts = " && ".join(f"mount -t tmpfs -o {options} none {place}" for place in ("/opt", "/tmp", "/var/tmp"))
    command = ["unshare", "--mount", "sh", "-c", f"{mounts} && exec {shlex.join([sys.executable, '-c', program()])}"]
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces without more rights")
    job.variables[ENVIRONMENT_DIRECTORY] = "/opt"
    with HttpServer(lambda request: Answer(data if key in request.path else CORE)) as server:
        variables = {**job.variables, "AWS_ENDPOINT_URL": server.url}
        ended = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)
    assert len(server.requests) <= 2, "a disk that is full is not tried again"
    assert ended.returncode == 1, ended.stderr
    assert ended.stdout == ""
    assert message in ended.stderr, ended.stderr
    assert "This job's environment cannot be used: " in ended.stderr


def test_trouble_is_waited_out_and_the_buckets_region_followed(job: Job) -> None:
    def answer(request: Request) -> Answer:
        region = request.headers["authorization"].split("/")[2]
        if len(server.requests) == 1:
            return Answer(b"SlowDown", 503)
        if region != "eu-west-1":
            return Answer(b"wrong region", 400, {"x-amz-bucket-region": "eu-west-1"})
        return Answer(CORE, cut=len(CORE) // 2) if len(server.requests) == 3 else served(request)

    with HttpServer(answer) as server:
        ended = job.run(AWS_ENDPOINT_URL=server.url, **{BUCKET_OWNER: "1" * 12})
    assert ended.returncode == 0, ended.stderr
    assert len(server.requests) == 4 + 2
    assert {request.headers["x-amz-expected-bucket-owner"] for request in server.requests} == {"1" * 12}


def test_the_roles_credentials_are_asked_for_again_when_there_were_too_many_requests(job: Job) -> None:
    """The agent limits what a task may ask in a second: TASK_METADATA_RPS_LIMIT of the ECS agent."""
    role = json.dumps({"AccessKeyId": "AKIA", "SecretAccessKey": "secret", "Token": "token"}).encode()

    def answer(request: Request) -> Answer:
        if request.path != "http://169.254.170.2/role":
            return served(request)
        return Answer(role) if len(server.requests) > 1 else Answer(b"", 429)

    with HttpServer(answer) as server:
        proxy = {"http_proxy": server.url, "no_proxy": "", "AWS_ENDPOINT_URL": "http://s3.test"}
        variables = {"AWS_ACCESS_KEY_ID": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/role"}
        ended = job.run(**proxy, **variables)
    assert ended.returncode == 0, ended.stderr
    assert [request.headers.get("x-amz-security-token") for request in server.requests] == [
        *(None, None, "token"),
        *(None, "token"),
    ]


@pytest.mark.parametrize("way", ["pod identity", "role"])
def test_a_pod_has_the_credentials_of_its_service_account(job: Job, tmp_path: Path, way: str) -> None:
    """https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html, and AWS's API of STS."""
    token = tmp_path / "token"
    token.write_text("a.b/c+d=\n")
    role = json.dumps({"AccessKeyId": "AKIA", "SecretAccessKey": "secret", "Token": "session"}).encode()
    assumed = b"<Credentials><AccessKeyId>AKIA</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>"
    assumed = b"<R>" + assumed + b"<SessionToken>session</SessionToken></Credentials></R>"

    def answer(request: Request) -> Answer:
        if "environments/" in request.path:
            return served(request)
        return Answer(assumed if request.method == "POST" else role)

    with HttpServer(answer) as server:
        of = {
            "pod identity": {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}/v1/credentials",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
            },
            "role": {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/jobs"},
        }[way]
        variables = {"AWS_ACCESS_KEY_ID": "", "AWS_ENDPOINT_URL": server.url}
        ended = job.run(in_pod=True, **variables, **of)
    assert ended.returncode == 0, ended.stderr
    asked, fetched, *_ = server.requests
    if way == "role":
        assert parse_qs(asked.body.decode()) == {
            "Action": ["AssumeRoleWithWebIdentity"],
            "Version": ["2011-06-15"],
            "RoleArn": ["arn:aws:iam::123456789012:role/jobs"],
            "RoleSessionName": ["covalent-awsbatch"],
            "WebIdentityToken": ["a.b/c+d="],
        }
    else:
        assert (asked.path, asked.headers["authorization"]) == ("/v1/credentials", "a.b/c+d=")
    assert fetched.headers["x-amz-security-token"] == "session"
    assert "Credential=AKIA/" in fetched.headers["authorization"]


def test_a_pod_whose_token_is_refused_says_by_whom(job: Job, tmp_path: Path) -> None:
    """It is asked once: STS answers so where the role does not trust the cluster or the service account."""
    token = tmp_path / "token"
    token.write_text("a.b.c")
    refusal = b"<Error><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error>"
    with HttpServer(lambda _: Answer(refusal, 403)) as server:
        of = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/jobs"}
        variables = {"AWS_ACCESS_KEY_ID": "", "AWS_ENDPOINT_URL": server.url}
        message = said(job, in_pod=True, **variables, **of)
    assert f"no credentials: {server.url} answers 403: " in message
    assert "Not authorized" in message
    assert "a.b.c" not in message
    assert len(server.requests) == 1


def test_a_pod_asks_again_for_credentials_when_too_many_do(job: Job, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a.b.c")
    refusal = b"<Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error>"
    assumed = (
        b"<R><AccessKeyId>AKIA</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken></R>"
    )

    def answer(request: Request) -> Answer:
        if "environments/" in request.path:
            return served(request)
        return Answer(assumed) if len(server.requests) > 1 else Answer(refusal, 400)

    with HttpServer(answer) as server:
        of = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/jobs"}
        variables = {"AWS_ACCESS_KEY_ID": "", "AWS_ENDPOINT_URL": server.url}
        ended = job.run(in_pod=True, **variables, **of)
    assert ended.returncode == 0, ended.stderr
    assert len(server.requests) == 2 + 1 + 2


def test_a_pod_without_a_role_asks_for_one(job: Job) -> None:
    message = said(job, in_pod=True, AWS_ACCESS_KEY_ID="", KUBERNETES_SERVICE_HOST="10.0.0.1")
    assert "Has the pod's service account a role?" in message
