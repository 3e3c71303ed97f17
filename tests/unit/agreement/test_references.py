"""The list of contents that a task refers to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from covalent_awsbatch_plugin.agreement.naming import shared_key
from covalent_awsbatch_plugin.agreement.references import Reference, decode, encode

SHA256, UPLOAD = "0a" * 32, "0b" * 8
FUNCTION = "func-5f3a-d-12.pkl"
GOOD = Reference(shared_key("5f3a-d", UPLOAD, SHA256), 0, 10, SHA256)


def test_a_list_is_read_as_it_was_written() -> None:
    listed = [GOOD, Reference("result-5f3a-d-7.output", 300, 2**40, SHA256)]
    assert decode(encode(listed), FUNCTION) == listed


@pytest.mark.parametrize(
    "key",
    [
        *("", "shared-5f3a-d-3-", "func-5f3a-d-3.pkl", "result-5f3a-d-3.pkl", "environments/x.tar"),
        *(shared_key(dispatch, UPLOAD, SHA256) for dispatch in ("5f3a", "5f3a-d-3", "5f3aXd")),
        *(shared_key("5f3a-d", "3", SHA256), shared_key("5f3a-d", UPLOAD, "0a")),
        *("result-5f3a-d-7.output/../x", "x/result-5f3a-d-7.output", "result-5f3a-d-7.output\n", f"{GOOD.key}\n"),
    ],
)
@pytest.mark.parametrize("function_key", [FUNCTION, "anything"])
def test_only_shared_objects_and_outputs_of_the_dispatch_are_named(key: str, function_key: str) -> None:
    with pytest.raises(ValueError, match="does not belong to this dispatch"):
        decode(encode([Reference(key, 0, 10, SHA256)]), function_key)


@pytest.mark.parametrize(
    "listed",
    [
        *(None, {}, 7, [7], [None], [{}], [{"key": GOOD.key}], [{**vars(GOOD), "more": 1}], [vars(GOOD)] * 10_001),
        *([{**vars(GOOD), name: value}] for name in ("offset", "size") for value in (-1, 1.5, "1", None, True)),
        *([{**vars(GOOD), "key": value}] for value in (None, 7, [])),
    ],
)
def test_what_is_no_list_of_contents_is_refused(listed: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(json.dumps(listed).encode(), FUNCTION)


@pytest.mark.parametrize("data", [b"", b"[", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(data, FUNCTION)
