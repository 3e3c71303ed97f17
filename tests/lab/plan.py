"""Which fault strikes which call: for a given seed a pure function of the operation and the number of the call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from hashlib import blake2b

from .faults import Fault


def draw(seed: int, operation: str, number: int, salt: str = "") -> float:
    """A number in 0..1 that depends on nothing else."""
    digest = blake2b(f"{seed}/{operation}/{number}/{salt}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56


@dataclass
class _Bucket:
    """Tokens of a request limit."""

    tokens: float
    filled: float

    def take(self, now: float, fault: Fault) -> bool:
        self.tokens = min(fault.burst, self.tokens + (now - self.filled) * fault.per_second)
        self.filled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


@dataclass
class Plan:
    """The faults in force.

    Args:
        seed: Makes the decisions.
        faults: In order of precedence.
        start: Time at which they were set.
    """

    seed: int
    faults: Sequence[Fault] = ()
    start: float = 0.0
    _of: dict[str, list[tuple[int, Fault]]] = field(default_factory=dict)
    _seen: Counter[tuple[int, str]] = field(default_factory=Counter)
    _struck: Counter[int] = field(default_factory=Counter)
    _buckets: dict[int, _Bucket] = field(default_factory=dict)

    def decide(
        self, service: str, operation: str, number: int, facts: Mapping[str, str], now: float
    ) -> tuple[Fault | None, list[Fault]]:
        """The fault that answers or breaks the answer, if any, and what makes the answer slow.

        Args:
            service: Such as `s3`.
            operation: Such as `GetObject`.
            number: Which call of this operation it is, from 1.
            facts: What it is about.
            now: The laboratory's time.
        """
        outcome, slowness = None, []
        reached, lot = 0.0, draw(self.seed, operation, number)
        for index, fault in self._faults_of(service, operation):
            if not self._applies(index, fault, operation, number, facts, now - self.start):
                continue
            if fault.is_slowness:
                share = fault.when.rate
                if share >= 1 or draw(self.seed, operation, number, f"slow{index}") < share:
                    self._struck[index] += 1
                    slowness.append(fault)
            elif fault.per_second:
                bucket = self._buckets.setdefault(index, _Bucket(fault.burst, now))
                if not bucket.take(now, fault) and outcome is None:
                    self._struck[index] += 1
                    outcome = fault
            elif outcome is None:
                strikes = fault.when.rate >= 1 or reached <= lot < reached + fault.when.rate
                reached += fault.when.rate
                if strikes:
                    self._struck[index] += 1
                    outcome = fault
        return outcome, slowness

    def _faults_of(self, service: str, operation: str) -> list[tuple[int, Fault]]:
        if operation not in self._of:
            names = (operation, f"{service}:{operation}")
            self._of[operation] = [
                (index, fault)
                for index, fault in enumerate(self.faults)
                if any(fnmatchcase(name, fault.operation) for name in names)
            ]
        return self._of[operation]

    def _applies(  # noqa: PLR0913, PLR0917
        self, index: int, fault: Fault, operation: str, number: int, facts: Mapping[str, str], elapsed: float
    ) -> bool:
        when = fault.when
        if when.where:
            if not all(fnmatchcase(facts.get(name, ""), pattern) for name, pattern in when.where.items()):
                return False
            self._seen[index, operation] += 1
            number = self._seen[index, operation]
        return (
            (not when.at or number in when.at)
            and (when.between is None or when.between[0] <= number <= when.between[1])
            and (when.times is None or self._struck[index] < when.times)
            and when.after <= elapsed < when.until
        )
