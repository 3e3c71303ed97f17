"""The stand-in's process: `python -m lab.serve 3`, with the number of the control socket's file descriptor."""

from __future__ import annotations

import gc
import signal
import socket
import sys

import uvloop

from .control import serve


def main() -> None:
    """Serves until the laboratory closes its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which then end this
    gc.set_threshold(50_000, 20, 20)  # a hundred thousand jobs are much to look through for the few cycles there are
    with socket.socket(fileno=int(sys.argv[1])) as control:
        control.setblocking(False)
        uvloop.run(serve(control))


if __name__ == "__main__":
    main()
