"""What so many tasks cost: the model of `docs/scaling.md`, to be compared with what was measured."""

from __future__ import annotations

from dataclasses import dataclass

RATE = 45.0
"""Batch calls a second that the core allows itself of the account's 50 (`src/aws/rate_limiter.rs`)."""
BURST = 100.0
"""Calls that may go out at once after a pause (the same)."""
POLLING = 5.0
"""Calls a second that polling takes at the most (`src/batch/watcher/mod.rs`)."""
IDS = 100
"""Jobs in a DescribeJobs call."""

FIXED_CALLS = 4
"""Who is calling, which jobs of this dispatch there are, which definitions, and a definition."""
CALLS = {"envelope": 3, "legacy": 4}
"""Put, submit, get; the public image's program leaves a second object with what was printed."""

CPU = 0.004
"""Seconds of processor time of a task on the machine of the benchmarks."""
SERVER = 0.09
"""Seconds of processor time of an electron in Covalent's own server (`--only server`)."""
MEMORY = 75_000
"""Bytes for a task that is under way."""
BASE = 10 * 2**20
"""Bytes of the core's connections and threads, on top of the process with Covalent in it."""


@dataclass(frozen=True)
class Cost:
    """What a dispatch costs.

    Attributes:
        calls: Of AWS.
        polls: Those of them that ask for the state of jobs.
        seconds: From the first task's start to the last result.
        memory: Bytes on top of the process before.
    """

    calls: float
    polls: float
    seconds: float
    memory: float


def cost(  # noqa: PLR0913
    tasks: int,
    *,
    form: str = "envelope",
    job_seconds: float = 1.0,
    latency: float = 0.02,
    poll_freq: float = 1.0,
    payload: int = 0,
    bandwidth: float = 1e9,
    in_server: bool = False,
    in_arrays: bool = False,
) -> Cost:
    """Works out what tasks cost that start at the same moment and find a machine at once.

    Args:
        tasks: How many.
        form: What their jobs leave, `envelope` or `legacy`.
        job_seconds: How long a job runs.
        latency: Seconds that a call takes.
        poll_freq: The option.
        payload: Bytes of each task's argument and result together, after base64.
        bandwidth: Bytes a second to and from S3.
        in_server: Whether Covalent's server hands the tasks over, which takes its processor.
        in_arrays: Whether one SubmitJob took 10,000 of them, as array jobs would.
    """
    submits = -(-tasks // 10_000) if in_arrays else tasks
    # Submission is what the account's limit stretches; polling takes its share of the same calls meanwhile.
    running = min(tasks, RATE * (job_seconds + poll_freq) + BURST)
    # In the server they come one after the other, whichever way they are submitted.
    running = tasks if in_arrays and not in_server else running
    sweep = max(min(1.0, poll_freq), -(-running // IDS) / POLLING)
    share = -(-running // IDS) / sweep
    submission = max(0.0, submits + FIXED_CALLS - BURST) / (RATE - min(share, POLLING))
    transfer = tasks * payload / bandwidth
    work = tasks * (SERVER if in_server else CPU)
    sending = max(submission, transfer, work)
    seconds = sending + job_seconds + sweep / 2 + 6 * latency
    polls = max(1.0, (sending + job_seconds) / sweep) * -(-running // IDS)
    calls = (CALLS[form] - 1) * tasks + submits + FIXED_CALLS + polls
    return Cost(calls, polls, seconds, BASE + MEMORY * tasks + min(tasks, 64) * payload)
