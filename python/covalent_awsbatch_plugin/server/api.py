"""The HTTP API of the Covalent server of the configuration, as a command asks it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from typing import Any

_TIMEOUT_SECONDS = 30.0
"""Seconds for an answer of the Covalent server."""

_PAGE = 100
"""Dispatches that one request asks for."""


class ServerUnreachableError(Exception):
    """The Covalent server does not answer, or not as a Covalent server does; the message says which and why."""


def url() -> str:
    """URL of the configured Covalent server."""
    from covalent._shared_files.utils import format_server_url

    return str(format_server_url())


@contextlib.contextmanager
def answers_of_covalent(verb: str = "asked") -> Iterator[None]:
    """Turns what goes wrong with requests in the block into one error.

    Args:
        verb: What could not be done with the server.

    Raises:
        ServerUnreachableError: It does not answer, or not as a Covalent server does.
    """
    try:
        yield
    except (ValueError, LookupError, TypeError) as error:  # not JSON, or not Covalent's
        raise ServerUnreachableError(f"what answers at {url()} is no Covalent server") from error
    except OSError as error:  # the base of what `requests` raises
        raise ServerUnreachableError(f"the Covalent server at {url()} cannot be {verb}: {_reason(error)}") from error


def get(path: str, query: Mapping[str, Any]) -> Any:
    """The JSON that the server answers to a GET request; to be called in `answers_of_covalent`.

    Args:
        path: Path on the server.
        query: Parameters.
    """
    return _request("get", path, params=query).json()


def dispatches(**wanted: list[str]) -> dict[str, str]:
    """The status of dispatches, sublattices' too, oldest first; to be called in `answers_of_covalent`.

    Args:
        **wanted: `dispatch_id` or `status`: the ids or statuses that are looked for.
    """
    found: dict[str, str] = {}
    while True:
        query = {**wanted, "offset": len(found), "count": _PAGE, "status_only": True, "latest": False}
        page = get("/api/v2/dispatches", query)["dispatches"]
        found |= {dispatch["dispatch_id"]: dispatch["status"] for dispatch in page}
        if len(page) < _PAGE:
            return found


def nodes(dispatch_id: str) -> list[dict[str, Any]]:
    """The nodes of a dispatch's graph; to be called in `answers_of_covalent`.

    Args:
        dispatch_id: The dispatch.
    """
    manifest = get(f"/api/v2/dispatches/{dispatch_id}", {})
    found: list[dict[str, Any]] = manifest["lattice"]["transport_graph"]["nodes"]
    return found


def end_of_task(dispatch_id: str, node_id: int, data: Mapping[str, Any]) -> None:
    """Uses Covalent's API for the end of a task: the server calls `receive` of the task's executor with the data.

    The server answers before `receive` has begun.

    Args:
        dispatch_id: The dispatch.
        node_id: A node of its graph.
        data: What `receive` gets.

    Raises:
        ServerUnreachableError: The server does not answer.
    """
    with answers_of_covalent("told"):
        _request("put", f"/api/v2/dispatches/{dispatch_id}/electrons/{node_id}/job", json=data)


def _reason(error: OSError) -> str:
    """The message of `requests` without the URL, which may contain a hundred dispatch ids."""
    reason = getattr(error.args[0] if error.args else None, "reason", error)
    return str(reason).partition(" for url")[0]


def _request(method: str, path: str, **arguments: Any) -> Any:
    from covalent._api.apiclient import CovalentAPIClient

    # The client prints the errors that it raises.
    with contextlib.redirect_stdout(io.StringIO()):
        return getattr(CovalentAPIClient(url()), method)(path, timeout=_TIMEOUT_SECONDS, **arguments)
