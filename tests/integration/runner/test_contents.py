"""Arguments that a task refers to: fetched by the runner, and compared with their hash before anything is loaded."""

from __future__ import annotations

import asyncio
import base64
import functools
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn
from support.bench import BUCKET, FUNCTION, Bench

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.agreement.references import Reference
from covalent_awsbatch_plugin.task import sharing, transfer
from covalent_awsbatch_plugin.task.shared_argument import SharedArgument

LARGE, OTHER = os.urandom(3 * sharing.SHARED_CHARS), bytes(sharing.SHARED_CHARS)


class Sender:
    """A server whose tasks refer to their large arguments."""

    def __init__(self, bench: Bench, directory: Path) -> None:
        file = directory / "credentials"
        file.write_text("[default]\naws_access_key_id = test\naws_secret_access_key = test\n")
        options = {"endpoint_url": bench.environment["AWS_ENDPOINT_URL"], "region": "us-east-1"}
        self._client = Client(json.dumps({**options, "credentials": str(file), "profile": "default"}))

    def store(self, *args: Any, dispatch: str = "d", **kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
        wrapped = {name: TransportableObject(value) for name, value in kwargs.items()}
        shared = sharing.Arguments((self._client, BUCKET, dispatch))
        return asyncio.run(shared.store([TransportableObject(value) for value in args], wrapped))

    def send(self, function: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
        call = functools.partial(wrapper_fn, TransportableObject(function), [], [])
        asyncio.run(transfer.upload(self._client, BUCKET, FUNCTION, (call, args, kwargs)))


@pytest.fixture
def sender(bench: Bench, tmp_path: Path) -> Iterator[Sender]:
    yield Sender(bench, tmp_path)
    sharing._known.clear()


def refused(bench: Bench) -> str:
    """Why a task failed before its function was called."""
    code, out, _ = bench.run()
    envelope = bench.envelope()
    assert (code, out, envelope["status"]) == (1, "", "failed")
    assert len(envelope["traceback"].splitlines()) == 1, "a sentence, and no traceback of the runner's"
    return str(envelope["traceback"])


def called(*_: Any, **__: Any) -> None:
    print("called")


def test_arguments_arrive_as_they_were(bench: Bench, sender: Sender) -> None:
    def seen(first: bytes, small: int, again: bytes, *, named: bytes) -> Any:
        from hashlib import sha256

        return [sha256(one).hexdigest() for one in (first, again, named)], small

    sender.send(seen, *sender.store(LARGE, 7, LARGE, named=OTHER))
    keys = [one["Key"] for one in bench.s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert [key.partition("-d-")[0] for key in keys] == ["func", "shared", "shared"]
    assert bench.s3.head_object(Bucket=BUCKET, Key=FUNCTION)["ContentLength"] < 20_000
    assert bench.run()[0] == 0
    assert bench.value() == seen(LARGE, 7, LARGE, named=OTHER)


def test_a_content_that_stands_at_the_end_of_an_object(bench: Bench, sender: Sender) -> None:
    value = TransportableObject(OTHER)
    whole, text = value.serialize(), value.get_serialized()
    bench.s3.put_object(Bucket=BUCKET, Key="result-d-3.output", Body=whole)
    place = Reference("result-d-3.output", len(whole) - len(text), len(text), sharing.hash_of(value))
    sender.send(len, [SharedArgument(value, place)], {})
    assert bench.run()[0] == 0
    assert bench.value() == len(OTHER)


class Planted:
    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self._file,)


@pytest.mark.parametrize("longer", [0, 1, -1])
def test_what_was_not_stored_there_is_refused_before_anything_of_it_runs(
    bench: Bench, sender: Sender, tmp_path: Path, longer: int
) -> None:
    args, kwargs = sender.store(OTHER)
    reference = args[0].reference
    planted = base64.b64encode(pickle.dumps(Planted(tmp_path / "ran"))).ljust(reference.size + longer, b"=")
    bench.s3.put_object(Bucket=BUCKET, Key=reference.key, Body=planted[: reference.size + longer])
    sender.send(called, args, kwargs)
    assert "which was refused: it is not what was stored there. Who can write to this bucket?" in refused(bench)
    assert not (tmp_path / "ran").exists()


def test_an_object_that_is_gone_is_named_with_what_to_do(bench: Bench, sender: Sender) -> None:
    args, kwargs = sender.store(OTHER)
    bench.s3.delete_object(Bucket=BUCKET, Key=args[0].reference.key)
    sender.send(called, args, kwargs)
    said = refused(bench)
    assert f"s3://{BUCKET}/{args[0].reference.key}, which is gone" in said
    assert "If a lifecycle rule of the bucket removed it, let the rule keep objects for longer" in said


def test_an_object_of_another_dispatch_is_refused(bench: Bench, sender: Sender) -> None:
    args, kwargs = sender.store(OTHER, dispatch="d-2")
    sender.send(called, args, kwargs)
    assert "a content is in an object that does not belong to this dispatch" in refused(bench)
