"""Writes the envelope: the object that a job leaves in the bucket."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, TypedDict

from covalent_awsbatch_plugin.agreement.naming import output_key
from covalent_awsbatch_plugin.printable import printable

from . import node, usage
from .encoding import encode, metadata

if TYPE_CHECKING:
    from collections.abc import Iterable

    from covalent_awsbatch_plugin._core import Client

SEPARATE_OUTPUT_BYTES = 8 * 1024 * 1024
"""An output of this size or more is a separate object, so that the envelope can be read at once."""

_MAX_ERROR_CHARS = 10_000


class Envelope(TypedDict):
    """The content of the result's object; the core decodes it without executing anything.

    `status` is "succeeded", "failed" or "terminated" (by SIGTERM). `output` is a serialised TransportableObject, or
    None if an object of its own holds it, and then `output_blake3` is its BLAKE3 hash in hexadecimal digits. Times are
    seconds since 1970.
    """

    status: str
    output: bytes | None
    output_blake3: str | None
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


def new_envelope() -> Envelope:
    """An envelope with the fields that are known when a task begins."""
    attempt = os.environ.get("AWS_BATCH_JOB_ATTEMPT", "")
    return Envelope(
        status="failed",
        output=None,
        output_blake3=None,
        stdout="",
        stderr="",
        traceback=None,
        exception=None,
        python="",
        cloudpickle="",
        covalent="",
        started_at=time.time(),
        finished_at=0.0,
        peak_rss_bytes=0,
        job_id=node.job_id(),
        attempt=int(attempt) if attempt.isdecimal() else None,
    )


def write_envelope(client: Client, bucket: str, key: str, envelope: Envelope, signing_key: str) -> None:
    """Write the envelope.

    Args:
        client: Connection to S3.
        bucket: Where to.
        key: Object of the envelope.
        envelope: The envelope; end time, peak memory and missing versions are filled in.
        signing_key: Hexadecimal digits of the key to sign with; empty for no signature.
    """
    if not envelope["python"]:
        from .explanation import versions

        envelope.update(versions())  # type: ignore[typeddict-item]
    envelope["finished_at"] = time.time()
    envelope["peak_rss_bytes"] = usage.peak_rss()
    content = encode(envelope)
    used = usage.described(envelope["attempt"], envelope["peak_rss_bytes"])
    with client.writer(bucket, key, metadata(content, signing_key, used)) as file:
        file.write(content)


def store_output(client: Client, bucket: str, key: str, size: int, pieces: Iterable[bytes]) -> dict[str, Any]:
    """Store a serialised result: a small one for the envelope, a large one as a separate object.

    Args:
        client: Connection to S3.
        bucket: Where to.
        key: Object of the envelope.
        size: Bytes of the result.
        pieces: The result.

    Returns:
        Entries of the envelope: the result or its hash, or a failure if it cannot be stored.

    Raises:
        EOFError: The pieces end early.
    """
    if size < SEPARATE_OUTPUT_BYTES:
        return {"output": b"".join(pieces)}
    try:
        with client.writer(bucket, output_key(key), hash_algorithm="blake3") as file:
            for piece in pieces:
                file.write(piece)
    except EOFError:
        raise
    except Exception as error:  # noqa: BLE001  (whatever it is, the envelope has to say it)
        message = (
            f"The function returned, but its result of {size:,} bytes could not be stored in "
            f"s3://{bucket}/{output_key(key)}: {type(error).__name__}: {error}"
        )
        return {
            "status": "failed",
            "exception": type(error).__name__,
            "traceback": printable(message, _MAX_ERROR_CHARS),
        }
    return {"output_blake3": file.digest()}


def succeeded_before(client: Client, bucket: str, key: str) -> bool:
    """Whether an earlier attempt of this job has written its result.

    The host may have been lost right after. Reading executes no code.

    Args:
        client: Connection to S3.
        bucket: Where it would be.
        key: Object of the envelope.
    """
    job, attempt = node.job_id(), os.environ.get("AWS_BATCH_JOB_ATTEMPT", "")
    if not job or not attempt.isdecimal() or int(attempt) < 2:
        return False
    import asyncio

    async def read() -> Any:
        return await client.stored_result(bucket, key)

    try:
        found = asyncio.run(read())
    except Exception as error:  # noqa: BLE001  (then the function runs)
        print(
            f"What an earlier attempt may have left cannot be read: {printable(error, _MAX_ERROR_CHARS)}",
            file=sys.stderr,
        )
        return False
    return bool(found and found["format"] != 1 and found["status"] == "succeeded" and found["job_id"] == job)
