"""The services that a task meets in passing: STS, CloudWatch Logs, ECR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import gmtime, strftime
from typing import Any

from .batch import Jobs
from .clock import Clock
from .messages import AwsError, Reply, json_reply, xml_reply
from .routes import Asked


class Credentials:
    """Answers of STS, and how long what it gave is good.

    Args:
        account: Whose they are.
        clock: Tells when they expire.
        lifetime: Seconds that the keys of an assumed role are good.
    """

    def __init__(self, account: str, clock: Clock, lifetime: float) -> None:
        self._account = account
        self._clock = clock
        self._lifetime = lifetime
        self._issued: dict[str, float] = {}

    def are_expired(self, access_key: str) -> bool:
        """Whether a key is no longer good; keys that were not issued here always are."""
        return access_key in self._issued and self._clock.now() >= self._issued[access_key] + self._lifetime

    def get_caller_identity(self, asked: Asked) -> Reply:
        """Tells who is calling."""
        key = asked.request.access_key
        return _sts(
            "GetCallerIdentity",
            f"<Arn>arn:aws:iam::{self._account}:user/{key}</Arn><UserId>{key}</UserId><Account>{self._account}</Account>",
        )

    def assume_role(self, asked: Asked) -> Reply:
        """Gives keys that expire."""
        key = f"ASIALAB{len(self._issued):09}"
        self._issued[key] = self._clock.now()
        end = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(self._clock.date(self._clock.now() + self._lifetime)))
        return _sts(
            "AssumeRole",
            f"<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>secret-of-{key}</SecretAccessKey>"
            f"<SessionToken>token-of-{key}</SessionToken><Expiration>{end}</Expiration></Credentials>"
            f"<AssumedRoleUser><Arn>{asked.parameters.get('RoleArn')}</Arn><AssumedRoleId>lab:session</AssumedRoleId>"
            "</AssumedRoleUser>",
        )


class Logs:
    """Answers of CloudWatch Logs, for the streams of jobs.

    Args:
        jobs: Whose they are.
        clock: Dates the lines.
    """

    def __init__(self, jobs: Jobs, clock: Clock) -> None:
        self._jobs = jobs
        self._clock = clock

    def get_log_events(self, asked: Asked) -> Reply:
        """Reads the lines of an attempt: the first, or the last where `startFromHead` is false, as is the default."""
        wanted = asked.parameters
        lines, moment = self._lines(wanted.get("logGroupName", ""), wanted.get("logStreamName", ""))
        limit = int(wanted.get("limit") or 10_000)
        shown = lines[:limit] if wanted.get("startFromHead") else lines[-limit:]
        date = int(self._clock.date(moment) * 1000)
        events = [{"timestamp": date, "message": line, "ingestionTime": date} for line in shown]
        tokens = {"nextForwardToken": "f/1", "nextBackwardToken": "b/1"}
        return json_reply({"events": events, **tokens}, target=True)

    def _lines(self, group: str, stream: str) -> tuple[Sequence[str], float]:
        job_id, _, number = stream.rpartition("/")[2].partition(".")
        job = self._jobs.jobs.get(job_id)
        for run in job.runs if job else ():
            if job and str(run.number) == number and job.log_stream(run) == stream and job.log_group == group:
                return run.attempt.log or (), run.start
        raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")


class Images:
    """Answers of ECR.

    Args:
        repositories: Tags or digests by repository.
    """

    def __init__(self, repositories: Mapping[str, Sequence[str]]) -> None:
        self._repositories = repositories

    def describe_images(self, asked: Asked) -> Reply:
        """Tells about images by tag or digest."""
        name = asked.parameters.get("repositoryName", "")
        if name not in self._repositories:
            message = f"The repository with name '{name}' does not exist in the registry"
            raise AwsError("RepositoryNotFoundException", message)
        details: list[dict[str, Any]] = []
        for image in asked.parameters.get("imageIds", ()):
            version = image.get("imageTag") or image.get("imageDigest", "")
            if version not in self._repositories[name]:
                message = f"The image with imageId {version} does not exist within the repository with name '{name}'"
                raise AwsError("ImageNotFoundException", message)
            details.append({"repositoryName": name, "imageTags": [version], "imageSizeInBytes": 1})
        return json_reply({"imageDetails": details}, target=True)


def _sts(action: str, result: str) -> Reply:
    return xml_reply(
        f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>{result}</{action}Result>'
        f"<ResponseMetadata><RequestId>lab</RequestId></ResponseMetadata></{action}Response>"
    )
