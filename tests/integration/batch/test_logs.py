"""New lines of many logs in one call."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from lab import Lab, faults

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.errors import AccessError
from covalent_awsbatch_plugin.local import LocalAWS

GROUP = "covalent-batch-job-logs"


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAWS]:
    with LocalAWS() as aws:
        yield aws


def lines(options: dict[str, Any], streams: list[str], start: int, group: str = GROUP) -> list[tuple[str, str]]:
    """Stream and text of each line since a time in milliseconds."""
    settings = {name: options[name] for name in ("endpoint_url", "credentials")}
    client = Client(json.dumps({**settings, "region": "us-east-1"}))

    async def read() -> list[tuple[str, str, int, str]]:
        return await client.log_lines(group, streams, start)

    found = asyncio.run(read())
    assert len({line_id for line_id, *_ in found}) == len(found), "each has an id of its own"
    return [(stream, text) for _, stream, _, text in found]


def test_lines_of_several_streams_since_a_time(aws: LocalAWS) -> None:
    logs, now = aws.client("logs"), int(time.time() * 1000)
    for stream in ("a", "b", "other"):
        logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
        events = [{"timestamp": now + second * 1000, "message": f"{stream} {second}"} for second in range(3)]
        logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)
    assert sorted(lines(aws.options, ["a", "b"], now + 1000)) == [
        ("a", "a 1"),
        ("a", "a 2"),
        ("b", "b 1"),
        ("b", "b 2"),
    ]


def test_no_more_than_some_pages_are_read(aws: LocalAWS) -> None:
    logs, now = aws.client("logs"), int(time.time() * 1000)
    logs.create_log_stream(logGroupName=GROUP, logStreamName="long")
    for part in range(6):
        events = [{"timestamp": now + part * 1000, "message": f"{part} {number}"} for number in range(10_000)]
        logs.put_log_events(logGroupName=GROUP, logStreamName="long", logEvents=events)
    found = lines(aws.options, ["long"], 0)
    assert len(found) == 50_000
    assert found[0] == ("long", "0 0")


def test_what_is_not_there_has_no_lines(aws: LocalAWS) -> None:
    assert lines(aws.options, ["no-such-stream"], 0) == []
    assert lines(aws.options, ["no-such-stream"], 0, "no-such-group") == []


def test_a_right_that_is_missing_is_named() -> None:
    with Lab() as lab:
        lab.faults(faults.denied("FilterLogEvents"))
        with pytest.raises(AccessError, match="AWS denied logs:FilterLogEvents"):
            lines(lab.options, ["a"], 0)
