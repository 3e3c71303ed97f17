"""The Rust core: AWS calls, transfers and the watcher. Everything here releases the GIL while it waits.

Exceptions are those of `covalent_awsbatch_plugin.errors`; a missing S3 object is a `FileNotFoundError`.
"""

from collections.abc import Awaitable
from types import TracebackType
from typing import Any, Literal, TypeAlias, final

__all__ = [
    "ABANDONED_REASON",
    "CANCEL_REASON",
    "Client",
    "Inspector",
    "Job",
    "Reader",
    "Writer",
    "__version__",
    "field_problem",
    "shut_down",
    "unpack",
]

_HashAlgorithm: TypeAlias = Literal["blake3", "sha256"]

__version__: str
ABANDONED_REASON: str
"""Reason of the termination of a job whose id nobody took."""
CANCEL_REASON: str
"""Prefix of the reason of every termination that Covalent requested."""

def field_problem(structure: str, fields: str) -> str | None:
    """What of a JSON object does not fit a structure of AWS Batch's API, such as `RegisterJobDefinitionRequest`.

    Returns:
        The first field that is unknown, with the one that was probably meant, or of another type; None if all fit.
    """

def shut_down() -> None:
    """Shut the core's threads down; registered to run when the interpreter exits."""

def unpack(file: str, directory: str) -> None:
    """Unpack a tar file that gzip has compressed, over what is there. Blocks without the GIL.

    Args:
        file: The file.
        directory: The directory that the names in it are relative to.

    Raises:
        OSError: It cannot be read, is damaged, has an entry that is no file or lies elsewhere, or the disk is full.
    """

