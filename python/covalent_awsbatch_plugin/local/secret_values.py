"""The secrets of a job, fetched from the embedded AWS as the ECS agent fetches them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError


class NoSecretError(Exception):
    """A secret is not there; the text says which, and has no value of any."""


def fetch(secrets: Iterable[Mapping[str, str]], client: Callable[[str], Any]) -> dict[str, str]:
    """Fetches the values by the names of their variables.

    Args:
        secrets: `secrets` of a container.
        client: Returns a boto3 client of the service named.

    Raises:
        NoSecretError: There is no such secret or parameter.
    """
    return {secret["name"]: _value(secret["valueFrom"], client) for secret in secrets}


def _value(source: str, client: Callable[[str], Any]) -> str:
    try:
        if source.startswith("arn:") and source.split(":")[2] == "secretsmanager":
            return _of_secrets_manager(source, client("secretsmanager"))
        name = source.partition(":parameter")[2] if source.startswith("arn:") else source
        return str(client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"])
    except (ClientError, KeyError, ValueError) as error:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else "no such key in it"
        raise NoSecretError(f"unable to pull secrets or registry auth: {source}: {code}") from error


def _of_secrets_manager(source: str, service: Any) -> str:
    """The secret, or one of its keys: `arn:…:secret:name:key:stage:version`."""
    parts = source.split(":")
    key, stage, version = (*parts[7:], "", "", "")[:3]
    chosen = {"VersionStage": stage, "VersionId": version}
    answer = service.get_secret_value(
        SecretId=":".join(parts[:7]), **{name: value for name, value in chosen.items() if value}
    )
    text = str(answer["SecretString"])
    return str(json.loads(text)[key]) if key else text
