"""A laptop that a Covalent server runs on: it sleeps, its clock goes on meanwhile, and so does AWS.

Sleep is what Linux makes of it for a program: it is stopped, its connections are gone, and the clock of the wall has
moved when it goes on, but not the monotonic one. A small library in C, which is preloaded, moves the clock of the
server and of all that it starts; libfaketime cannot leave the monotonic clock alone, since Python's `sleep` then fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from covalent_awsbatch_plugin.local import LocalAWS

from .holding import Holding
from .proxy import Proxy
from .servers import Answer, Request

_CREDENTIALS_SECONDS = 3600
_KEY = "ASIANIGHT"
_SKEW = timedelta(minutes=5)  # that AWS allows for
_SOURCE = Path(__file__).with_name("moved_clock.c")

# Credentials with a term, as those of single sign-on have, by the clock of whoever asks.
_PROCESS = """
import json, time
now = int(time.time())
end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + {seconds}))
key = {{"AccessKeyId": f"{key}{{now}}", "SecretAccessKey": "secret", "SessionToken": "token", "Expiration": end}}
print(json.dumps({{"Version": 1, **key}}))
"""


class DatedWay(Holding):
    """A way to AWS that looks at dates as AWS does: those of signatures, and those until which credentials are valid.

    Args:
        aws: Where it leads to.
    """

    def __init__(self, aws: LocalAWS) -> None:
        super().__init__(aws)
        self.refused: list[str] = []
        """Codes of the requests that were refused."""
        self.served: list[datetime] = []
        """When those were signed, by the clock that is ahead, that were not."""
        self.keys: set[str] = set()
        """Access keys that signed them."""

    def _answer(self, request: Request) -> Answer:
        now = datetime.now(timezone.utc) + timedelta(seconds=self.ahead)
        date = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        issued = re.fullmatch(_KEY + r"(\d+)", request.access_key)
        if abs(date - now) > _SKEW:
            return self._refusal(request, "RequestTimeTooSkewed")
        if issued is None or now.timestamp() > int(issued[1]) + _CREDENTIALS_SECONDS:
            return self._refusal(request, "ExpiredToken" if request.service == "s3" else "ExpiredTokenException")
        self.served.append(date)
        self.keys.add(request.access_key)
        headers = {name: value for name, value in request.headers.items() if name != "x-amz-security-token"}
        return super()._answer(replace(request, headers=headers))

    def _refusal(self, request: Request, code: str) -> Answer:
        self.refused.append(code)
        if request.service == "s3":
            return Answer(f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode(), 403)
        body = json.dumps({"__type": code, "message": "no"}).encode()
        return Answer(body, 403, {"x-amzn-ErrorType": code})


class Laptop:
    """The clock of a server, and its way to AWS, in a `with` block. Skips the test elsewhere than on Linux.

    Args:
        aws: Goes on while the laptop sleeps.
        directory: For its files.
    """

    def __init__(self, aws: LocalAWS, directory: Path) -> None:
        if sys.platform != "linux":
            pytest.skip("the clock of a program is moved on Linux only")
        self.way = DatedWay(aws)
        self._proxy = Proxy(self.way.port)
        self._region = aws.environment["AWS_REGION"]
        self._directory = directory
        self._library, self._clock = directory / "moved_clock.so", directory / "clock"

    @property
    def options(self) -> Mapping[str, str]:
        """Options of the executor that lead to AWS."""
        return {"endpoint_url": self._proxy.url}

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the server: its clock and its credentials."""
        return {
            "LD_PRELOAD": str(self._library),
            "MOVED_CLOCK": str(self._clock),
            "AWS_CONFIG_FILE": str(self._directory / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_REGION": self._region,
            "AWS_DEFAULT_REGION": self._region,
        }

    def __enter__(self) -> Laptop:
        self._directory.mkdir(exist_ok=True)
        build = ["cc", "-O2", "-shared", "-fPIC", "-o", self._library, _SOURCE, "-ldl"]
        subprocess.run(build, check=True, timeout=60)
        self._clock.write_bytes(bytes(8))
        process = self._directory / "credentials.py"
        process.write_text(_PROCESS.format(seconds=_CREDENTIALS_SECONDS, key=_KEY))
        config = self._directory / "config"
        config.write_text(f"[default]\ncredential_process = {sys.executable} {process}\n")
        self.way.__enter__()
        self._proxy.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._proxy.__exit__()
        self.way.__exit__(None, None, None)

    @contextmanager
    def asleep(self, group: int, hours: float) -> Iterator[None]:
        """The laptop sleeps.

        Args:
            group: Process group of the server. It may be killed meanwhile: the battery was empty.
            hours: How long, by its clock and AWS's.
        """
        os.killpg(group, signal.SIGSTOP)
        with self._proxy.resetting():
            yield
        self.way.ahead += 3600 * hours
        with self._clock.open("r+b") as file:  # which programs have in their memory
            file.write(int(self.way.ahead).to_bytes(8, sys.byteorder, signed=True))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGCONT)
