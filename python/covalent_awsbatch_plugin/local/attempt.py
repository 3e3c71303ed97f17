"""Runs one attempt of a job: its directory, its process, its log, and its outcome."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moto.batch.models import ComputeEnvironment
from moto.logs.models import logs_backends

from . import secret_values
from .api import api_lock
from .environment import job_environment
from .image import CannotPullError, unpack
from .job import LocalJob
from .logs import LogStream
from .process import CannotStartError, JobProcess
from .retry import Outcome
from .scratch import Scratch
from .spot_notice import SpotNotices

DEFAULT_LOG_GROUP = "/aws/batch/job"
EXITED = "Essential container in task exited"
NOT_STARTED = "Task failed to start"
TIMED_OUT = "Job attempt duration exceeded timeout"

_METADATA = "AWS_EC2_METADATA_SERVICE_ENDPOINT"  # as AWS's SDKs have it
# ECS's limit. SubmitJob accepts more, and the job fails.
_MAX_OVERRIDES_CHARS = 8192
_TIMEOUT_GRACE_SECONDS = 5.0
# How long after SIGKILL a supervisor may take before it is killed itself.
_SUPERVISOR_SECONDS = 10.0


@dataclass(frozen=True)
class AttemptRunner:
    """Runs attempts as child processes.

    Attributes:
        program: What runs for a job without a command; "{python}" stands for the scratch environment's interpreter.
        directory: Where the scratch directories are made.
        aws: Variables that point a program at the embedded endpoint.
        region: The region of everything.
        stop_grace: Seconds between SIGTERM and SIGKILL for a job that was terminated, if it does not say.
        client: Returns a boto3 client of the service named, for the secrets of jobs.
    """

    program: list[str]
    directory: Path
    aws: dict[str, str]
    region: str
    stop_grace: float
    client: Callable[[str], Any]
    _instance_id: str = field(default_factory=lambda: f"i-{uuid.uuid4().hex[:17]}")

    def __call__(self, job: LocalJob, environment: ComputeEnvironment, cleanup: ExitStack) -> Outcome:
        """Runs one attempt of `job` and returns how it ended; blocks as long as it runs.

        Its directory, which may have thousands of files, is removed by `cleanup`: nobody is to wait for that.
        """
        task = uuid.uuid4().hex
        with api_lock:
            cluster = environment.ecs_name
            ecs = f"arn:aws:ecs:{self.region}:{job.backend.account_id}"
            job.begin_attempt(f"{ecs}:task/{cluster}/{task}", f"{ecs}:container-instance/{cluster}/{self._instance_id}")
            if job.end_reason is not None:
                return Outcome(None, job.end_reason, final=True)
        if len(json.dumps(job.container_overrides)) > _MAX_OVERRIDES_CHARS:
            return Outcome(None, f"Container Overrides length must be at most {_MAX_OVERRIDES_CHARS}", final=True)
        try:
            directory = self.directory / f"{re.sub('[:#]', '-', job.job_id)}-{job.attempt}"
            return self._run(job, environment, cleanup.enter_context(Scratch(directory)), task)
        except CannotPullError as error:
            return Outcome(None, NOT_STARTED, f"CannotPullContainerError: {error}")
        except secret_values.NoSecretError as error:
            return Outcome(None, NOT_STARTED, f"ResourceInitializationError: {error}")
        except CannotStartError as error:
            said = (
                f"CannotStartContainerError: Error response from daemon: failed to create task for container: {error}"
            )
            return Outcome(None, NOT_STARTED, said)

    def _run(self, job: LocalJob, environment: ComputeEnvironment, scratch: Scratch, task: str) -> Outcome:
        stream_name, write = self._open_log(job, task)
        image = unpack(job.image, scratch.root / "image")
        program = image.command if image else [part.replace("{python}", str(scratch.python)) for part in self.program]
        argv = job.command or program
        own = {**image.environment, **job.environment} if image else job.environment
        own = {**own, **secret_values.fetch(job.secrets, self.client)}
        metadata = {_METADATA: self.aws["AWS_ENDPOINT_URL"] + SpotNotices.path(job.job_id)}
        aws = {**self.aws, **metadata}
        variables = job_environment(os.environ, scratch, aws, own, _batch_variables(job, environment))
        process = JobProcess(argv, variables, scratch.work, write, job.ulimits)
        with api_lock:
            job.begin_running(process, stream_name)
            if job.end_reason is not None:
                process.stop(self.stop_grace if job.stop_timeout is None else job.stop_timeout)
        ended, code = process.wait(job.attempt_seconds)
        if not ended:
            process.stop(_TIMEOUT_GRACE_SECONDS)
            ended, code = process.wait(_TIMEOUT_GRACE_SECONDS + _SUPERVISOR_SECONDS)
            if not ended:
                process.kill()
                _, code = process.wait(None)
            return Outcome(code, job.end_reason or TIMED_OUT, final=True)
        if job.end_reason is not None:
            return Outcome(code, job.end_reason, final=True)
        if code is None:
            return Outcome(None, f"Host EC2 (instance {self._instance_id}) terminated.")
        return Outcome(code, EXITED)

    def _open_log(self, job: LocalJob, task: str) -> tuple[str | None, Callable[[bytes], None]]:
        """Returns the name of the attempt's log stream, None without one, and what writes to it."""
        configuration = job.log_configuration or {"logDriver": "awslogs", "options": {"awslogs-create-group": "true"}}
        if configuration.get("logDriver") != "awslogs":
            return None, lambda _output: None
        options: dict[str, Any] = configuration.get("options") or {}
        group = options.get("awslogs-group", DEFAULT_LOG_GROUP)
        prefix = options.get("awslogs-stream-prefix", job.job_definition.name)
        backend = logs_backends[job.backend.account_id][options.get("awslogs-region", self.region)]
        stream = f"{prefix}/default/{task}"
        with api_lock:
            # The service creates its default group, and others only if `awslogs-create-group` is set.
            if group == DEFAULT_LOG_GROUP or str(options.get("awslogs-create-group")).lower() == "true":
                backend.ensure_log_group(group)
            if group not in backend.groups:
                raise CannotStartError(
                    "failed to initialize logging driver: failed to create Cloudwatch log stream: "
                    "ResourceNotFoundException: The specified log group does not exist."
                )
        return stream, LogStream(backend, group, stream).write


def _batch_variables(job: LocalJob, environment: ComputeEnvironment) -> dict[str, str]:
    """Returns what Batch sets (https://docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html)."""
    return {
        "AWS_BATCH_JOB_ID": job.job_id,
        "AWS_BATCH_JOB_ATTEMPT": str(job.attempt),
        "AWS_BATCH_JQ_NAME": job.job_queue.name,
        "AWS_BATCH_CE_NAME": environment.name,
        **job.service_variables,
    }
