"""`covalent-awsbatch environment` as people use it, against a bucket of the embedded AWS."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from support.servers import Answer, HttpServer, Request
from support.signing import forward_signed

from covalent_awsbatch_plugin.cli import main
from covalent_awsbatch_plugin.environment import platforms, runtime
from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.options.settings import Settings

BUCKET = "covalent-batch-job-resources"
OLD = "environments/sha256-" + "0" * 64 + ".tar.gz"
FOREIGN = "environments/of-another-program.tar.gz"
PLACE = f"s3://{BUCKET}/environments/"

pytestmark = pytest.mark.usefixtures("small_packages")


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAWS]:
    with LocalAWS() as aws:
        yield aws


@pytest.fixture
def s3(aws: LocalAWS) -> Iterator[Any]:
    """The bucket, with nothing in it before and after."""
    s3 = aws.client("s3")
    yield s3
    for key in keys(s3):
        s3.delete_object(Bucket=BUCKET, Key=key)


def keys(s3: Any) -> set[str]:
    return {one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])}


def in_use() -> set[str]:
    return {one.key for one in runtime.found(platforms.machine(Settings()))}


def put(s3: Any, key: str, days: int, **metadata: str) -> None:
    """An object that was not in use for so many days."""
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"x" * 1_500_000, Metadata=metadata)
    age(key, days)


def age(key: str, days: int) -> None:
    stored = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[BUCKET].keys[key]
    stored.last_modified = dt.datetime.now(dt.timezone.utc).replace(tzinfo=None) - dt.timedelta(days=days, hours=1)


def ask(aws: LocalAWS, *arguments: str, typed: str | None = None, **options: str) -> Result:
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in {**aws.options, **options}.items()]
    return CliRunner().invoke(main, ["environment", *arguments, *flags], input=typed)


def test_what_is_built_is_what_a_task_would_bring(aws: LocalAWS, s3: Any) -> None:
    assert ask(aws, "list").stdout == f"Nothing in {PLACE}.\n"
    built = ask(aws, "build", runtime="bucket")
    assert built.exit_code == 0, built.output
    assert built.stdout.startswith("Made: 2 packages, 0 MB, Python 3."), built.stdout
    assert f" in {PLACE} (" in built.stdout
    assert keys(s3) == in_use()
    steps = ["looking at what is installed here", "packing 1 package", "uploading 0.0 MB"]
    assert built.stderr.splitlines() == steps, "what is the same is said once"
    again = ask(aws, "build", runtime="bucket")
    assert again.stdout.startswith("There already: 2 packages")
    assert "uploading" not in again.stderr


def test_what_is_there_is_listed_with_what_it_is(aws: LocalAWS, s3: Any) -> None:
    built = json.loads(ask(aws, "build", "--json").stdout)
    put(s3, OLD, 40)
    put(s3, FOREIGN, 40)
    listed = json.loads(ask(aws, "list", "--json").stdout)
    assert listed["place"] == built["place"] == PLACE
    *here, old = listed["environments"]
    assert {one["key"] for one in here} == {one["key"] for one in built["objects"]} == in_use()
    assert sorted(one["packages"] for one in here) == [0, 0, 1, 1]
    assert {(one["in_use"], one["python"]) for one in here} == {(True, built["python"])}
    assert (old["key"], old["packages"], old["in_use"], old["size"]) == (OLD, None, False, 1_500_000)
    shown = ask(aws, "list")
    assert "sha256-000000000000 │        - │ 1.5 MB │ -      │ 40 days ago │ no" in shown.stdout
    assert "│ today       │ yes" in shown.stdout
    assert shown.stdout.endswith(f"5 objects, 1.5 MB in {PLACE}\n")
    assert shown.stderr == ""
    assert max(map(len, shown.stdout.splitlines())) <= 80
    s3.delete_object(Bucket=BUCKET, Key=here[0]["key"])
    assert "Not all that tasks of this machine need is there" in ask(aws, "list").stderr


def test_what_was_not_in_use_for_long_is_deleted_after_asking(aws: LocalAWS, s3: Any) -> None:
    ask(aws, "build")
    used = in_use()
    put(s3, OLD, 40)
    put(s3, FOREIGN, 40)
    young = OLD.replace("0", "1")
    put(s3, young, 20)
    for key in used:
        age(key, 50)
    refused = ask(aws, "prune", typed="n\n")
    assert "sha256-000000000000" in refused.stdout
    assert "Delete 1 object, 1.5 MB from s3://" in refused.stderr
    assert keys(s3) == {*used, OLD, FOREIGN, young}
    done = ask(aws, "prune", typed="y\n")
    assert done.stdout.endswith("Deleted 1 object, 1.5 MB.\n")
    assert keys(s3) == {*used, FOREIGN, young}
    assert "what was in use within 30 days stays" in ask(aws, "prune").stdout
    gone = json.loads(ask(aws, "prune", "--older-than=2", "--yes", "--json").stdout)
    assert [one["key"] for one in gone["deleted"]] == [young]
    assert keys(s3) == {*used, FOREIGN}


def test_what_a_job_may_wait_for_is_never_deleted(aws: LocalAWS, s3: Any) -> None:
    put(s3, OLD, 1)
    assert "Nothing deleted" in ask(aws, "prune", "--older-than=2", "--yes").stdout
    assert ask(aws, "prune", "--older-than=1", "--yes").exit_code == 2
    assert keys(s3) == {OLD}


def test_what_came_into_use_while_it_was_asked_stays(aws: LocalAWS, s3: Any) -> None:
    """A server renews the object between the question and the deletion."""
    put(s3, OLD, 40)
    forward, listed = forward_signed(aws), 0

    def answer(request: Request) -> Answer:
        nonlocal listed
        if "list-type=2" in request.path:
            listed += 1
            if listed == 2:
                put(s3, OLD, 0)
        return forward(request)

    with HttpServer(answer) as proxy:
        done = ask(aws, "prune", "--yes", endpoint_url=proxy.url)
    assert (done.exit_code, listed) == (0, 2)
    assert keys(s3) == {OLD}


def test_refresh_has_the_index_asked_again(aws: LocalAWS, s3: Any) -> None:
    """Servers agree in the bucket on the versions that they found; another program's object there stays."""
    versions = "environments/resolved-" + "0" * 64 + ".json"
    s3.put_object(Bucket=BUCKET, Key=versions, Body=b"{}")
    s3.put_object(Bucket=BUCKET, Key=FOREIGN, Body=b"{}")
    ask(aws, "build")
    assert versions in keys(s3)
    assert ask(aws, "refresh").exit_code == 0
    assert keys(s3) == {*in_use(), FOREIGN}


