"""A checkpoint that is stored while the function goes on: with what is removed meanwhile, and when it is stopped."""

from __future__ import annotations

import io
import tarfile
import threading
from pathlib import Path

import pytest
from support.recorded_s3 import BUCKET, COMPLETE, CREATE, S3, call
from support.servers import Request

from covalent_awsbatch_plugin.checkpoint import VARIABLE
from covalent_awsbatch_plugin.runner.checkpoint import Checkpoint

KEY = "checkpoint-d-1.tar"
LARGE = 20_000_000


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkpoint's directory, with a file that is sent in parts and then one more."""
    place = tmp_path / "checkpoint"
    place.mkdir()
    monkeypatch.setenv(VARIABLE, str(place))
    (place / "a").write_bytes(bytes(LARGE))
    (place / "epoch-1").write_text("one")
    return place


def checkpoint_of(s3: S3) -> tuple[Checkpoint, list[str]]:
    said: list[str] = []
    checkpoint = Checkpoint(s3.client, BUCKET, KEY, 600, said.append)
    checkpoint.restore()
    return checkpoint, said


def test_what_came_in_the_place_of_a_removed_file_is_stored(s3: S3, place: Path) -> None:
    """The file is replaced when S3 has begun to take the checkpoint, which has it in its list."""

    def replace(request: Request) -> None:
        if call(request) == CREATE and (place / "epoch-1").exists():
            (place / "epoch-1").unlink()
            (place / "epoch-2").write_text("two")

    checkpoint, said = checkpoint_of(s3)
    s3.before = replace
    checkpoint.store()
    content = s3.s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        assert [(one.name, one.size) for one in tar.getmembers()] == [("a", LARGE), ("epoch-2", 3)]
    assert said == ["Stored 2 files and folders, 20.0 MB, as checkpoint."]
    s3.s3.delete_object(Bucket=BUCKET, Key=KEY)


def test_it_is_left_off_in_the_middle_of_a_file(s3: S3, capfd: pytest.CaptureFixture[str]) -> None:
    """The function returns while S3 has not answered yet."""
    asked, stopped = threading.Event(), threading.Event()

    def hold(request: Request) -> None:
        if call(request) == CREATE:
            asked.set()
            stopped.wait(60)

    checkpoint, said = checkpoint_of(s3)
    s3.before = hold
    storing = threading.Thread(target=checkpoint.store)
    storing.start()
    assert asked.wait(60)
    stopping = threading.Thread(target=checkpoint.stop)
    stopping.start()
    storing.join(60)
    assert not storing.is_alive(), "it does not wait for S3"
    stopped.set()
    stopping.join(60)
    assert said == []
    assert COMPLETE not in s3.calls
    assert capfd.readouterr().err == ""
