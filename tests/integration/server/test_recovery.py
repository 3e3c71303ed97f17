"""What comes with a request to the server: `receive` never raises, whatever it is, and writes nothing elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.server import presence

NOBODY = {"dispatch_id": "nobody-knows-it", "node_ids": [3]}


def received(data: Any) -> list[str]:
    updates = asyncio.run(AWSBatchExecutor().receive(NOBODY, data))
    return [str(update.status) for update in updates]


@pytest.mark.parametrize(
    "data", [None, {}, "RESUME", 5, [], {"status": "COMPLETED"}, {"status": ["RESUME"]}, {"status": "CANCELLED"}]
)
def test_what_is_no_request_reports_a_cancellation(data: Any) -> None:
    assert received(data) == ["CANCELLED"]


@pytest.mark.parametrize("dispatch", ["nobody-knows-it", "../..", 7, None])
@pytest.mark.parametrize("action", ["RESUME", "END", "LOOK"])
def test_a_request_about_nothing_is_refused_and_ends_nothing(action: str, dispatch: Any) -> None:
    request = "0123456789abcdef" * 2
    assert received({"status": action, "dispatch": dispatch, "request": request}) == []
    answer = presence.directory() / f"{request}.answer"
    assert '"outcome": "refused"' in answer.read_text()
    answer.unlink()


@pytest.mark.parametrize("request_id", ["../elsewhere", "", "0" * 31, 7, None])
def test_an_answer_stands_under_the_requests_id_alone(request_id: Any) -> None:
    before = sorted(presence.directory().parent.rglob("*.answer"))
    assert received({"status": "LOOK", "request": request_id}) == []
    assert sorted(presence.directory().parent.rglob("*.answer")) == before
