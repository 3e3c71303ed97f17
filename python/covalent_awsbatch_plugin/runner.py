"""What runs in the job's container: `python -m covalent_awsbatch_plugin.runner`.

It reads the task from S3, runs it, and writes one object that says how it went. Three environment variables name the
places: `S3_BUCKET_NAME`, `COVALENT_TASK_FUNC_FILENAME` and `RESULT_FILENAME`. Region, endpoint and credentials are the
container's own; three more variables may say what to demand of the bucket and what to sign with (see `naming`). The
exit status is 0 if the function returned and its result was stored, 143 if SIGTERM ended it (terminated, out of time,
its host lost), else 1.

The result is an envelope of plain values, written on success and failure alike (see `Envelope` and `envelope`).
"""

from __future__ import annotations

import faulthandler
import hashlib
import importlib
import importlib.metadata
import os
import platform
import resource
import signal
import subprocess
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict

from ._core import Client
from .container import SecondLook, quick_covalent
from .envelope import encode, metadata
from .naming import BUCKET_OWNER, KMS_KEY, SENDER_METADATA, SIGNING_KEY, output_key
from .tee import teed
from .texts import Unpickler

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from ._core import Reader

OUTPUT_APART = 8 * 1024 * 1024
"""From this many bytes on, the output is an object of its own, so that the envelope can be read whole."""

_COMMAND_OUTPUT_CHARACTERS = 4000


class Envelope(TypedDict):
    """What the result's object holds; the core reads it without running any code of ours.

    `status` is "succeeded", "failed" or "terminated" (by SIGTERM). `output` is a serialised TransportableObject, or
    None if an object of its own holds it, and then `output_sha256` is its SHA-256 in hexadecimal digits. Times are
    seconds since 1970.
    """

    status: str
    output: bytes | None
    output_sha256: str | None
    stdout: str
    stderr: str
    traceback: str | None
    exception: str | None
    python: str
    cloudpickle: str
    covalent: str
    started_at: float
    finished_at: float
    peak_rss_bytes: int
    job_id: str | None
    attempt: int | None


class Terminated(BaseException):
    """SIGTERM arrived: the job was terminated, or has reached its time limit, or its host is going away."""

    __module__ = "builtins"  # a traceback then shows the bare name


def main() -> int:
    """Run the task that the environment names.

    Returns:
        The exit status.
    """
    names = ("S3_BUCKET_NAME", "COVALENT_TASK_FUNC_FILENAME", "RESULT_FILENAME")
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        _say(f"No task to run: the executor sets {', '.join(names)} in the job, and {', '.join(missing)} is not set.")
        return 1
    bucket, function_key, result_key = (os.environ[name] for name in names)
    faulthandler.enable()  # a crash in native code leaves no result, but at least its stack in the log
    sys.meta_path.append(SecondLook)
    # The function, and what it starts, has no use for it.
    signing_key = os.environ.pop(SIGNING_KEY, "")
    client = Client("{}").for_bucket(os.environ.get(BUCKET_OWNER, "any"), os.environ.get(KMS_KEY, ""))
    envelope = run(client, bucket, function_key)
    try:
        deliver(client, bucket, result_key, envelope, signing_key)
    except Exception as error:  # noqa: BLE001  (whatever it is, the log must have it in a sentence)
        _say(f"The result could not be written to s3://{bucket}/{result_key}: {type(error).__name__}: {error}")
        return 1
    # A job that somebody terminated has the exit status of any program that SIGTERM ends.
    return {"succeeded": 0, "terminated": 128 + signal.SIGTERM}.get(envelope["status"], 1)


def run(client: Client, bucket: str, key: str) -> Envelope:
    """Load the task and run it, whatever it does.

    Args:
        client: Connection to S3.
        bucket: Where the task is.
        key: The object that holds the pickled (function, args, kwargs).
    """
    started_at = time.time()
    output, failure = None, None
    sender: dict[str, str] = {}
    with teed() as (stdout, stderr):
        try:
            try:
                signal.signal(signal.SIGTERM, _terminate)
                function, args, kwargs = _load(client, bucket, key, sender)
                output = _serialized(function(*args, **kwargs))
            finally:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)  # from here on the result must get out
        except BaseException as error:  # noqa: BLE001  (also SystemExit: the job must say how it ended)
            output, failure = None, error
    report = None if failure is None else "\n".join([_trace(failure), *_hints(failure, sender)])
    if report:
        _say(report)
    status = "succeeded" if failure is None else "terminated" if isinstance(failure, Terminated) else "failed"
    attempt = os.environ.get("AWS_BATCH_JOB_ATTEMPT", "")
    return Envelope(
        status=status,
        output=output,
        output_sha256=None,
        stdout=stdout.text(),
        stderr=stderr.text(),
        traceback=report,
        exception=None if failure is None else _printable(type(failure).__name__),
        python=platform.python_version(),
        cloudpickle=_version("cloudpickle"),
        covalent=_version("covalent"),
        started_at=started_at,
        finished_at=time.time(),
        peak_rss_bytes=_peak_rss(),
        job_id=os.environ.get("AWS_BATCH_JOB_ID"),
        attempt=int(attempt) if attempt.isdecimal() else None,
    )


