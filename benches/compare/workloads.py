"""What is run: how many tasks of what kind, and which faults meet them."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Workload:
    """Tasks that start at the same moment.

    Attributes:
        tasks: How many.
        form: What the jobs leave: our image's `envelope`, or `legacy` as the public image's program.
        argument: Bytes of each task's argument; 0 for a small one.
        result: The same for the result.
        job_seconds: How long a job runs.
        spread: The jobs' times are spread evenly over so many seconds more.
        poll_freq: The option; None for its default.
        latency: Seconds that each call takes the stand-in.
        limited: Whether it enforces the account's 50 Batch calls a second.
        faults: Whether calls fail as they do in the soak test.
        processes: How many processes run them one after the other, each all of them, in the same account.
        watch_loop: Whether the event loop's lateness is measured, which takes a little time itself.
        number: Tells runs apart that are alike.
    """

    tasks: int
    form: str = "envelope"
    argument: int = 0
    result: int = 0
    job_seconds: float = 1.0
    spread: float = 0.0
    poll_freq: float | None = 1.0
    latency: float = 0.0
    limited: bool = False
    faults: bool = False
    processes: int = 1
    watch_loop: bool = False
    number: int = 1

    def __str__(self) -> str:
        """In a few words, for the progress of a run."""
        said = [f"{self.tasks} tasks"]
        said += [self.form] if self.form != "envelope" else []
        said += [f"argument {self.argument // MIB} MiB"] if self.argument else []
        said += [f"result {self.result // MIB} MiB"] if self.result else []
        said += [f"latency {self.latency * 1000:.0f} ms"] if self.latency else []
        said += ["default poll_freq"] if self.poll_freq is None else []
        said += ["50 calls/s"] if self.limited else []
        said += ["faults"] if self.faults else []
        said += [f"{self.processes} processes"] if self.processes > 1 else []
        return ", ".join(said)


@dataclass(frozen=True)
class Sizes:
    """How large a run is.

    Attributes:
        usual: Tasks of the figures that speak of a hundred.
        most: Tasks of the largest setting.
        many: Tasks of the one that speaks of a thousand.
        limited: Tasks under the account's limit.
        few: Tasks whose completion is timed.
        series: Tasks of the runs that are plotted, ours.
        public: The same for the public plugin.
        payload: Bytes of a large payload.
        in_flight: Tasks that keep the event loop busy, and the bytes of each.
        often: How often what is compared with the machine itself is measured, large payloads and the event loop.
        repeats: Of what is timed in processes of its own.
        workflows: Those that are run on a real server, of `endtoend.WORKFLOWS`.
        travelling: Bytes of a result that several electrons use.
    """

    usual: int = 100
    most: int = 3000
    many: int = 1000
    limited: int = 500
    few: int = 20
    series: tuple[int, ...] = (1, 20, 100, 300, 1000, 3000)
    public: tuple[int, ...] = (1, 20, 100)
    payload: int = 512 * MIB
    in_flight: tuple[int, int] = (200, 20 * MIB)
    often: int = 3
    repeats: int = 5
    workflows: tuple[str, ...] = ("basic", "fan of 12", "fan of 60", "sublattice", "svm")
    travelling: int = 40_000_000


FULL = Sizes()
QUICK = Sizes(
    usual=2,
    most=4,
    many=3,
    limited=3,
    few=2,
    series=(1, 2, 4),
    public=(1, 2),
    payload=MIB,
    in_flight=(2, MIB),
    often=1,
    repeats=1,
    workflows=("basic",),
    travelling=2_000_000,
)
"""Whether everything runs; what it measures means nothing."""

LATENCY = 0.02
"""Of the plotted runs and of the largest setting."""
