"""A job's output as a CloudWatch log stream."""

from __future__ import annotations

import codecs
import time
from contextlib import suppress
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.logs.models import LogEvent

from .api import api_lock

# A CloudWatch event may hold 256 KiB, of which 26 bytes are the service's own
# (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html).
_MAX_EVENT_BYTES = 256 * 1024 - 26
# Moto keeps all events in memory, some 350 bytes each besides the text; above this the older half is dropped.
_MAX_EVENTS = 400_000


class LogStream:
    """Splits output into lines and puts each as an event into a stream, which it creates.

    Empty lines are dropped, as the awslogs driver drops them; bytes that are not UTF-8 are replaced.

    Args:
        backend: moto's CloudWatch Logs of one account and region.
        group: Name of a log group that exists.
        stream: Name of the stream.
    """

    def __init__(self, backend: Any, group: str, stream: str) -> None:
        self._backend = backend
        self._group = group
        self._stream = stream
        self._pending = ""
        self._last_timestamp = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with api_lock:
            backend.ensure_log_stream(group, stream)

    def write(self, output: bytes) -> None:
        """Adds a chunk of output; b"" is the end."""
        *lines, rest = (self._pending + self._decoder.decode(output, final=not output)).split("\n")
        if not output:
            lines, rest = [*lines, rest], ""
        pieces = [piece for line in lines for piece in _cut(line.removesuffix("\r"))]
        *early, rest = _cut(rest) or [""]
        self._pending = rest
        self._put([piece for piece in pieces + early if piece])

    def _put(self, messages: list[str]) -> None:
        if not messages:
            return
        # Events are read back in the order of their timestamps, and clocks can step back.
        self._last_timestamp = max(self._last_timestamp, int(time.time() * 1000))
        events = [{"timestamp": self._last_timestamp, "message": message} for message in messages]
        # The group or the stream may have been deleted; the job goes on, as in the service.
        with suppress(JsonRESTError, KeyError), api_lock:
            self._backend.put_log_events(self._group, self._stream, events)
            kept = self._backend.groups[self._group].streams[self._stream].events
            if len(kept) > _MAX_EVENTS:
                del kept[: _MAX_EVENTS // 2]
                # Moto tracks all instances, which would keep the dropped events in memory.
                LogEvent.instances_tracked.clear()  # type: ignore[attr-defined]


def _cut(line: str) -> list[str]:
    """Splits a line that is too long for one event; a character has at most four bytes in UTF-8."""
    size = _MAX_EVENT_BYTES // 4
    return [line[start : start + size] for start in range(0, len(line), size)]
