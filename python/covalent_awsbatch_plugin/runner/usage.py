"""What an attempt used, and when its image was pulled: for a report. Nothing fails if it cannot be had."""

from __future__ import annotations

import json
import os
import re
import resource
import sys
from typing import Any

_ECS = "ECS_CONTAINER_METADATA_URI_V4"
"""Variable that the ECS agent sets: where it tells a container of itself. Elsewhere there is none."""

_CGROUP = ("/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes")
"""Most memory of the container, in version 2 and 1 of Linux's control groups."""

_TIMEOUT_SECONDS = 2.0
_MOST_BYTES = 1024 * 1024
_PULL = {"PullStartedAt": "pull_started_at", "PullStoppedAt": "pull_stopped_at"}

_pull_times: dict[str, float] = {}


def described(attempt: int | None, peak_rss_bytes: int) -> dict[str, Any]:
    """What `USAGE_METADATA` says.

    Args:
        attempt: Which attempt this is.
        peak_rss_bytes: What `peak_rss` returned.
    """
    known = {"attempt": attempt, "peak_rss_bytes": peak_rss_bytes, "container_peak_bytes": _container_peak()}
    return {name: value for name, value in known.items() if value is not None} | _pull_times


def peak_rss() -> int:
    """Most memory of one process, in bytes: this one, or the largest of its children; Linux counts in KiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def learn_pull_times() -> None:
    """Ask the ECS agent when the image was pulled, for `described`; to be called in a thread. Never raises."""
    if not (place := os.environ.get(_ECS)):
        return
    try:
        said = _ask(place)
        for theirs, ours in _PULL.items():
            if (at := _seconds(said.get(theirs))) is not None:
                _pull_times[ours] = at
    except (OSError, ValueError, AttributeError):
        pass  # nothing depends on it


def _ask(place: str) -> Any:
    """The agent's description of the task (v4 of the endpoint, `/task`), over plain HTTP on this machine."""
    import socket  # http.client would take longer to be imported than the question takes

    address = re.fullmatch(r"http://([^/:]+)(?::(\d+))?(/[!-~]*)?", place)
    if address is None:
        raise ValueError("no address")
    host, port, path = address.groups()
    with socket.create_connection((host, int(port or 80)), _TIMEOUT_SECONDS) as connection:
        connection.sendall(f"GET {path or ''}/task HTTP/1.0\r\nHost: {host}\r\n\r\n".encode("ascii"))
        answer = b""
        while len(answer) < _MOST_BYTES and (piece := connection.recv(65536)):
            answer += piece
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def _seconds(said: Any) -> float | None:
    """Seconds since 1970 of a time as the agent writes it: `2020-10-02T00:43:06.202617438Z`."""
    from datetime import datetime

    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?\d*Z", str(said))
    if found is None:
        return None
    return datetime.fromisoformat(f"{found[1]}+00:00").timestamp() + float(found[2] or 0)


def _container_peak() -> int | None:
    """Bytes; None where this is no container of ECS, since a control group would then be of something else."""
    if _ECS not in os.environ:
        return None
    try:
        place = next(place for place in _CGROUP if os.access(place, os.R_OK))
        with open(place, encoding="ascii") as file:  # noqa: PTH123  (pathlib takes its time to be imported)
            return int(file.read())
    except (StopIteration, OSError, ValueError):
        return None
