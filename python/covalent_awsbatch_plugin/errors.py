"""What can go wrong, as exceptions: one base, few children, each of which survives pickling.

All of them are `TaskRuntimeError`s, so that Covalent marks the electron FAILED and keeps what the task printed.
The message is one sentence for the person who reads it: what happened, why, and what to do.
"""

from __future__ import annotations

from typing import Any

from covalent._shared_files.exceptions import TaskRuntimeError

from .printable import printable

_LONGEST_MESSAGE = 200_000  # characters; a traceback may be long, and a log line of many megabytes explains nothing


class AWSBatchError(TaskRuntimeError):  # type: ignore[misc]  # covalent ships no types
    """Anything this package raises.

    Args:
        message: What happened, why, and what to do. What it quotes of AWS or of a function is made printable.
        **details: Plain values that a program may want: `job_id`, `queue`, `operation`, `bucket`, `key`, `code`
            (AWS's error code), `request_id`, `endpoint` (host that did not answer), `exit_code`, `attempts`, `cause`,
            `console` (link to the job's page), `node` (the one of several that failed); where there are no
            credentials, `found`, `fix` and `providers`.
    """

    def __init__(self, message: str = "", **details: Any) -> None:
        # Parts of it come from AWS, from the bucket and from what the function did.
        self.message = printable(message, _LONGEST_MESSAGE)
        super().__init__(self.message)
        self.details = details

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.details)

    def __getattr__(self, name: str) -> Any:
        details = self.__dict__.get("details", {})
        if name in details:
            return details[name]
        raise AttributeError(name)


class SettingsError(AWSBatchError, ValueError):
    """An option has a value that cannot work."""


class AccessError(AWSBatchError, PermissionError):
    """AWS did not accept the credentials, or they may not do what was asked."""


class ServiceError(AWSBatchError):
    """An AWS call failed for another reason: refused, unreachable, throttled for too long, or damaged on its way."""


class JobFailedError(AWSBatchError):
    """The job ended without a result: the function raised, or the container did not survive."""


class ResultError(AWSBatchError):
    """The job succeeded but what it left behind cannot be used: missing, corrupt, or not to be trusted."""


def unanswered(error: AWSBatchError, unasked: str) -> AWSBatchError:
    """The error of a call that was not answered, with what a command did not ask therefore.

    Args:
        error: The error.
        unasked: What is not known now.
    """
    return type(error)(f"{error.message}. Not asked therefore: {unasked}.", **error.details)


def _rebuild(kind: type[AWSBatchError], message: str, details: dict[str, Any]) -> AWSBatchError:
    return kind(message, **details)
