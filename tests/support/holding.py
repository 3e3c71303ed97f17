"""A way to AWS on which chosen requests stop, so that a server can end at a known point of a task."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping

from covalent_awsbatch_plugin.local import LocalAWS

from .servers import Answer, HttpServer, Request
from .signing import forward_signed

POINTS = {
    "upload": "PUT .*/func-{task}.pkl",
    "part": "PUT .*/func-{task}.pkl.*partNumber=2",
    "submission": 'POST .*/submitjob .*covalent-batch-{task}"',
    "answer": 'POST .*/submitjob .*covalent-batch-{task}"',
    "result": "GET .*/result-{task}.pkl",
}
"""Where a request of a task stops: before AWS gets it, but for `answer`, which stops when AWS has acted."""


class Holding(HttpServer):
    """Forwards everything, and holds what it is told to.

    Args:
        aws: Where it forwards to.
    """

    def __init__(self, aws: LocalAWS) -> None:
        self._forward = forward_signed(aws)
        self._points: dict[str, tuple[str, re.Pattern[str]]] = {}
        self._released = threading.Event()
        self.held: set[str] = set()
        super().__init__(self._answer)

    def hold(self, points: Mapping[str, str]) -> None:
        """Holds requests of tasks.

        Args:
            points: By task (dispatch and node, with a hyphen between) the point, of `POINTS`.
        """
        self._released = threading.Event()
        self.held.clear()
        self._points = {
            task: (point, re.compile(POINTS[point].format(task=re.escape(task)), re.DOTALL))
            for task, point in points.items()
        }

    def release(self) -> None:
        """Holds nothing any more. What was held before AWS got it never gets there."""
        self._points = {}
        self._released.set()

    def _answer(self, request: Request) -> Answer:
        text = f"{request.method} {request.path} {request.body[:10_000].decode(errors='replace')}"
        for task, (point, pattern) in list(self._points.items()):
            if pattern.match(text):
                answer = self._forward(request) if point == "answer" else Answer(status=503)
                released = self._released
                self.held.add(task)
                released.wait()
                return answer
        return self._forward(request)
