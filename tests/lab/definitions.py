"""AWS Batch: job definitions and their revisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import limits
from .messages import Reply, json_reply
from .routes import Asked

PAGE = 100


class Definitions:
    """Answers for job definitions.

    Args:
        arn: Makes an ARN of the last part of one.
    """

    def __init__(self, arn: Any) -> None:
        self._arn = arn
        self.revisions: list[dict[str, Any]] = []
        self._by_arn: dict[str, dict[str, Any]] = {}
        self._latest: dict[str, int] = {}

    def register_job_definition(self, asked: Asked) -> Reply:
        """Makes a new revision, whether there is one with this content or not."""
        limits.check_definition(asked.parameters, len(asked.request.body))
        name = asked.parameters["jobDefinitionName"]
        number = self._latest[name] = self._latest.get(name, 0) + 1
        revision = {
            **asked.parameters,
            "jobDefinitionArn": self._arn(f"job-definition/{name}:{number}"),
            "revision": number,
            "status": "ACTIVE",
            "containerOrchestrationType": "ECS",
        }
        self.revisions.append(revision)
        self._by_arn[revision["jobDefinitionArn"]] = revision
        return json_reply({name: revision[name] for name in ("jobDefinitionName", "jobDefinitionArn", "revision")})

    def describe_job_definitions(self, asked: Asked) -> Reply:
        """Lists revisions in pages."""
        wanted = asked.parameters
        found = [
            revision
            for revision in self.revisions
            if wanted.get("status") in (None, revision["status"])
            and wanted.get("jobDefinitionName") in (None, revision["jobDefinitionName"])
            and (not wanted.get("jobDefinitions") or _names(revision) & set(wanted["jobDefinitions"]))
        ]
        return json_reply(page("jobDefinitions", found, wanted))

    def deregister_job_definition(self, asked: Asked) -> Reply:
        """Makes a revision unfit for further jobs."""
        revision = self.find(asked.parameters.get("jobDefinition", ""))
        revision["status"] = "INACTIVE"
        return json_reply({})

    def find(self, reference: str) -> dict[str, Any]:
        """The active revision of this ARN, `name:revision` or name.

        Raises:
            AwsError: There is none.
        """
        short = reference.rpartition("/")[2]
        if ":" not in short:
            short = f"{short}:{self._latest.get(short, 0)}"
        found = self._by_arn.get(self._arn(f"job-definition/{short}"))
        if found is None or found["status"] != "ACTIVE":
            raise limits.refused(f"JobDefinition {reference} not found or not active.")
        return found


def page(field: str, entries: Sequence[Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """One page of a list and the token of the next one."""
    start = int(wanted.get("nextToken") or 0)
    end = start + min(PAGE, int(wanted.get("maxResults") or PAGE))
    answer: dict[str, Any] = {field: entries[start:end]}
    if end < len(entries):
        answer["nextToken"] = str(end)
    return answer


def _names(revision: dict[str, Any]) -> set[str]:
    name, number = revision["jobDefinitionName"], revision["revision"]
    return {name, f"{name}:{number}", revision["jobDefinitionArn"]}