def deliver(client: Client, bucket: str, key: str, envelope: Envelope, signing_key: str = "") -> None:
    """Write the result, first a large output and then the envelope that vouches for it.

    Args:
        client: Connection to S3.
        bucket: Where to.
        key: Object of the envelope.
        envelope: Changed in place: a large output moves out, and one that cannot be stored makes a failure of it.
        signing_key: Hexadecimal digits of the key to sign the envelope with; empty for no signature.
    """
    output = envelope["output"]
    if output is not None and len(output) >= OUTPUT_APART:
        envelope["output"] = None
        try:
            with client.writer(bucket, output_key(key)) as file:
                file.write(output)
            envelope["output_sha256"] = hashlib.sha256(output).hexdigest()
        except Exception as error:  # noqa: BLE001
            envelope["status"] = "failed"
            envelope["exception"] = type(error).__name__
            envelope["traceback"] = _printable(
                f"The function returned, but its result of {len(output):,} bytes could not be stored in "
                f"s3://{bucket}/{output_key(key)}: {type(error).__name__}: {error}"
            )
    content = encode(envelope)
    with client.writer(bucket, key, metadata(content, signing_key)) as file:
        file.write(content)


def _load(client: Client, bucket: str, key: str, sender: dict[str, str]) -> tuple[Any, Sequence[Any], dict[str, Any]]:
    with quick_covalent():
        # Nearly every task needs it, even if its pickle does not name it: so do the core's exceptions and the result.
        importlib.import_module("covalent.executor.utils.wrappers")
        reader = _open(client, bucket, key)
    for name, version in reader.metadata.items():
        if name.startswith(SENDER_METADATA):
            sender[name.removeprefix(SENDER_METADATA)] = version
    if _minor(sender.get("python", "")) not in ("", _minor(platform.python_version())):
        # Said beforehand too, for foreign bytecode can bring the interpreter down.
        _say(_versions(sender))
    function, args, kwargs = Unpickler(reader).load()  # running it is what this is for
    return function, args, kwargs


def _open(client: Client, bucket: str, key: str) -> Reader:
    return client.reader(bucket, key)


def _serialized(result: Any) -> bytes:
    from covalent._workflow.transportable_object import TransportableObject

    serialized: bytes = TransportableObject.make_transportable(result).serialize()
    return serialized


def _terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one is enough, a second must not disturb the writing of the result
    raise Terminated(
        "the container got SIGTERM while the function was running: the job was terminated or cancelled, reached its "
        "time limit, or lost its host"
    )


def _trace(error: BaseException) -> str:
    """The traceback as Python prints it, from the first frame on that is not the runner's."""
    start = error.__traceback__
    while start is not None and start.tb_frame.f_code.co_filename == __file__:
        start = start.tb_next
    return _printable("".join(traceback.format_exception(type(error), error, start)).rstrip("\n"))


def _hints(error: BaseException, sender: dict[str, str]) -> list[str]:
    """What a traceback does not say by itself, in plain words."""
    codes = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    of_covalent = {code.co_name for code in codes if code.co_filename.endswith("transportable_object.py")}
    loading = _load.__code__ in codes
    hints: list[str] = []
    if isinstance(error, Terminated):
        return hints
    if isinstance(error, SystemExit):
        hints.append(f"The function called sys.exit({error.code!r}). A task succeeds only by returning its result.")
    if _open.__code__ in codes:
        if isinstance(error, FileNotFoundError):
            hints.append("The task's object is not in the bucket: was it deleted, or has it expired?")
    elif loading or "get_deserialized" in of_covalent:
        hints.append(_versions(sender))
    elif "__init__" in of_covalent:
        hints.append("What the function returned cannot be pickled, so it cannot leave the container.")
    if isinstance(error, ModuleNotFoundError) and error.name:
        hints.append(
            f"The module {error.name!r} is not installed in this container: install its package in the image, or name "
            "it in the electron's DepsPip."
        )
    if isinstance(error, subprocess.CalledProcessError):
        hints += _command_output(error)
    return [_printable(hint) for hint in hints]


def _command_output(error: subprocess.CalledProcessError) -> list[str]:
    """What a command had to say, such as the pip of a DepsPip, whose words Covalent captures and drops."""
    streams = [
        text.decode("utf-8", "replace") if isinstance(text, bytes) else text for text in (error.stdout, error.stderr)
    ]
    said = "\n".join(text.strip() for text in streams if text)
    return [f"The command said:\n{said[-_COMMAND_OUTPUT_CHARACTERS:]}"] if said else []


def _versions(sender: dict[str, str]) -> str:
    here = f"Python {platform.python_version()} with cloudpickle {_version('cloudpickle')}"
    if "python" not in sender:
        return f"The task is read by {here}; the Python that pickled it must have the same minor version."
    sentence = f"The task was pickled by Python {sender['python']}"
    if "cloudpickle" in sender:
        sentence += f" with cloudpickle {sender['cloudpickle']}"
    sentence += f" and is read by {here}"
    if _minor(sender["python"]) != _minor(platform.python_version()):
        return f"{sentence}: use a container image with Python {_minor(sender['python'])}."
    return f"{sentence}."


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _peak_rss() -> int:
    """Bytes, of this process or of its largest child; Linux counts in KiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _printable(text: str) -> str:
    """Without lone surrogates, which no UTF-8 can hold."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _say(text: str) -> None:
    sys.stderr.write(f"{_printable(text)}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
