"""What was asked, and what came of it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

KEPT = 500_000


@dataclass(frozen=True, slots=True)
class Call:
    """One call.

    Attributes:
        operation: Such as `SubmitJob`.
        number: Which call of this operation it was, from 1.
        facts: What it was about, by the API's own names: `Bucket`, `Key`, `PartNumber`, `jobName`, `jobs` (how many),
            `accessKey`, `agent` …
        acted: Whether the service did what it was asked for, whatever then became of its answer.
        status: HTTP status of the answer, also of one that got lost.
        code: AWS's error code in it; empty for none.
        faults: Kinds of the faults that struck.
        time: Seconds of the laboratory's clock.
    """

    operation: str
    number: int
    facts: Mapping[str, str]
    acted: bool
    status: int
    code: str
    faults: tuple[str, ...]
    time: float


class Recorder:
    """Keeps the calls, the oldest of very many excepted, and counts them all."""

    def __init__(self) -> None:
        self.calls: deque[Call] = deque(maxlen=KEPT)
        self.counts: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def next_number(self, operation: str) -> int:
        """Counts a call."""
        self.counts[operation] += 1
        return self.counts[operation]

    def keep(self, call: Call) -> None:
        """Takes a call in when its outcome is known."""
        self.calls.append(call)
        self.faults.update(call.faults)
