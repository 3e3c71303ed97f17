"""What a function writes into its checkpoint directory is there in a later attempt."""

from __future__ import annotations

import io
import os
import signal
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.bench import BUCKET, Bench
from support.servers import Answer, HttpServer, Request, forward_to

from covalent_awsbatch_plugin import checkpoint
from covalent_awsbatch_plugin.agreement.naming import CHECKPOINT, ENVIRONMENT_DIRECTORY
from covalent_awsbatch_plugin.checkpoint import VARIABLE

KEY = "checkpoint-d-1.tar"


def counting(then: str) -> list[int]:
    """Adds a number in each attempt, as training adds an epoch; then ends in some way, unless it is the third."""
    from covalent_awsbatch_plugin import checkpoint

    place = checkpoint.directory() / "model" / "epochs"
    epochs = [int(line) for line in place.read_text().split()] if place.exists() else []
    epochs.append(len(epochs))
    place.parent.mkdir(exist_ok=True)
    unfinished = place.with_name("epochs.tmp")
    unfinished.write_text(" ".join(map(str, epochs)))
    unfinished.replace(place)
    place.with_name("other.tmp").write_text("not finished")
    if len(epochs) < 3:
        if then == "raise":
            raise ValueError(f"after epoch {epochs[-1]}")
        if then == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
    return epochs


def waiting() -> None:
    """Writes at once and again when it is told to end, and then does not end by itself."""
    from covalent_awsbatch_plugin import checkpoint

    def end(*_: Any) -> None:
        (checkpoint.directory() / "last").write_text("words")

    signal.signal(signal.SIGTERM, end)
    (checkpoint.directory() / "first").write_text("words")
    while True:
        time.sleep(0.1)


def stored(bench: Bench) -> dict[str, bytes]:
    """The files of the stored checkpoint; empty if there is none."""
    try:
        content = bench.s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read()
    except ClientError:
        return {}
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        files = {one.name: tar.extractfile(one) for one in tar.getmembers() if one.isfile()}
        return {name: file.read() for name, file in files.items() if file}


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def job(bench: Bench, tmp_path: Path) -> Bench:
    bench.s3.delete_object(Bucket=BUCKET, Key=KEY)
    bench.environment |= {CHECKPOINT: "600", "TMPDIR": str(tmp_path)}
    return bench


@pytest.mark.parametrize("then", ["raise", "crash"])
def test_each_attempt_goes_on_where_the_one_before_ended(job: Bench, then: str) -> None:
    job.put_by_value(counting, then)
    assert job.run()[0] != 0
    assert stored(job) == {"model/epochs": b"0"}, "and nothing that is not finished"
    code, _, err = job.run()
    assert code != 0
    assert f"Restored 2 files and folders, 0.0 MB, from s3://{BUCKET}/{KEY}." in err
    assert job.run()[0] == 0
    assert job.value() == [0, 1, 2]
    assert stored(job) == {"model/epochs": b"0 1"}, "a function that has returned needs none"


def test_it_is_stored_while_the_function_runs_and_when_the_job_is_told_to_end(job: Bench) -> None:
    job.environment[CHECKPOINT] = "1"
    job.put_by_value(waiting)
    with job.start() as process:
        try:
            until(lambda: stored(job) == {"first": b"words"})
            process.send_signal(signal.SIGTERM)
            until(lambda: stored(job) == {"first": b"words", "last": b"words"})
            assert job.awaited_envelope()["status"] == "terminated"
        finally:
            process.kill()


def test_a_damaged_one_is_told_and_the_function_begins_anew(job: Bench) -> None:
    job.s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"no tar file")
    job.put_by_value(counting, "return")
    code, _, err = job.run()
    assert code == 0
    assert f"The checkpoint s3://{BUCKET}/{KEY} is damaged" in err
    assert job.value() == [0]


def test_it_may_stand_where_the_user_wants_it(job: Bench, tmp_path: Path) -> None:
    job.environment[VARIABLE] = str(tmp_path / "large" / "disk")
    job.put_by_value(counting, "raise")
    job.run()
    assert (tmp_path / "large" / "disk" / "model" / "epochs").read_text() == "0"
    assert stored(job) == {"model/epochs": b"0"}


def test_without_the_option_it_is_a_temporary_directory(bench: Bench, tmp_path: Path) -> None:
    bench.environment["TMPDIR"] = str(tmp_path)
    bench.put_by_value(counting, "return")
    assert bench.run()[0] == 0
    assert stored(bench) == {}
    assert checkpoint.directory() == checkpoint.directory()
    assert list(checkpoint.directory().iterdir()) == []


def pair() -> None:
    """Makes two files, and ends without a result."""
    from covalent_awsbatch_plugin import checkpoint

    for name in ("first", "second"):
        (checkpoint.directory() / name).write_text(name)
    raise ValueError("not yet")


