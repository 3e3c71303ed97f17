"""The port of the embedded AWS that its user chose last, so that an address which was written down stays right."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

FREE = 0
"""What an operating system takes for any free port."""


def chosen(given: int | None) -> int:
    """The port to listen on.

    Args:
        given: What the user asks for, which is remembered unless it is 0; None for the last one that is remembered.

    Returns:
        0 for any free one: nothing is remembered, or something else listens there by now.
    """
    file = _file()
    if given is not None:
        if given != FREE:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{given}\n", encoding="utf-8")
        return given
    with suppress(OSError, ValueError, OverflowError):
        port = int(file.read_text(encoding="utf-8"))
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
        return port
    return FREE


def _file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(state) / "covalent-awsbatch" / "local-port"