def test_refresh_mends_what_was_tampered_with(aws: LocalAWS, s3: Any, small_packages: Path) -> None:
    ask(aws, "build")
    used = sorted(in_use())
    s3.put_object(Bucket=BUCKET, Key=used[0], Body=b"mine")
    done = json.loads(ask(aws, "refresh", "--json").stdout)
    assert {one["key"]: one["uploaded"] for one in done["objects"]} == dict.fromkeys(used, True)
    assert s3.get_object(Bucket=BUCKET, Key=used[0])["Body"].read() != b"mine"
    [record] = small_packages.glob("small_two-*/RECORD")
    record.unlink()
    failed = ask(aws, "refresh")
    assert failed.exit_code == 1
    assert "The environment cannot be made here: small_two has no record of its files" in failed.output


def test_what_aws_refuses_is_told(aws: LocalAWS, s3: Any) -> None:
    missing = ask(aws, "list", s3_bucket_name="nowhere-at-all")
    assert missing.exit_code == 1
    assert missing.stdout == ""
    assert "nowhere-at-all" in missing.stderr
    put(s3, OLD, 40)
    forward = forward_signed(aws)
    denied = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    with HttpServer(lambda request: Answer(denied, 403) if "delete" in request.path else forward(request)) as proxy:
        kept = ask(aws, "prune", "--yes", endpoint_url=proxy.url)
    assert kept.exit_code == 1
    assert "s3:DeleteObject" in kept.output
    assert keys(s3) == {OLD}
