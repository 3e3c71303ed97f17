"""A large result on its way into a file: what is not the file's fault is not called so, and nothing is left."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest
from covalent import TransportableObject
from support.bucket import DENIED, Bucket
from support.servers import Answer, Request

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.errors import AccessError, ResultError
from covalent_awsbatch_plugin.server import stored_object
from covalent_awsbatch_plugin.task import archive

GONE = Answer(b"<Error><Code>NoSuchKey</Code><Message>It is not there.</Message></Error>", 404)


@pytest.mark.parametrize(("answer", "error"), [(DENIED, AccessError), (GONE, FileNotFoundError)])
def test_what_s3_refuses_half_way_is_no_lack_of_room(
    bucket: Bucket, client: Client, answer: Answer, error: type[Exception]
) -> None:
    def interrupted(request: Request, whole: Answer) -> Answer:
        asked = request.headers.get("range", "")
        return answer if request.method == "GET" and asked and not asked.startswith("bytes=0-") else whole

    large = TransportableObject(bytes(40_000_000))
    large._object_string = "zeros"
    bucket.put("/bucket/key", large.serialize())
    bucket.meddle = interrupted
    with pytest.raises(error) as raised:
        archive.load(client.reader("bucket", "key"), into_file=True)
    assert "Make room" not in str(raised.value)
    assert not list(stored_object._place().iterdir())


def test_it_may_be_stored_where_it_came_from_and_beside_what_cannot_be_removed(tmp_path: Path) -> None:
    left = stored_object._place() / "folder"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    stored = stored_object.of_pieces(iter([b"content"]), "text", {})
    path = tmp_path / "output.tobj"
    stored.copy_to(path)
    again = stored_object.of_file(path)
    again.copy_to(path)
    assert (b"".join(again.pieces()), again.object_string) == (b"content", "text")
    left.rmdir()


@pytest.mark.parametrize("last", [999_900, 200])
def test_no_room_is_told_and_nothing_is_left(last: int) -> None:
    """The kernel lets this process's files grow no further than this."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(ResultError, match="Make room there"):
            stored_object.of_pieces(iter([bytes(999_900), bytes(last)]), "text", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(stored_object._place().iterdir())
