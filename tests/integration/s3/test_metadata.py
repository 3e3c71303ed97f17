"""The metadata of objects, which is had without what they hold."""

from __future__ import annotations

import asyncio

import pytest
from lab import BUCKET, Lab
from support.tasks import executor_of

from covalent_awsbatch_plugin.errors import AccessError
from covalent_awsbatch_plugin.task.connection import client


def read(lab: Lab, *keys: str) -> dict[str, dict[str, str]]:
    async def ask() -> dict[str, dict[str, str]]:
        return await client(executor_of(lab)._settings()).metadata(BUCKET, list(keys))

    return asyncio.run(ask())


def test_metadata_is_had_without_the_content(lab: Lab) -> None:
    lab.plant("one", b"x" * 100_000, {"covalent-awsbatch-usage": "{}"})
    lab.plant("two", b"")
    assert read(lab, "one", "two", "three") == {"one": {"covalent-awsbatch-usage": "{}"}, "two": {}}
    assert read(lab) == {}
    assert lab.counts["HeadObject"] == 3
    assert not lab.counts["GetObject"]


def test_who_may_not_read_is_told(lab: Lab) -> None:
    lab.plant("one", b"")
    lab.set_bucket(denied=True)
    with pytest.raises(AccessError, match="s3:GetObject"):
        read(lab, "one")
