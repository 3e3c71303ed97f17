"""What is to happen in a run, drawn from a seed: workflows, how their jobs end, and what goes wrong meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from lab import endings

NETWORK = ("partition", "resets", "bandwidth", "latency", "clock", "pause_aws")
"""What goes wrong between the server and AWS."""

ENDLESS = "runs for ever"
ENDINGS = {
    "succeeds": endings.succeed(),
    "succeeds late": endings.succeed(seconds=8),
    "raises": endings.raised(seconds=2),
    "exits": endings.exited(3),
    "out of memory": endings.out_of_memory(),
    "spot, then succeeds": endings.spot_reclaim(then=endings.succeed(seconds=2)),
    "no image": endings.image_missing(),
    ENDLESS: endings.runs_for_ever(),
}
_WEIGHTS = (6, 4, 1, 1, 1, 2, 1, 4)

_NODES = 12  # more than any of the workflows has


@dataclass(frozen=True)
class Step:
    """An electron of a workflow.

    Attributes:
        local: Whether it runs in the server, without a job.
        parent: The step whose result it takes; None for none.
    """

    local: bool
    parent: int | None


@dataclass(frozen=True)
class Event:
    """Something that happens.

    Attributes:
        after: Seconds since what was before it has ended.
        kind: What it is.
        seconds: How long it lasts, where it lasts.
        choice: Between 0 and 1, decides whom it concerns, or which way it goes.
    """

    after: float
    kind: str
    seconds: float = 0.0
    choice: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """What is to happen.

    Attributes:
        seed: From which it was drawn.
        workflows: One for each dispatch, two of them in the beginning. Each begins with a job.
        endings: By node, for all dispatches: a name in `ENDINGS`.
        calls_fail: Whether about one call of AWS in six goes wrong.
        network: Events between the server and AWS, one after the other.
        server: Events of the server and its user, one after the other, at the same time as those of the network.
    """

    seed: int
    workflows: tuple[tuple[Step, ...], ...]
    endings: tuple[str, ...]
    calls_fail: bool
    network: tuple[Event, ...]
    server: tuple[Event, ...]


def drawn(seed: int) -> Schedule:
    """The schedule of a seed: each has disturbances of the network of all kinds, and an end of the server."""
    random = Random(seed)
    kinds = ["cancel_electron", "cancel_dispatch", "pause_server", "dispatch"]
    kinds += random.choice((["kill"], ["stop"], ["kill", "stop"], ["kill", "kill"]))
    ends = kinds.count("kill") + kinds.count("stop")
    random.shuffle(kinds)
    network = random.sample(NETWORK, len(NETWORK))
    return Schedule(
        seed=seed,
        # Each end of the server has two: one whose job it may leave behind, and one for the server after it.
        workflows=tuple(_workflow(random) for _ in range(3 + 2 * ends)),
        endings=tuple(random.choices(tuple(ENDINGS), _WEIGHTS, k=_NODES)),
        calls_fail=random.random() < 0.5,
        network=tuple(_event(random, kind, 0.2, 2.0) for kind in network),
        server=tuple(_event(random, kind, 1.0, 4.0) for kind in kinds),
    )


def _workflow(random: Random) -> tuple[Step, ...]:
    steps: list[Step] = []
    for number in range(random.randint(3, 6)):
        parent = random.randrange(number) if number and random.random() < 0.4 else None
        steps.append(Step(number > 0 and random.random() < 0.2, parent))
    return tuple(steps)


def _event(random: Random, kind: str, soonest: float, latest: float) -> Event:
    after, seconds = random.uniform(soonest, latest), random.uniform(1.0, 4.0)
    return Event(round(after, 1), kind, round(seconds, 1), round(random.random(), 3))
