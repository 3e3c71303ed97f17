"""Which AWS operations the core asked for while the tests ran, as the endpoints saw it.

Every test that speaks to the laboratory or to the embedded AWS adds to it. What tests ask with boto3 does not count.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from lab import Lab, laboratory, routes
from lab.messages import Request
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

seen: set[str] = set()
"""Names of operations, such as `SubmitJob`."""

_CORE = "aws-sdk-rust"


@contextmanager
def recorded() -> Iterator[None]:
    """Watches both endpoints of this process."""
    end, dispatch = Lab.__exit__, DomainDispatcherApplication.__call__

    def watched_end(lab: Lab, *details: object) -> None:
        try:
            calls = lab.calls()
        except (OSError, EOFError):  # a test has ended the laboratory itself
            calls = []
        seen.update(call.operation for call in calls if call.facts.get("agent", "").startswith(_CORE))
        end(lab, *details)

    def watched_dispatch(
        application: DomainDispatcherApplication, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if environ.get("HTTP_USER_AGENT", "").startswith(_CORE):
            seen.add(_operation(environ))
        answer: Iterable[bytes] = dispatch(application, environ, start_response)
        return answer

    laboratory.Lab.__exit__ = watched_end  # type: ignore[method-assign]
    DomainDispatcherApplication.__call__ = watched_dispatch
    try:
        yield
    finally:
        laboratory.Lab.__exit__ = end  # type: ignore[method-assign]
        DomainDispatcherApplication.__call__ = dispatch


def _operation(environ: dict[str, Any]) -> str:
    path, target = environ["PATH_INFO"], environ.get("HTTP_X_AMZ_TARGET", "")
    body = b""
    if path == "/" and not target:  # a form names its operation in the body, which can be read only once
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
    if path.startswith("/v1/"):
        return routes.BATCH.get(path, path)
    if "HTTP_X_AMZ_COPY_SOURCE" in environ:
        return "CopyObject"
    headers = {"x-amz-target": target}
    request = Request(environ["REQUEST_METHOD"], f"{path}?{environ['QUERY_STRING']}", headers, body)
    return target.partition(".")[2] or routes.asked(request).operation