@final
class Job:
    """A job as AWS Batch described it."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def queue(self) -> str:
        """ARN of its queue."""
    @property
    def status(self) -> str:
        """`SUBMITTED` … `SUCCEEDED` or `FAILED`; `VANISHED` when Batch has no record of it any more."""
    @property
    def status_reason(self) -> str | None: ...
    @property
    def meaning(self) -> str | None:
        """What the reason of a RUNNABLE job means and what to do; None where that is not known."""
    @property
    def state_meaning(self) -> str | None:
        """Why a job may stay in a state before RUNNING; None for RUNNABLE, and once it runs."""
    @property
    def container_reason(self) -> str | None: ...
    @property
    def exit_code(self) -> int | None:
        """Exit code of the last attempt; absent is neither success nor failure."""
    @property
    def log_stream(self) -> str | None:
        """Log stream of the last attempt."""
    @property
    def attempt_log_streams(self) -> list[str | None]:
        """Log streams of the attempts that have ended, oldest first; None for one that wrote no log."""
    @property
    def ended_attempts(self) -> list[dict[str, Any]]:
        """The attempts that have ended, oldest first.

        Each a dict with `started_at` and `stopped_at` in milliseconds since 1970, `exit_code` and `reason`, each None
        if AWS Batch does not tell.
        """
    @property
    def vcpus(self) -> float | None:
        """How many vCPUs it asked for."""
    @property
    def memory_mib(self) -> float | None:
        """MiB of memory that it asked for."""
    @property
    def gpus(self) -> float | None:
        """GPUs that it asked for; None for none."""
    @property
    def is_fargate(self) -> bool:
        """Whether it is for Fargate."""
    @property
    def pod(self) -> str | None:
        """The last pod that it ran in on EKS, as `namespace/name`."""
    @property
    def nodes(self) -> int:
        """How many nodes it has; 0 for a job of one container. What it asked for is then said of each."""
    @property
    def failed_node(self) -> Job | None:
        """The node that failed while the job runs on, if one did; see `Client.end_of`."""
    @property
    def unstarted_node(self) -> Job | None:
        """The node that had not begun to run in time while the job runs, if so; see `Client.end_of`."""
    @property
    def image(self) -> str | None: ...
    @property
    def console(self) -> str | None:
        """The job's page in AWS's console."""
    @property
    def created_at(self) -> int | None:
        """When it was submitted, in milliseconds since 1970."""
    @property
    def started_at(self) -> int | None:
        """When its newest attempt began to run, likewise."""
    @property
    def stopped_at(self) -> int | None:
        """When it ended, likewise."""
    @property
    def attempts(self) -> int:
        """How many attempts there were."""
    @property
    def allowed_attempts(self) -> int | None:
        """How many there may be, by its retry strategy."""
    @property
    def previous_job(self) -> str | None:
        """Id of the job of its task that it follows; None if it is the first.

        Of a job of several nodes AWS Batch may tell it of the nodes alone.
        """
    @property
    def cause(self) -> str:
        """Why it did not succeed.

        One of `cancelled`, `time_limit`, `state_time_limit`, `out_of_memory`, `host_lost`, `pull_limit`,
        `wrong_architecture`, `image_unavailable`, `program_missing`, `disk_full`, `gpu_driver`, `log_denied`,
        `role_unusable`, `role_not_passed`, `network`, `initialization`, `overrides_too_long`, `agent_trouble`,
        `not_inspected`, `terminated`, `exited`, `vanished`, `stuck` and `unknown`.
        """

    def sentence(self, memory: float, time_limit: int, dispatcher: str | None = None) -> str:
        """What happened, why, and what to do, in one line.

        Args:
            memory: GB that the job requested.
            time_limit: Seconds that an attempt might run; 0 for no limit.
            dispatcher: The dispatcher's versions, if the container left no output: they are then to be compared.
        """

@final
class Client:
    """Connections to one account and region, and the one watcher of its jobs.

    Args:
        settings: JSON object with `profile`, `region`, `credentials` (path), `endpoint_url`; each may be empty or
            absent, which leaves it to the SDK's own chain. With `interactive` a person waits for a command: hosts that
            do not answer are called once, and all of them together take at most 10 s.

    Creating a client does no I/O. It must not outlive a `fork()`: the child gets a `RuntimeError` from each call.
    """

    def __new__(cls, settings: str) -> Client: ...
    def for_bucket(self, owner: str, kms_key_id: str) -> Client:
        """Make a client over the same connections with requirements of its bucket. No I/O.

        Args:
            owner: Account that has to own it, else S3 refuses each call: twelve digits, empty for the caller's own
                after `identity` was called, or `any`.
            kms_key_id: KMS key for what is written: id, ARN or alias; empty for the bucket's own encryption.
        """

    def inspector(self) -> Inspector:
        """The doctor's look-ups over the same connections. Only usable in the process that created it."""

    def identity(self) -> Awaitable[dict[str, str]]:
        """Get the caller's identity: `Account`, `Arn`, `UserId`. AWS is called once per client."""

    def submit(self, request: str) -> Awaitable[str]:
        """Submit exactly one job and return its id, even if answers are lost.

        If the awaitable was cancelled or its loop has ended, so that the id is not taken, the job is terminated, unless
        it is spared.

        Args:
            request: JSON object with `definition` (the fields of Batch's `RegisterJobDefinition`; roles may be names),
                `job` (those of `SubmitJob`, without the definition) and `family`: what the names of its dispatch's jobs
                begin with. A live job of its name is adopted.

        Raises:
            SettingsError: A field that AWS Batch does not have; the message names it.
        """

    def spare(self, name: str) -> None:
        """Have a job that is being submitted go on if nobody takes its id; it is then found by its name.

        Args:
            name: The job's name.
        """

    def end_of(self, job_id: str, poll: float, runnable: float) -> Awaitable[Job]:
        """Wait until a job has ended, or has no record in Batch, or could not start for too long.

        A job that stays SUBMITTED, PENDING or STARTING for hours is returned with that status and the cause `stuck`.
        A job that is RUNNING although one of its nodes has failed is returned with `failed_node`, and where one has not
        begun to run in time, with `unstarted_node`.

        Args:
            job_id: The job.
            poll: Seconds that its end may go unnoticed.
            runnable: Seconds that it may be RUNNABLE, and that each node may take to run after it; 0 for no limit. The
                job is then returned with that status.
        """

    def states(self, job_ids: list[str]) -> Awaitable[dict[str, dict[str, Any]]]:
        """Tell the states of jobs that are waited for with `end_of`, as AWS last described them. AWS is not called.

        Returns:
            By id `status`, `reason` and its `meaning` or None, `log_stream` of the newest attempt or None, how many
            `attempts` have ended, and which of its nodes have not begun although it runs (`waiting_nodes`, a clause or
            None). Jobs that nobody waits for, or that were not described yet, are missing.
        """

    def describe(self, job_id: str) -> Awaitable[Job | None]:
        """Look at a job once; None if Batch has no record of it."""

    def describe_all(self, job_ids: list[str]) -> Awaitable[dict[str, Job]]:
        """Look at any number of jobs once, a hundred a call.

        Returns:
            The jobs by id; those that Batch has no record of are missing.
        """

    def list_jobs(self, queue: str, prefix: str) -> Awaitable[list[dict[str, Any]]]:
        """List the jobs of a queue whose names begin with `prefix`, in any state.

        Returns:
            A dict each with `id`, `name`, `status`, `status_reason`, and `created_at`, `started_at` and `stopped_at`
            in milliseconds since 1970, each None if it does not apply.
        """

    def terminate(self, job_id: str, reason: str) -> Awaitable[None]:
        """Terminate a job in any state; an ended job is not changed.

        A detached task: it starts with the call and completes even if the awaitable is dropped.
        """

    def queue_problems(self, queue: str, vcpu: float, platform: str, shares: bool) -> Awaitable[list[str]]:
        """The problems of a queue as sentences; empty if none are found.

        Args:
            queue: Name or ARN.
            vcpu: vCPUs of a job, compared with the limits of the compute environments.
            platform: What the job is for, as `queue_platform` has it.
            shares: Whether it has a share identifier, which goes with a scheduling policy of the queue.
        """

    def queue_platform(self, queue: str) -> Awaitable[str | None]:
        """What the jobs of a queue run on: `EC2`, `FARGATE`, `MANAGED_INSTANCES` or `EKS`.

        Asked once for all who want to know it. None where AWS does not say, with a warning in the log.

        Args:
            queue: Name or ARN.
        """

    def stored_result(self, bucket: str, key: str) -> Awaitable[dict[str, Any] | None]:
        """Read the object at a result's key.

        Returns:
            None if there is none; `{"format": 1, "size": bytes, "reader": …, "signature": …}` for a bare pickle, with a
            `Reader` of it if it is small, else None; else the fields of the runner's envelope with `"format": 2` and
            `signature`. That is `valid` if the task's job signed it, `wrong` if the signature is another one, `missing`
            if the job's image signs and this has no signature, and else `unchecked`.

        Raises:
            ResultError: The envelope is corrupt, or refers to anything but plain builtin types.
        """

    def printed(self, bucket: str, key: str) -> Awaitable[tuple[str, str, str | None, str | None] | None]:
        """Read the output file of the public image's program.

        Returns:
            stdout, stderr, traceback and the exception's class name; None if it is not there.

        Raises:
            ResultError: It is too large, or not what that program writes.
        """

    def read(self, bucket: str, key: str) -> Awaitable[bytes]:
        """Read a whole object.

        Raises:
            FileNotFoundError: There is no such object.
        """

    def delete(self, bucket: str, keys: list[str]) -> Awaitable[None]:
        """Delete up to 1,000 objects, whether they are there or not."""

    def list_objects(self, bucket: str, prefix: str) -> Awaitable[list[dict[str, Any]]]:
        """List the objects whose keys begin with `prefix`, by key.

        Returns:
            A dict each with `key`, `size` in bytes, `modified_at` in seconds since 1970, and `metadata`.
        """

    def metadata(self, bucket: str, keys: list[str]) -> Awaitable[dict[str, dict[str, str]]]:
        """Read the user metadata of objects by key, without their content. One that is not there is missing."""

    def count_objects(self, bucket: str) -> Awaitable[tuple[int, int]]:
        """Count the objects of a bucket and their bytes."""

    def keep(self, bucket: str, key: str) -> Awaitable[bool]:
        """Tell whether an object is there that many tasks share.

        One that is a day old is copied onto itself, so that a lifecycle rule of several days does not remove it while
        it is in use. Where the right to list the bucket is missing, an object that may not be read is not there.
        """

    def log_tail(self, group: str, stream: str, lines: int) -> Awaitable[list[str]]:
        """Read the last lines of a log stream, oldest first."""

    def log_lines(self, group: str, streams: list[str], start: int) -> Awaitable[list[tuple[str, str, int, str]]]:
        """Read the lines of up to 100 log streams of a group since a time in milliseconds since 1970.

        Returns:
            For each line its id, its stream, when it was written, and its text: a stream's lines oldest first, and no
            more than five pages of 1 MB. What is not there (yet) has none.
        """

    def image_problem(self, image: str) -> Awaitable[str | None]:
        """Find out from ECR why an image cannot be pulled; None if it exists or is in another registry."""

    def find_image(self, repository: str, tag: str) -> Awaitable[str | None]:
        """Find an image in a repository of the caller's account by its tag.

        Returns:
            Its address with the digest, as a job definition names it; None if there is none.
        """

    def base_image(self, image: str, architecture: str) -> Awaitable[str]:
        """Read an image from its registry: ECR, or any that gives it to everybody. It must be for Linux.

        Args:
            image: Its address.
            architecture: Such as `amd64`.

        Returns:
            JSON object with `image` (the address with its digest), and `manifest` and `config` as text.
        """

    def push_image(self, request: str) -> Awaitable[str]:
        """Push an image to a repository of the caller's account; what is there already is not sent.

        Args:
            request: JSON object with `repository`, `tag`, `manifest` (text), `base` (address with the digest), `blobs`
                (each a `digest`, and a `file` unless it is the base's), and `seconds` that it may take.

        Returns:
            The image's address with its digest: another one's, if that was first to take an immutable tag.
        """

    def list_images(self, repository: str, prefix: str) -> Awaitable[str]:
        """List the images of a repository with a tag that begins with `prefix`.

        Returns:
            JSON: a list of objects with `tag`, `digest`, `bytes`, `pushed_at` and `pulled_at` in seconds since 1970 or
            null, and the manifest's `annotations`.
        """

    def delete_images(self, repository: str, digests: list[str]) -> Awaitable[None]:
        """Delete images of a repository by their digests, whether they are there or not."""

    def reader(self, bucket: str, key: str, hash_algorithm: _HashAlgorithm | None = None) -> Reader:
        """Open an object for reading; blocks for the first range.

        Args:
            bucket: Name of the bucket.
            key: Key of the object.
            hash_algorithm: What to compute of the content while it is read, for `digest`.

        Raises:
            FileNotFoundError: There is no such object.
            ValueError: There is no such algorithm.
        """

    def writer(
        self,
        bucket: str,
        key: str,
        metadata: dict[str, str] | None = None,
        hash_algorithm: _HashAlgorithm | None = None,
        *,
        shared: bool = False,
    ) -> Writer:
        """Open an object for writing. It appears when the writer is closed, whole or not at all.

        Args:
            bucket: Name of the bucket.
            key: Key of the object.
            metadata: S3 user metadata, ASCII.
            hash_algorithm: What to compute of the content while it is written, for `digest`.
            shared: Whether other machines may write the same object at the same time. Their uploads are left alone; of
                an own one whose answer was lost the bucket's lifecycle rule removes the parts.

        Raises:
            ValueError: There is no such algorithm.
        """

