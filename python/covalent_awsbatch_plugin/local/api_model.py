"""Validates requests by AWS's API model, which botocore contains and moto does not check."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any


def model_violations(service: str, operation: str, parameters: Mapping[str, Any]) -> str:
    """Validate a request.

    Args:
        service: botocore's name, such as `batch`.
        operation: Such as `SubmitJob`.
        parameters: The request's fields.

    Returns:
        Fields that are unknown, missing, or of another type, in one line; empty if there are none.
    """
    from botocore.validate import ParamValidator

    report = ParamValidator().validate(dict(parameters), _service(service).operation_model(operation).input_shape)
    return "; ".join(report.generate_report().splitlines()) if report.has_errors() else ""


@functools.cache
def _service(name: str) -> Any:
    from botocore.session import Session

    return Session().get_service_model(name)
