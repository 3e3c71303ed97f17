"""The laboratory: a stand-in for an AWS account, in a process of its own, and the way to it."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .account import Setup
from .batch import Names
from .control import JobView, ObjectView, Remote, UploadView, serve
from .endings import Ending
from .faults import Fault
from .queues import Queue
from .recorder import Call
from .results import Envelope, Result
from .store import Bucket

BUCKET = "lab-bucket"
QUEUE = "lab-queue"

_TESTS = Path(__file__).parents[1]


class Lab:
    """A stand-in for AWS in a `with` block, as fast as it is small, with faults and jobs' endings by script.

    All methods are synchronous, take effect at once, and may be called from any thread.

    Args:
        seed: Makes every random decision, by operation and number of the call.
        faults: See `lab.faults`.
        endings: How jobs end, by name, pattern or function (see `lab.endings`); the first that fits. Others succeed.
        result: What jobs leave where their ending does not say (see `lab.results`).
        job_seconds: How long an attempt takes.
        wait_seconds: How long a job waits before its first attempt.
        retention: Seconds for which an ended job is remembered.
        visible_after: Seconds for which DescribeJobs does not know a new job.
        listed_after: The same for ListJobs.
        buckets: Names and kinds of the buckets.
        queues: Names and kinds of the queues.
        images: Tags or digests in ECR, by repository.
        role_seconds: How long the keys of AssumeRole are good.
        discard: Pattern of keys whose content is checked and counted but not kept, for very large ones.
        own_process: Whether it runs in a process of its own; else in a thread, for a debugger.

    Attributes:
        url: The endpoint, for all services.
        options: Arguments of an `AWSBatchExecutor`.
    """

    def __init__(  # noqa: PLR0913
        self,
        *,
        seed: int = 0,
        faults: Sequence[Fault] = (),
        endings: Mapping[Names, Ending] | None = None,
        result: Result | None = None,
        job_seconds: float = 0.0,
        wait_seconds: float = 0.0,
        retention: float = 7 * 86_400.0,
        visible_after: float = 0.0,
        listed_after: float = 0.0,
        buckets: Mapping[str, Bucket] | None = None,
        queues: Mapping[str, Queue] | None = None,
        images: Mapping[str, Sequence[str]] | None = None,
        role_seconds: float = 3600.0,
        discard: str = "",
        own_process: bool = True,
    ) -> None:
        self._setup = Setup(
            seed=seed,
            faults=tuple(faults),
            endings=tuple((endings or {}).items()),
            result=result or Envelope(),
            job_seconds=job_seconds,
            wait_seconds=wait_seconds,
            retention=retention,
            visible_after=visible_after,
            listed_after=listed_after,
            buckets=dict(buckets or {BUCKET: Bucket()}),
            queues=dict(queues or {QUEUE: Queue()}),
            images=dict(images or {}),
            role_seconds=role_seconds,
            discard=discard,
        )
        self._own_process = own_process

    def __enter__(self) -> Lab:
        self._home = Path(tempfile.mkdtemp(prefix="lab-"))
        self.credentials = self._home / "credentials"
        self.renew_credentials("AKIALAB0")
        ours, theirs = socket.socketpair()
        self._wait = self._start_process(theirs) if self._own_process else self._start_thread(theirs)
        self._remote = Remote(ours, self._setup)
        self.port = self._remote.port
        ours.close()
        self.url = f"http://127.0.0.1:{self.port}"
        self.options: dict[str, Any] = {
            "credentials": str(self.credentials),
            "profile": "default",
            "region": self._setup.region,
            "endpoint_url": self.url,
            "s3_bucket_name": next(iter(self._setup.buckets)),
            "batch_queue": next(iter(self._setup.queues)),
            # Its jobs are no processes, so none fetches an environment.
            "container_image_uri": "laboratory/image:1",
        }
        return self

    def __exit__(self, *_: object) -> None:
        self._remote.close()
        self._wait()
        shutil.rmtree(self._home, ignore_errors=True)

    def _start_process(self, control: socket.socket) -> Callable[[], object]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_TESTS), os.environ.get("PYTHONPATH", "")])}
        process = subprocess.Popen(
            [sys.executable, "-m", "lab.serve", str(control.fileno())], pass_fds=[control.fileno()], env=environment
        )
        control.close()
        self.pid = process.pid
        return process.wait

    def _start_thread(self, control: socket.socket) -> Callable[[], object]:
        control.setblocking(False)
        thread = threading.Thread(target=lambda: asyncio.run(serve(control)), name="lab", daemon=True)
        thread.start()
        self.pid = os.getpid()
        return thread.join

    # --- for clients ---

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that lead any AWS client here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_SHARED_CREDENTIALS_FILE": str(self.credentials),
            "AWS_DEFAULT_REGION": self._setup.region,
            "AWS_REGION": self._setup.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def boto3(self, service: str, **arguments: Any) -> Any:
        """A boto3 client of the account, which does not retry unless it is told to."""
        import boto3
        from botocore.config import Config

        arguments.setdefault("config", Config(retries={"total_max_attempts": 1}))
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=self._setup.region,
            aws_access_key_id="AKIABOTO3",
            aws_secret_access_key="secret",
            **arguments,
        )

    def renew_credentials(self, access_key: str) -> None:
        """Puts new keys into the credentials file."""
        self.credentials.write_text(
            f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = secret-of-{access_key}\n"
            f"aws_session_token = token-of-{access_key}\n"
        )

    # --- changes ---

    def reset(self) -> None:
        """Begins anew: as set up, with nothing in it and nothing counted."""
        self._remote("reset")

    def faults(self, *faults: Fault, seed: int | None = None) -> None:
        """Puts these faults in the place of those in force; none, and all is well. Numbers of calls go on."""
        self._remote("faults", faults, seed)

    def choose(self, names: Names, ending: Ending) -> None:
        """Gives an ending to jobs that are submitted from now on; before all that was chosen earlier."""
        self._remote("choose", names, ending)

    def end(self, names: Names, ending: Ending) -> int:
        """Gives an ending to jobs that are under way, by name, pattern or id, without delay; returns how many."""
        return int(self._remote("end", names, ending))

    def forget(self, names: Names) -> int:
        """Has the records of jobs expire; returns how many."""
        return int(self._remote("forget", names))

    def advance(self, seconds: float) -> None:
        """Lets time pass for jobs, retention, time limits, credentials and request limits."""
        self._remote("advance", seconds)

    def plant(self, key: str, data: bytes, metadata: Mapping[str, str] | None = None, bucket: str = BUCKET) -> None:
        """Puts an object into a bucket."""
        self._remote("plant", bucket, key, data, metadata or {})

    def remove(self, key: str, bucket: str = BUCKET) -> None:
        """Takes an object out of a bucket."""
        self._remote("remove", bucket, key)

    def set_bucket(self, bucket: str = BUCKET, denied: bool = False, listable: bool = True) -> None:
        """Gives or takes rights on a bucket."""
        self._remote("set_bucket", bucket, denied, listable)

    def set_queue(self, queue: Queue, name: str = QUEUE) -> None:
        """Changes a queue, or adds one."""
        self._remote("set_queue", name, queue)

    # --- questions ---

    def calls(self, operation: str | None = None) -> list[Call]:
        """The calls so far, oldest first, of one operation or of all."""
        found: list[Call] = self._remote("calls", operation)
        return found

    @property
    def counts(self) -> Counter[str]:
        """How many calls there were, by operation."""
        found: Counter[str] = self._remote("counts")
        return found

    @property
    def start(self) -> float:
        """The `time.monotonic()` from which the calls' times count, as long as no time was let pass."""
        return float(self._remote("start"))

    @property
    def struck(self) -> Counter[str]:
        """How often faults struck, by kind."""
        found: Counter[str] = self._remote("struck")
        return found

    def jobs(self, names: Names = "*") -> list[JobView]:
        """The jobs of these names, in the order of their submission."""
        found: list[JobView] = self._remote("jobs", names)
        return found

    def definitions(self) -> list[dict[str, Any]]:
        """The revisions of job definitions."""
        found: list[dict[str, Any]] = self._remote("definitions")
        return found

    def objects(self, bucket: str = BUCKET) -> dict[str, ObjectView]:
        """The objects of a bucket by key."""
        found: dict[str, ObjectView] = self._remote("objects", bucket)
        return found

    def object(self, key: str, bucket: str = BUCKET) -> bytes:
        """The content of an object."""
        found: bytes = self._remote("object", bucket, key)
        return found

    def uploads(self) -> list[UploadView]:
        """The multipart uploads that are neither finished nor aborted."""
        found: list[UploadView] = self._remote("uploads")
        return found


def duplicates(jobs: Iterable[JobView]) -> dict[str, int]:
    """Names under which there is more than one job, and how many."""
    counts = Counter(job.name for job in jobs)
    return {name: count for name, count in counts.items() if count > 1}