@final
class Inspector:
    """Look-ups of the doctor, which no task needs. Results are JSON, `null` for what does not exist."""

    def clock_skew(self) -> Awaitable[float | None]:
        """Get the seconds that AWS's clock is ahead of this machine's; None if its answer has no date."""

    def bucket(self, bucket: str) -> Awaitable[str]:
        """Look a bucket up: `state` (`found`, `missing`, `elsewhere`, `denied`) and `region`."""

    def encryption(self, bucket: str) -> Awaitable[str]:
        """Read a bucket's default encryption: `algorithm` and `key`."""

    def queue(self, queue: str) -> Awaitable[str]:
        """Look a queue up: `state`, `status`, `status_reason`, `fair_share`, and ARNs of its `environments`."""

    def environments(self, arns: list[str]) -> Awaitable[str]:
        """Look compute environments up.

        Returns:
            A list of objects with `name`, `management`, `state`, `status`, `status_reason`, `kind`, `max_vcpus` and
            `instance_types`.
        """

    def role(self, name: str) -> Awaitable[str]:
        """Look a role up by its name: `arn`, and `trust`, a percent-encoded policy."""

    def simulate(self, principal: str, actions: list[str], resource: str) -> Awaitable[str]:
        """Ask IAM whether a user's or role's own policies allow actions.

        Returns:
            By action true, false, or null if that depends on a condition whose value only the call itself has.
        """

    def log_group(self, name: str) -> Awaitable[str]:
        """Look a log group up: `retention_days`."""

    def image(self, image: str) -> Awaitable[str]:
        """Look up an image that is in ECR: `pushed_at` in seconds since 1970. `null` for other registries."""

    def image_manifest(self, image: str) -> Awaitable[str]:
        """Read the manifest of an image in ECR, as a string of JSON."""

    def image_part(self, image: str, digest: str) -> Awaitable[str]:
        """Ask for the URL of a part of an image in ECR."""

