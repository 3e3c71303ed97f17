"""The port that is remembered."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from covalent_awsbatch_plugin.local.port import FREE, chosen


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "covalent-awsbatch" / "local-port"


def test_a_port_that_was_given_is_the_next_ones_unless_it_is_taken() -> None:
    assert chosen(None) == FREE
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert chosen(port) == port, "that it is taken is said by who wants to listen there"
        assert chosen(None) == FREE
    assert chosen(None) == port
    assert chosen(FREE) == FREE
    assert chosen(None) == port, "0 is not remembered"


@pytest.mark.parametrize("content", ["", "many", "-1", "70000"])
def test_what_is_no_port_is_none(state: Path, content: str) -> None:
    state.parent.mkdir()
    state.write_text(content)
    assert chosen(None) == FREE
