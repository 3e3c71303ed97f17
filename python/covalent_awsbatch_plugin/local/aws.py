"""The embedded AWS as a context manager."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3
import botocore.config
import botocore.session
from moto.batch.utils import JobStatus
from moto.core.config import default_user_config
from moto.moto_api._internal.models import moto_api_backend

from .api import api_lock, locked_logs
from .attempt import AttemptRunner
from .batch import patched_batch
from .ec2 import patched_ec2
from .ecr import patched_ecr
from .environment_stack import patched_stacks
from .held_nodes import HeldNodes
from .iam import patched_iam
from .job import LocalJob
from .keys import Keys
from .leftovers import clear
from .node import NodeRunner
from .resources import create_resources
from .run_directory import run_directory
from .scheduler import Scheduler
from .server import Server
from .spot_notice import SpotNotices
from .summary import JobSummary

RUNNER = ("{python}", "-m", "covalent_awsbatch_plugin.runner")
"""What runs for a job whose definition names no command, as the image's own program would."""

_SHORTEST_TIMEOUT_SECONDS = 60
_STOP_GRACE_SECONDS = 5.0
_NOT_RUNNING = "the embedded AWS is not running: use it in a `with` block, or call start()"


class LocalAWS:
    """S3, STS, IAM, Batch, ECR, CloudWatch Logs and EC2 on 127.0.0.1, where Batch jobs run as child processes.

    It runs code with the rights of its user, for every holder of its key. `options`, `environment` and `client` contain
    the key, which is new after each start, and every request must be signed with it, by Signature Version 4. boto3 uses
    that for presigned URLs only with `Config(signature_version="s3v4")`.

    Moto's state belongs to the process, so that there can be one at a time; it is forgotten when it stops.

    Args:
        port: TCP port; 0 takes a free one.
        region: The region that everything is created in.
        max_vcpus: How many vCPUs the compute environment has; jobs past that wait in RUNNABLE.
        program: What runs for a job whose definition and overrides name no command; "{python}" stands for the
            interpreter of the job's own virtual environment. None is this package's runner.
        quiet: Whether to keep requests out of the log.
        stop_grace: Seconds between SIGTERM and SIGKILL for a job that is terminated; 30 as in ECS.
        allow_short_timeouts: Whether a time limit may be below the 60 seconds that the service asks for.
        credentials: Where to write the credentials file, in a directory that is private and outlasts what names the
            file; None is the run's own directory among the temporary ones.
    """

    _current: LocalAWS | None = None

    def __init__(  # noqa: PLR0913
        self,
        port: int = 0,
        region: str = "us-east-1",
        max_vcpus: int = 16,
        program: Sequence[str] | None = None,
        quiet: bool = True,
        *,
        stop_grace: float = 30.0,
        allow_short_timeouts: bool = False,
        credentials: Path | None = None,
    ) -> None:
        self._port = port
        self._region = region
        self._max_vcpus = max_vcpus
        self._program = list(RUNNER if program is None else program)
        self._quiet = quiet
        self._stop_grace = stop_grace
        self._shortest_timeout = 1 if allow_short_timeouts else _SHORTEST_TIMEOUT_SECONDS
        self._given_credentials = credentials
        self._cleanup: ExitStack | None = None
        self._pid = 0
        self._keys = Keys()
        self._notices = SpotNotices()
        self._held_nodes = HeldNodes()
        self._session: boto3.session.Session | None = None
        self._session_lock = threading.Lock()  # a session is not made for threads, unlike its clients
        self._server: Server | None = None
        self._directory: Path | None = None
        self._scheduler: Scheduler | None = None

    @property
    def endpoint_url(self) -> str:
        """Where every service answers.

        Raises:
            RuntimeError: It is not running.
        """
        if self._server is None:
            raise RuntimeError(_NOT_RUNNING)
        return self._server.url

    @property
    def options(self) -> dict[str, str]:
        """Options of `AWSBatchExecutor` that point it here.

        Raises:
            RuntimeError: It is not running.
        """
        options = {"endpoint_url": self.endpoint_url, "credentials": str(self._credentials_file)}
        if os.environ.get("AWS_PROFILE"):
            # Otherwise the SDK would look for that profile, which the credentials file does not have.
            options["profile"] = "default"
        return options

    @property
    def environment(self) -> dict[str, str]:
        """Variables that point any program with an AWS SDK here.

        Raises:
            RuntimeError: It is not running.
        """
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self._keys.access_key,
            "AWS_SECRET_ACCESS_KEY": self._keys.secret_key,
            "AWS_DEFAULT_REGION": self._region,
            "AWS_REGION": self._region,
        }

    def client(self, service: str, **config: Any) -> Any:
        """Returns a boto3 client of a service, which knows nothing of the user's own configuration.

        Args:
            service: Its name in boto3, such as "s3".
            **config: More of `botocore.config.Config`.

        Raises:
            RuntimeError: It is not running.
        """
        if self._session is None:
            raise RuntimeError(_NOT_RUNNING)
        own = {"proxies": {}, "s3": {"addressing_style": "path"}, "retries": {"total_max_attempts": 3}, **config}
        with self._session_lock:
            return self._session.client(service, endpoint_url=self.endpoint_url, config=botocore.config.Config(**own))

    def _new_session(self) -> boto3.session.Session:
        """One for all clients, since each session parses the models of services and their endpoints for itself."""
        nothing = (None, None, os.devnull, None)
        variables = {"profile": (None, None, None, None), "config_file": nothing, "credentials_file": nothing}
        return boto3.session.Session(
            aws_access_key_id=self._keys.access_key,
            aws_secret_access_key=self._keys.secret_key,
            region_name=self._region,
            botocore_session=botocore.session.Session(session_vars=variables),
        )

    def jobs(self) -> list[JobSummary]:
        """Returns every job in the order of submission; an array is one job. Empty when it is not running."""
        if self._scheduler is None:
            return []
        with api_lock:
            return [job.summary() for job in self._scheduler.jobs]

    def reclaim(self, job_id: str, seconds: float = 120.0) -> None:
        """Takes the machine of a running job back, as EC2 does with a spot machine: announced at once, gone later.

        Args:
            job_id: The job; others on its machine stay.
            seconds: How long after the notice.

        Raises:
            RuntimeError: It is not running, or the job is not.
        """
        job = next((job for job in self._running_jobs() if job.job_id == job_id), None)
        if job is None or job.process is None:
            raise RuntimeError(f"job {job_id} has no machine")
        process = job.process
        self._notices.announce(job_id, seconds)

        def lose() -> None:
            self._notices.withdraw(job_id)
            process.kill()

        losing = threading.Timer(seconds, lose)
        losing.daemon = True
        losing.start()

    @contextmanager
    def node_held(self, number: int, reason: str | None = None, *, starting: bool = False) -> Iterator[None]:
        """Holds back a node of each job while the `with` block runs: it does not begin, and its job runs without it.

        Args:
            number: The node's number in its job; not the main one's, without which no job runs.
            reason: Its `statusReason`.
            starting: Whether it stays STARTING, as where its image cannot be pulled, and not RUNNABLE.
        """
        self._held_nodes.hold(number, JobStatus.STARTING if starting else JobStatus.RUNNABLE, reason)
        try:
            yield
        finally:
            self._held_nodes.release(number)

    def _running_jobs(self) -> list[LocalJob]:
        if self._scheduler is None:
            raise RuntimeError(_NOT_RUNNING)
        with api_lock:
            return [job for job in self._scheduler.jobs if job.process is not None]

    def start(self) -> LocalAWS:
        """Starts to answer; returns when all resources are there.

        Raises:
            RuntimeError: There is one in this process already.
            OSError: The port is taken.
        """
        if LocalAWS._current is not None:
            raise RuntimeError(
                "an embedded AWS runs in this process already, and moto has room for one: stop that one, or use it"
            )
        LocalAWS._current = self
        self._pid = os.getpid()
        self._keys = Keys()
        self._session = self._new_session()
        with ExitStack() as cleanup:
            cleanup.callback(self._forget)
            clear()
            self._directory = cleanup.enter_context(run_directory())
            self._write_credentials()
            moto_api_backend.reset()
            cleanup.callback(moto_api_backend.reset)
            cleanup.enter_context(_managed_policies())
            cleanup.enter_context(locked_logs())
            cleanup.enter_context(patched_iam())
            cleanup.enter_context(patched_ec2())
            cleanup.enter_context(patched_ecr(self._presigned))
            self._server = Server(self._port, self._quiet, self._keys, self._notices)
            run_attempt = AttemptRunner(
                self._program, self._directory / "jobs", self.environment, self._region, self._stop_grace, self.client
            )
            run_nodes = NodeRunner(run_attempt, self._stop_grace, self._held_nodes)
            self._scheduler = Scheduler(run_nodes, self._stop_grace)
            cleanup.enter_context(patched_stacks())
            cleanup.enter_context(patched_batch(self._scheduler, self._shortest_timeout))
            cleanup.callback(self._server.stop)
            cleanup.callback(self._scheduler.stop, min(self._stop_grace, _STOP_GRACE_SECONDS))
            self._server.start()
            create_resources(self.client, self._region, self._max_vcpus)
            atexit.register(self.stop)
            cleanup.callback(atexit.unregister, self.stop)
            self._cleanup = cleanup.pop_all()
        return self

    def stop(self) -> None:
        """Ends every job's process, stops to answer and forgets everything. Does nothing when it is not running."""
        # A forked child has a copy of this object, but its parent owns jobs and server.
        if self._cleanup is None or self._pid != os.getpid():
            return
        cleanup, self._cleanup = self._cleanup, None
        cleanup.close()

    def __enter__(self) -> LocalAWS:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _credentials_file(self) -> Path:
        assert self._directory is not None
        return self._given_credentials or self._directory / "credentials"

    def _write_credentials(self) -> None:
        self._credentials_file.touch(mode=0o600, exist_ok=False)
        keys = self._keys
        self._credentials_file.write_text(
            f"[default]\naws_access_key_id = {keys.access_key}\naws_secret_access_key = {keys.secret_key}\n"
        )

    def _presigned(self, bucket: str, key: str) -> str:
        s3 = self.client("s3", signature_version="s3v4")
        return str(s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}))

    def _forget(self) -> None:
        self._server = self._directory = self._scheduler = self._session = None
        LocalAWS._current = None


@contextmanager
def _managed_policies() -> Iterator[None]:
    """Loads AWS's managed policies into moto, without moto's environment variable."""
    iam = default_user_config["iam"]
    before = iam["load_aws_managed_policies"]
    iam["load_aws_managed_policies"] = True
    try:
        yield
    finally:
        iam["load_aws_managed_policies"] = before