@final
class Reader:
    """A binary file over a download, which prefetches ranges of 16 MiB.

    The last range is only returned if the object's checksum is right; otherwise there is a `ServiceError`.
    """

    @property
    def size(self) -> int:
        """Bytes in the object."""
    @property
    def metadata(self) -> dict[str, str]:
        """The object's user metadata."""
    def read(self, size: int = ..., /) -> bytes: ...
    def readline(self) -> bytes: ...
    def read_text(self, size: int, /) -> str | bytes:
        """As `read`, but decoded where that is possible without a copy of the bytes.

        Returns:
            A text of all these bytes; or the bytes, where they are no whole UTF-8, fewer, or not in one range.
        """

    def digest(self) -> str | None:
        """The hash of what was read, in hexadecimal digits, once; None if none was asked for."""

@final
class Writer:
    """A binary file over an upload: one PUT up to 16 MiB, else a multipart upload with parts in parallel.

    Leaving a `with` block by an exception aborts the upload.
    """

    def write(self, data: bytes | bytearray | memoryview, /) -> int: ...
    def write_text(self, text: str, /) -> int:
        """Write a text as UTF-8. An ASCII text is not copied.

        Returns:
            The number of bytes.
        """

    def digest(self) -> str | None:
        """The hash of what was written, in hexadecimal digits, once, also after `close`; None if none was asked for."""

    def reserve(self) -> None:
        """Wait until there is memory for the rest of this upload, and reserve it; blocks.

        All uploads of a connection together take at most 256 MiB.
        """

    def stop(self) -> None:
        """Make a blocked write in another thread fail at once, and abort the upload; does not block."""

    def close(self) -> None:
        """Finish the upload; blocks."""

    def finish(self) -> Awaitable[None]:
        """Finish the upload."""

    def abort(self) -> None: ...
    def __enter__(self) -> Writer: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
