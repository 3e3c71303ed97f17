"""The embedded AWS's answer to a refused request."""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response


class RefusedError(Exception):
    """A request is refused.

    Args:
        code: AWS's code for it.
        message: Why; names no key and no signature.
        status: HTTP status.
    """

    def __init__(self, code: str, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def response(self, service: str, content_type: str) -> Response:
        """Returns the answer in the format of the service.

        Args:
            service: The service's name in the signature; empty when it is not known, which is taken for S3.
            content_type: The request's, which decides between JSON and XML.
        """
        headers = {"x-amzn-errortype": self.code}
        if "json" in content_type:
            body = json.dumps({"__type": self.code, "message": self.message})
            return Response(body, self.status, headers, content_type="application/json")
        error = f"<Error><Code>{escape(self.code)}</Code><Message>{escape(self.message)}</Message></Error>"
        if service == "ec2":
            error = f"<Response><Errors>{error}</Errors></Response>"
        elif service not in ("", "s3"):
            error = f"<ErrorResponse>{error}</ErrorResponse>"
        return Response(error, self.status, headers, content_type="application/xml")
