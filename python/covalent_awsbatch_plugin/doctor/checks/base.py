"""The types of the checks."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.doctor.policy import Place
from covalent_awsbatch_plugin.errors import AccessError, AWSBatchError
from covalent_awsbatch_plugin.options.settings import Settings

_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}


class State(str, enum.Enum):
    """The outcome of a check."""

    PASSED = "well"
    FAILED = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Check:
    """One line of the doctor's report.

    Attributes:
        name: What was checked.
        state: The outcome.
        found: What was found, or why it is unknown.
        fix: What to do; empty if nothing.
        seconds: Of `--run`: when the job was first seen in each state.
        providers: More of it for `--verbose`: the error of each credentials provider, if there are no credentials.
    """

    name: str
    state: State
    found: str
    fix: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    providers: str = ""


@dataclass
class Case:
    """The configuration that is checked, and results of earlier checks that later ones need.

    Attributes:
        settings: The configuration.
        connection: The core's client.
        arn: The caller; empty until it is known.
        place: Account, region and partition; None until they are known.
        answered: Whether AWS has answered at all.
        unresponsive_host: Host that did not answer the call for the caller's identity; empty if it did.
        allowed_actions: Actions that have succeeded.
        architectures: Possible architectures of the queues' instances.
        architectures_of_queues: The same of each queue.
    """

    settings: Settings
    connection: Client
    arn: str = ""
    place: Place | None = None
    answered: bool = True
    unresponsive_host: str = ""
    allowed_actions: set[str] = field(default_factory=set)
    architectures: set[str] = field(default_factory=lambda: {"amd64"})
    architectures_of_queues: list[set[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inspector = self.connection.inspector()

    @property
    def known(self) -> Place:
        """The place, for checks that run after the credentials were accepted."""
        assert self.place is not None
        return self.place


Step = Callable[[Case], Awaitable[Sequence[Check]]]


def passed(name: str, found: str) -> Check:
    """A check that has found no problem."""
    return Check(name, State.PASSED, found)


def failed(name: str, found: str, fix: str) -> Check:
    """A check that has found a problem, and how to fix it."""
    return Check(name, State.FAILED, found, fix)


def unknown(name: str, found: str) -> Check:
    """A check whose outcome is unknown."""
    return Check(name, State.UNKNOWN, found)


def from_error(name: str, error: AWSBatchError) -> Check:
    """A check whose call failed, or was denied because of a right that only the doctor needs."""
    if isinstance(error, AccessError) and error.details.get("code") in _DENIED and error.details.get("operation"):
        return unknown(name, f"could not tell: needs {error.details['operation']}")
    if not error.details.get("asked", True):
        return unknown(name, f"not asked: no answer from {error.details['endpoint']}")
    return unknown(name, f"could not tell: {error.message}")
