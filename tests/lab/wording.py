"""What a fault is called by each service."""

from __future__ import annotations

import calendar
import time
from email.utils import formatdate

from .faults import Fault
from .messages import AwsError
from .routes import Asked

_THROTTLED = {
    "batch": ("TooManyRequestsException", "Too Many Requests", 429),
    "s3": ("SlowDown", "Please reduce your request rate.", 503),
}
_FAILED = {
    "s3": ("InternalError", "We encountered an internal error. Please try again."),
    "batch": ("ServerException", "Error executing request, Exception : Internal server error"),
    "ecr": ("ServerException", "Internal server error"),
    "logs": ("ServiceUnavailableException", "Service unavailable"),
}
_EXPIRED = {
    "s3": ("ExpiredToken", "The provided token has expired.", 400),
    "sts": ("ExpiredToken", "The security token included in the request is expired", 403),
    "batch": ("ExpiredTokenException", "The security token included in the request is expired", 403),
}
_EXPIRED_BY_TARGET = ("ExpiredTokenException", "The security token included in the request is expired", 400)
_SIGNING_WINDOW = {"s3": 900}


def fault_error(fault: Fault, asked: Asked) -> AwsError:
    """The error with which a service answers a fault."""
    if fault.code != "*":
        return AwsError(fault.code, fault.message, fault.status)
    if fault.kind in ("throttle", "limit"):
        return AwsError(*_THROTTLED.get(asked.service, ("ThrottlingException", "Rate exceeded", 400)))
    if fault.kind == "expired":
        return expired(asked.service)
    if fault.kind == "denied":
        return denied(asked)
    if fault.kind == "skewed":
        return _skewed(asked)
    code, message = _FAILED.get(asked.service, ("InternalFailure", "Internal failure"))
    return AwsError(code, message, fault.status)


def expired(service: str) -> AwsError:
    """The session token has expired."""
    return AwsError(*_EXPIRED.get(service, _EXPIRED_BY_TARGET))


def missing(service: str) -> AwsError:
    """The request is not signed."""
    if service == "s3":
        return AwsError("AccessDenied", "Access Denied", 403)
    return AwsError("MissingAuthenticationToken", "Missing Authentication Token", 403)


def denied(asked: Asked) -> AwsError:
    """The caller lacks the right."""
    if asked.service == "s3":
        return AwsError("AccessDenied", "Access Denied", 403)
    who = f"arn:aws:iam::123456789012:user/{asked.request.access_key}"
    message = f"User: {who} is not authorized to perform: {asked.service}:{asked.operation}"
    if asked.service == "sts":
        return AwsError("AccessDenied", message, 403)
    status = 403 if asked.service == "batch" else 400
    return AwsError("AccessDeniedException", message, status)


def is_skewed(asked: Asked, skew: float) -> bool:
    """Whether a request's date is too far from that of a clock which is so far ahead."""
    return abs(time.time() + skew - _signed_at(asked)) > _SIGNING_WINDOW.get(asked.service, 300)


def date(skew: float) -> str:
    """The time of a clock which is so far ahead, as answers carry it: the SDKs sign the next try by it."""
    return formatdate(time.time() + skew, usegmt=True)


def _skewed(asked: Asked) -> AwsError:
    if asked.service == "s3":
        message = "The difference between the request time and the current time is too large."
        return AwsError("RequestTimeTooSkewed", message, 403)
    code = "SignatureDoesNotMatch" if asked.service == "sts" else "InvalidSignatureException"
    return AwsError(code, "Signature expired: it is now earlier than the service's time", 403)


def _signed_at(asked: Asked) -> float:
    try:
        return calendar.timegm(time.strptime(asked.request.headers.get("x-amz-date", ""), "%Y%m%dT%H%M%SZ"))
    except ValueError:
        return time.time()