def linking() -> list[str]:
    """Names its newest file by links, as programs that train models do."""
    from covalent_awsbatch_plugin import checkpoint

    root = checkpoint.directory()
    if not (root / "newest").is_symlink():
        (root / "epochs").mkdir()
        (root / "epochs" / "1").write_text("one")
        (root / "newest").symlink_to(root / "epochs" / "1")
        (root / "beside").symlink_to("epochs/1")
        (root / "elsewhere").symlink_to("/etc/hostname")
        raise ValueError("not yet")
    return [path.read_text() for path in sorted(root.iterdir()) if path.is_file()]


def replacing() -> None:
    """Has a file where the directory was."""
    from covalent_awsbatch_plugin import checkpoint

    checkpoint.directory().rmdir()
    checkpoint.directory().write_text("a file")
    os._exit(7)


def finishing() -> str:
    """Returns its value a while after it was told to end."""
    from covalent_awsbatch_plugin import checkpoint

    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(1))
    (checkpoint.directory() / "file").write_text("words")
    print("begun", flush=True)
    while not told:
        time.sleep(0.1)
    time.sleep(5)
    return "the value"


def test_what_could_not_be_restored_is_not_replaced_by_a_part_of_it(job: Bench, tmp_path: Path) -> None:
    job.put_by_value(pair)
    job.run()
    assert stored(job) == {"first": b"first", "second": b"second"}
    place = tmp_path / "place"
    (place / "second" / "is a folder").mkdir(parents=True)
    job.environment[VARIABLE] = str(place)
    code, _, err = job.run()
    assert code == 1
    assert f"The checkpoint s3://{BUCKET}/{KEY} could not be restored: " in err
    assert "could not be restored" in job.envelope()["traceback"]
    assert (place / "first").exists(), "a part of it is there"
    assert stored(job) == {"first": b"first", "second": b"second"}


def test_nothing_is_left_of_a_damaged_one(job: Bench) -> None:
    job.put_by_value(pair)
    job.run()
    content = job.s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read()
    job.s3.put_object(Bucket=BUCKET, Key=KEY, Body=content[: 3 * 512 + 3])
    job.put(lambda: [path.name for path in Path(os.environ["COVALENT_CHECKPOINT_DIR"]).iterdir()])
    code, _, err = job.run()
    assert (code, job.value()) == (0, []), err
    assert "is damaged, so the function begins anew" in err


def test_links_lead_to_the_same_in_a_later_attempt(job: Bench) -> None:
    job.put_by_value(linking)
    _, _, err = job.run()
    assert "The checkpoint is without the link elsewhere, which leads out of its directory." in err
    code, _, err = job.run()
    assert code == 0, err
    assert job.value() == ["one", "one"]


def test_a_directory_that_cannot_be_read_does_not_change_how_the_job_ends(job: Bench) -> None:
    job.put_by_value(replacing)
    code, _, err = job.run()
    assert code == 7
    assert "The checkpoint could not be stored: NotADirectoryError" in err
    assert "Traceback" not in err


def test_a_result_does_not_wait_for_a_checkpoint(job: Bench, bench_endpoint: str) -> None:
    """S3 takes the checkpoint when the result is there, and not before."""
    forward, is_there = forward_to(bench_endpoint), threading.Event()

    def answer(request: Request) -> Answer:
        if request.method == "PUT" and KEY in request.path:
            is_there.wait(60)
        return forward(request)

    job.put_by_value(finishing)
    with HttpServer(answer) as proxy:
        job.environment["AWS_ENDPOINT_URL"] = proxy.url
        with job.start() as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "begun\n"
                process.send_signal(signal.SIGTERM)
                until(lambda: job.awaited_envelope()["status"] == "succeeded")
                assert job.value() == "the value"
            finally:
                is_there.set()
                process.kill()


def test_a_place_that_cannot_be_made_is_told(job: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    job.environment[VARIABLE] = str(tmp_path / "file" / "below")
    job.put(lambda: 1)
    code, _, err = job.run()
    assert code == 1
    assert "There is no place for the checkpoint" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["there", "missing"])
def test_it_stands_beside_the_environment_if_that_may_be_written(job: Bench, tmp_path: Path, name: str) -> None:
    (tmp_path / "there").mkdir()
    job.environment[ENVIRONMENT_DIRECTORY] = str(tmp_path / name)
    job.put(lambda: str(Path(os.environ["COVALENT_CHECKPOINT_DIR"]).parent))
    code, _, err = job.run()
    assert code == 0, err
    assert job.value() == str(tmp_path / "there" if name == "there" else tmp_path)


def test_without_the_option_the_place_is_made_where_it_is_asked_for(job: Bench, tmp_path: Path) -> None:
    del job.environment[CHECKPOINT]
    job.environment[VARIABLE] = str(tmp_path / "place")
    job.put_by_value(counting, "return")
    assert job.run()[0] == 0
    assert (tmp_path / "place" / "model" / "epochs").read_text() == "0"
