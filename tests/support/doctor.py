"""The doctor, asked as a person asks it, and what it says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner
from support.servers import Answer, HttpServer, Request
from support.signing import forward_signed

from covalent_awsbatch_plugin.cli import main
from covalent_awsbatch_plugin.local import LocalAWS

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
QUEUE = "covalent-batch-queue"
ENVIRONMENT = "covalent-batch-environment"
BUCKET = "covalent-batch-job-resources"


def flags_of(options: dict[str, Any]) -> list[str]:
    """Options of the executor as a command takes them."""
    return [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]


@dataclass(frozen=True)
class Report:
    """What the doctor said."""

    code: int
    state: str
    checks: list[dict[str, Any]]

    def wrong(self) -> dict[str, str]:
        """What is wrong by its name: what was found, and the fix."""
        return {one["name"]: f"{one['found']} → {one['fix']}" for one in self.checks if one["state"] == "wrong"}

    def untold(self) -> dict[str, str]:
        return {one["name"]: one["found"] for one in self.checks if one["state"] == "unknown"}

    def found(self, name: str) -> str:
        return next(str(one["found"]) for one in self.checks if one["name"] == name)


def ask(options: dict[str, Any], *flags: str) -> Report:
    """Asks the doctor with these options of the executor."""
    answer = CliRunner().invoke(main, ["doctor", "--json", *flags, *flags_of(options)])
    assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.output
    content = json.loads(answer.stdout)
    assert answer.exit_code == {"well": 0, "wrong": 1, "unknown": 2}[content["state"]]
    assert all(one["fix"] for one in content["checks"] if one["state"] == "wrong")
    return Report(answer.exit_code, content["state"], content["checks"])


def denying(aws: LocalAWS, *targets: str) -> HttpServer:
    """The embedded AWS, where some services, or operations of theirs, are denied."""
    forward = forward_signed(aws)

    def answer(request: Request) -> Answer:
        asked = request.path, request.headers.get("x-amz-target", "")
        if request.service in targets or any(target in one for target in targets for one in asked):
            if request.service == "iam":
                error = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
                return Answer(error, 403)
            body = b'{"__type": "AccessDeniedException", "message": "no"}'
            return Answer(body, 403, {"x-amzn-errortype": "AccessDeniedException"})
        return forward(request)

    return HttpServer(answer)
