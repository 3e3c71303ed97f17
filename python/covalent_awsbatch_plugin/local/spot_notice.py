"""What EC2's instance metadata says of a machine that is to be taken back, for each job apart.

It answers without a signature, as the metadata does, and tells nothing else.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from werkzeug.wrappers import Response

_PREFIX = "/spot-notice/"
_TOKEN_PATH = "/latest/api/token"  # noqa: S105
_NOTICE_PATH = "/latest/meta-data/spot/instance-action"


class SpotNotices:
    """The notices, and the application that answers for them before another one does."""

    def __init__(self) -> None:
        self._notices: dict[str, dict[str, str]] = {}
        self._token = secrets.token_urlsafe()

    @staticmethod
    def path(job_id: str) -> str:
        """Path of a job's instance metadata.

        Args:
            job_id: The job.
        """
        return _PREFIX + job_id.replace(":", "-")

    def announce(self, job_id: str, seconds: float) -> None:
        """Announces that a job's machine is to be taken back.

        Args:
            job_id: The job.
            seconds: In how many seconds.
        """
        at = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        self._notices[self.path(job_id)] = {"action": "terminate", "time": at.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def withdraw(self, job_id: str) -> None:
        """Forgets it: the next attempt of the job has another machine.

        Args:
            job_id: The job.
        """
        self._notices.pop(self.path(job_id), None)

    def before(self, application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        """Makes an application that answers for the notices and leaves the rest to another one.

        Args:
            application: That other one.
        """

        def answering(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            if not environ["PATH_INFO"].startswith(_PREFIX):
                return application(environ, start_response)
            return self._answer(environ)(environ, start_response)

        return answering

    def _answer(self, environ: dict[str, Any]) -> Response:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if "HTTP_ORIGIN" in environ or "HTTP_X_FORWARDED_FOR" in environ:
            return Response(status=403)
        if method == "PUT" and path.endswith(_TOKEN_PATH):
            asked = environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN_TTL_SECONDS", "")
            return Response(self._token, 200) if asked.isdecimal() else Response(status=400)
        if environ.get("HTTP_X_AWS_EC2_METADATA_TOKEN") != self._token:
            return Response(status=401)
        notice = self._notices.get(path.removesuffix(_NOTICE_PATH)) if method == "GET" else None
        return Response(json.dumps(notice), 200) if notice and path.endswith(_NOTICE_PATH) else Response(status=404)
