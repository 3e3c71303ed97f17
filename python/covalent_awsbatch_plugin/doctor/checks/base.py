"""What a check is, and what it knows."""

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
    """What came of a check."""

    WELL = "well"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Check:
    """One line of the doctor's report.

    Attributes:
        name: What was looked at.
        state: What came of it.
        found: What there is, or why it could not be told.
        fix: What to do; empty if there is nothing to be done.
        seconds: Of `--run`: when the job was first seen in each state.
        providers: What each place says that may have credentials, where there are none.
    """

    name: str
    state: State
    found: str
    fix: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    providers: str = ""


@dataclass
class Case:
    """What is looked at, and what earlier checks found that later ones need.

    Attributes:
        settings: The configuration.
        connection: The core's client.
        arn: The caller; empty until it is known.
        place: Account, region and partition; None until they are known.
        reached: Whether AWS answered at all.
        silent: Host that did not answer when it was asked for the caller; empty if it did.
        proven: Actions that were seen to be allowed.
        architectures: What the queue's instances may be.
    """

    settings: Settings
    connection: Client
    arn: str = ""
    place: Place | None = None
    reached: bool = True
    silent: str = ""
    proven: set[str] = field(default_factory=set)
    architectures: set[str] = field(default_factory=lambda: {"amd64"})

    def __post_init__(self) -> None:
        self.ask = self.connection.inspector()

    @property
    def known(self) -> Place:
        """The place, for checks that run once the credentials are known to be good."""
        assert self.place is not None
        return self.place


Step = Callable[[Case], Awaitable[Sequence[Check]]]


def well(name: str, found: str) -> Check:
    """Nothing is wrong."""
    return Check(name, State.WELL, found)


def wrong(name: str, found: str, fix: str) -> Check:
    """Something is, and this mends it."""
    return Check(name, State.WRONG, found, fix)


def unknown(name: str, found: str) -> Check:
    """It could not be told."""
    return Check(name, State.UNKNOWN, found)


def untold(name: str, error: AWSBatchError) -> Check:
    """A question was not answered: denied, for want of a right that only the doctor needs, or failed."""
    if isinstance(error, AccessError) and error.details.get("code") in _DENIED and error.details.get("operation"):
        return unknown(name, f"could not tell: needs {error.details['operation']}")
    if not error.details.get("asked", True):
        return unknown(name, f"not asked: no answer from {error.details['endpoint']}")
    return unknown(name, f"could not tell: {error.message}")
