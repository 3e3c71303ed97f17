"""Large arguments that tasks share: how often they are uploaded, and when their objects are deleted."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from covalent._workflow.transport import TransportableObject
from lab import BUCKET, Lab
from lab.faults import denied, latency
from support.processes import poll

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.errors import AWSBatchError
from covalent_awsbatch_plugin.server.stored_object import of_file
from covalent_awsbatch_plugin.task import pickling, sharing
from covalent_awsbatch_plugin.task.shared_argument import SharedArgument
from covalent_awsbatch_plugin.task.sharing import SHARED_CHARS, Arguments

LARGE, OTHER = bytes(SHARED_CHARS), b"x" * SHARED_CHARS
DISPATCH = "d-1"


@pytest.fixture(scope="module")
def _lab() -> Iterator[Lab]:
    with Lab() as lab:
        yield lab


@pytest.fixture
def lab(_lab: Lab) -> Iterator[Lab]:
    _lab.reset()
    yield _lab
    sharing._known.clear()


@pytest.fixture
def client(lab: Lab) -> Client:
    return Client(json.dumps({"endpoint_url": lab.url, "region": "us-east-1", "credentials": str(lab.credentials)}))


def is_of(key: str, value: Any, dispatch: str = DISPATCH) -> bool:
    content = TransportableObject(value).get_serialized().encode()
    return re.fullmatch(rf"shared-{dispatch}-[0-9a-f]{{16}}-{hashlib.sha256(content).hexdigest()}", key) is not None


async def stored(client: Client, *values: Any, dispatch: str = DISPATCH) -> tuple[Arguments, list[Any]]:
    """A task that has begun, and its arguments; Covalent loads each anew."""
    task = Arguments((client, BUCKET, dispatch))
    found, _ = await task.store([TransportableObject(value) for value in values], {})
    return task, found


def test_a_content_is_uploaded_once_for_tasks_at_the_same_moment(lab: Lab, client: Client) -> None:
    async def twelve() -> list[Any]:
        return await asyncio.gather(*(stored(client, LARGE, OTHER) for _ in range(12)))

    tasks = asyncio.run(twelve())
    assert lab.counts["PutObject"] == 2
    keys = {argument.reference.key for _, found in tasks for argument in found}
    assert set(lab.objects()) == keys
    for value in (LARGE, OTHER):
        (key,) = [key for key in keys if is_of(key, value)]
        assert pickle.loads(base64.b64decode(lab.object(key))) == value
    assert len({id(found[0].get_serialized()) for _, found in tasks}) == 1, "this process keeps one copy"


def test_a_task_that_comes_later_finds_it(lab: Lab, client: Client) -> None:
    task, [first] = asyncio.run(stored(client, LARGE))
    assert task.release(is_needed=True) == []
    _, [found] = asyncio.run(stored(client, LARGE))
    assert found.reference == first.reference
    assert lab.counts["PutObject"] == 1


def test_dispatches_share_nothing(lab: Lab, client: Client) -> None:
    asyncio.run(stored(client, LARGE))
    asyncio.run(stored(client, LARGE, dispatch="d-2"))
    one, two = sorted(lab.objects())
    assert is_of(one, LARGE, DISPATCH)
    assert is_of(two, LARGE, "d-2")


def test_what_is_small_or_no_argument_of_covalents_stays_as_it_is(lab: Lab, client: Client) -> None:
    small = TransportableObject("x" * 1000)
    values = [small, LARGE, None]

    async def store() -> Any:
        return await Arguments((client, BUCKET, DISPATCH)).store(values, {"more": small})

    args, kwargs = asyncio.run(store())
    assert [id(one) for one in args] == [id(one) for one in values]
    assert kwargs == {"more": small}
    assert lab.objects() == {}


def test_whoever_pickles_it_gets_covalents_own_with_everything_in_it(client: Client) -> None:
    _, [found] = asyncio.run(stored(client, LARGE))
    assert type(found) is SharedArgument
    for dump in (pickle.dumps, cloudpickle.dumps):
        copy = pickle.loads(dump(found))
        assert type(copy) is TransportableObject
        assert copy == TransportableObject(LARGE)


def test_the_last_task_that_refers_to_it_deletes_it(client: Client) -> None:
    tasks = [asyncio.run(stored(client, LARGE)) for _ in range(3)]
    key = tasks[0][1][0].reference.key
    assert [task.release(is_needed=False) for task, _ in tasks] == [[], [], [key]]
    # Whoever comes now stores it anew, under a name of its own: the deletion may still be under way.
    _, [found] = asyncio.run(stored(client, LARGE))
    assert found.reference.key != key


def test_what_a_task_that_failed_refers_to_stays(client: Client) -> None:
    tasks = [asyncio.run(stored(client, LARGE))[0] for _ in range(3)]
    assert [task.release(is_needed=number == 1) for number, task in enumerate(tasks)] == [[], [], []]


def test_an_upload_that_fails_fails_who_waits_for_it_and_is_tried_again_by_the_next(lab: Lab, client: Client) -> None:
    lab.faults(denied("s3:PutObject"))

    async def two() -> list[Any]:
        return await asyncio.gather(*(stored(client, LARGE) for _ in range(2)), return_exceptions=True)

    assert [isinstance(one, AWSBatchError) for one in asyncio.run(two())] == [True, True]
    lab.faults()
    _, [found] = asyncio.run(stored(client, LARGE))
    assert set(lab.objects()) == {found.reference.key}


def users() -> int:
    return sum(len(content.users) for one in sharing._known.values() for content in one.values())


def test_a_task_that_is_cancelled_takes_nothing_from_the_others(lab: Lab, client: Client) -> None:
    lab.faults(latency(2.0, operation="s3:PutObject"))
    tasks = [Arguments((client, BUCKET, DISPATCH)) for _ in range(2)]

    async def cancelled() -> Any:
        value = TransportableObject(LARGE)
        first, second = (asyncio.ensure_future(one.store([value], {})) for one in tasks)
        await asyncio.to_thread(poll, lambda: users() == len(tasks), "both wait for the upload")
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert tasks[0].release(is_needed=False) == []
        return await second

    (found,), _ = asyncio.run(cancelled())
    assert set(lab.objects()) == {found.reference.key}


def test_an_upload_that_nobody_waits_for_any_more_is_aborted(lab: Lab, client: Client) -> None:
    lab.faults(latency(2.0, operation="s3:UploadPart"))
    task = Arguments((client, BUCKET, DISPATCH))

    async def cancelled() -> None:
        storing = asyncio.ensure_future(task.store([TransportableObject(bytes(40 * SHARED_CHARS))], {}))
        await asyncio.to_thread(poll, lab.uploads, "the upload has begun")
        storing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await storing
        task.release(is_needed=True)
        await asyncio.to_thread(poll, lambda: not lab.uploads(), "the upload is aborted")

    asyncio.run(asyncio.wait_for(cancelled(), 30))
    assert lab.objects() == {}
    assert users() == 0


def test_an_argument_whose_content_is_in_a_file_is_like_any_other(lab: Lab, client: Client, tmp_path: Path) -> None:
    value, path = TransportableObject(LARGE), tmp_path / "output.tobj"
    path.write_bytes(value.serialize())
    task = Arguments((client, BUCKET, DISPATCH))
    [found], _ = asyncio.run(task.store([of_file(path)], {}))
    (key,) = lab.objects()
    assert is_of(key, LARGE)
    assert lab.object(key).decode() == value.get_serialized()
    for one in (found, of_file(path)):
        file = Text()
        pickling.dump([one], file)
        assert pickle.loads(file.getvalue())[0] == value
        assert type(pickle.loads(cloudpickle.dumps(one))) is TransportableObject
    assert "_object" not in vars(found)


class Text(io.BytesIO):
    def write_text(self, text: str) -> int:
        return self.write(text.encode())


def test_a_content_of_a_day_ago_is_stored_anew(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lifecycle rule may have removed it."""
    task, [first] = asyncio.run(stored(client, LARGE))
    task.release(is_needed=True)
    monkeypatch.setattr(sharing, "_FRESH_SECONDS", 0.0)
    _, [found] = asyncio.run(stored(client, LARGE))
    assert found.reference.key != first.reference.key


def test_a_result_that_has_an_object_is_referred_to_and_not_uploaded(lab: Lab, client: Client) -> None:
    """Whichever way it went meanwhile; nor is it deleted with the task that refers to it."""
    result = TransportableObject(LARGE)
    sharing.note_output((client, BUCKET, DISPATCH), "result-d-1-5.output", result, len(result.serialize()))
    task, [found] = asyncio.run(stored(client, LARGE))
    text = result.get_serialized()
    assert (found.reference.key, found.reference.size) == ("result-d-1-5.output", len(text))
    assert result.serialize()[found.reference.offset :].decode() == text
    assert task.release(is_needed=False) == []
    assert lab.objects() == {}


def test_the_hash_is_the_one_of_the_whole_text() -> None:
    value = TransportableObject(LARGE * 3)
    assert sharing.hash_of(value) == hashlib.sha256(value.get_serialized().encode()).hexdigest()
