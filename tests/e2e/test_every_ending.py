"""A real Covalent server over every ending that a job can have: none leaves its electron RUNNING."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import covalent as ct
import pytest
from lab import Lab, endings, results
from support.covalent_client import client_of
from support.every_ending import OPTIONS, PUBLIC_IMAGE, ROWS, Row

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import ResultError
from covalent_awsbatch_plugin.local.covalent_server import CovalentServer

ENDED = {"COMPLETED", "FAILED", "CANCELLED"}
CLASS = b"\x80\x04ccovalent._workflow.transport\nTransportableObject\n"


def printing(text: str) -> Callable[[results.Container], dict[str, results.Left]]:
    """The public image's program, which printed this."""

    def leave(container: results.Container) -> dict[str, results.Left]:
        left = dict(results.Legacy()(container))
        printed = json.dumps([text, text, None, None]).encode()
        return {key: results.Left(printed) if key.startswith("io_output") else value for key, value in left.items()}

    return leave


def planted(data: bytes) -> Row:
    return Row(endings.planted(data), ResultError, options=PUBLIC_IMAGE)


HOSTILE = {
    "an-int": planted(b"\x80\x04K\x07."),
    "the-class": planted(CLASS + b"."),
    "an-instance-without-attributes": planted(CLASS + b")\x81."),
    "a-surrogate": planted(CLASS + b")\x81}(\x8c\x07_object\x8c\x04gASV\x8c\x0e_object_string\x8c\x03\xed\xb3\xa9ub."),
    "a-method-of-the-class": planted(CLASS + b"N}\x8c\x0bdeserialize" + CLASS[2:] + b"s\x86b0K\x07."),
    "printed-surrogates": Row(endings.succeed(printing("caf\udce9.csv")), None, options=PUBLIC_IMAGE),
    "raised-with-surrogates": Row(
        endings.raised(results.Legacy(traceback="ValueError: caf\udce9.csv", exception="ValueError")),
        ResultError,
        options=PUBLIC_IMAGE,
    ),
    "control-characters": Row(endings.raised(results.failed("\x1b]0;title\x07\x1b[2J\u202e", "\x1b[2J")), ResultError),
    "an-unpickled-dict": planted(pickle.dumps({"status": "succeeded"})),
}
EVERY = {**ROWS, **HOSTILE}


@pytest.mark.timeout(600)
def test_no_electron_is_left_running() -> None:
    names = list(EVERY)
    chosen = {f"covalent-batch-*-{node}": EVERY[name].ending for node, name in enumerate(names)}
    with Lab(endings=chosen) as lab, CovalentServer() as server, client_of(server) as client:

        def electron(name: str) -> Any:
            options = {**lab.options, **OPTIONS, **(EVERY[name].options or {})}
            return ct.electron(_nothing, executor=AWSBatchExecutor(**options))

        electrons = list(map(electron, names))

        @ct.lattice(executor="local", workflow_executor="local")
        def workflow() -> None:
            for electron in electrons:
                electron()

        dispatch = client.dispatch(workflow)

        def statuses() -> dict[str, str]:
            return dict(zip(names, map(_status, client.nodes(ct.get_result(dispatch))), strict=False))

        client.until(lambda: set(statuses().values()) <= ENDED, "every electron to end", 300)
        completed = {name for name, status in statuses().items() if status == "COMPLETED"}
        assert completed == {name for name, row in EVERY.items() if row.error is None}
        assert client.wait(dispatch).status == "FAILED"


def _nothing() -> None:
    """What the jobs would run, if they ran anything."""


def _status(node: dict[str, Any]) -> str:
    return str(node["status"])
