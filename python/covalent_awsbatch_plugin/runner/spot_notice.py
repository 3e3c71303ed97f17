"""Asks EC2 whether it takes this machine back, by its instance metadata.

A job on EC2 has the network of its machine, so that the metadata is as near as to any other program there.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
"""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_ENDPOINT = "AWS_EC2_METADATA_SERVICE_ENDPOINT"  # as AWS's SDKs have it
_SECONDS = 5.0  # between two questions, as AWS recommends
_TIMEOUT_SECONDS = 2.0
_TRIES = 3  # of the first question, a second apart
_TOKEN = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}


def watch(told: Callable[[], None], log: Callable[[str], None]) -> None:
    """Ask for ever. Returns only where nobody answers.

    Args:
        told: Is called with each answer that the machine is to be taken back.
        log: Takes what is said in the container's log.
    """
    failures: int | None = 0
    while True:
        try:
            if _is_announced():
                told()
            failures = None
        except (OSError, ValueError, http.client.HTTPException) as error:  # also an address that is none
            if failures is not None:
                failures += 1
                if failures == _TRIES:
                    why = f"its metadata does not answer ({error})"
                    log(f"Whether this machine is to be taken back is not known: {why}.")
                    return
        time.sleep(_SECONDS if failures is None else 1.0)


def _is_announced() -> bool:
    token = _ask("PUT", "api/token", _TOKEN)
    try:
        _ask("GET", "meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token})
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return False
        raise
    return True


def _ask(method: str, path: str, headers: dict[str, str]) -> str:
    place = os.environ.get(_ENDPOINT, "http://169.254.169.254").rstrip("/")
    request = urllib.request.Request(f"{place}/latest/{path}", method=method, headers=headers)  # noqa: S310
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on this machine
    with opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
        return str(answer.read(1024).decode("ascii", "replace"))
