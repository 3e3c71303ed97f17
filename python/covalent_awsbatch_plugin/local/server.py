"""Moto's server as threads of this process."""

from __future__ import annotations

import socket
import threading
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.exceptions import NotFound
from werkzeug.serving import make_server

from .access import HEADERS, AccessControl
from .keys import Keys
from .spot_notice import SpotNotices

_HOST = "127.0.0.1"
_STOP_SECONDS = 5.0
# How often the listening thread checks whether it has to stop.
_POLL_SECONDS = 0.1
# Parts of moto that are not AWS services: its own API, which can replay requests and reset its state, and the instance
# metadata service, which hands out credentials.
_DISABLED_SERVICES = ("moto_api", "instance_metadata")


class _Handler(MotoRequestHandler):
    def make_environ(self) -> dict[str, Any]:
        """Adds the original headers."""
        return {**super().make_environ(), HEADERS: self.headers.items()}


class _QuietHandler(_Handler):
    def log(self, *_args: Any, **_kwargs: Any) -> None:
        """Keeps requests out of the log."""


class Server:
    """Listens on 127.0.0.1 until it is stopped. Its port is known before it starts to answer.

    Args:
        port: TCP port; 0 takes a free one.
        quiet: Whether to keep requests out of the log.
        keys: The accepted keys.
        notices: Answers for the instance metadata of jobs.

    Raises:
        OSError: The port is taken.
    """

    def __init__(self, port: int, quiet: bool, keys: Keys, notices: SpotNotices) -> None:
        # The socket is opened here, since werkzeug exits the process when the port is taken.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((_HOST, port))
            listener.listen(128)
            self.port: int = listener.getsockname()[1]
            self._server = make_server(
                _HOST,
                self.port,
                notices.before(AccessControl(DomainDispatcherApplication(_application_for), self.port, keys)),
                threaded=True,
                request_handler=_QuietHandler if quiet else _Handler,
                fd=listener.fileno(),
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), daemon=True, name="embedded-aws"
        )

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{_HOST}:{self.port}"

    def start(self) -> None:
        """Starts to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stops listening. No connection stays open, since werkzeug closes each after one answer."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(_STOP_SECONDS)
        self._server.server_close()


def _application_for(service: Any) -> Any:
    """Returns the application that answers for a service, which answers 404 for what is none."""
    return NotFound() if service in _DISABLED_SERVICES else create_backend_app(service)
