"""An AWS account of its own beside the one that a test process can embed: `covalent-awsbatch local` as a program."""

from __future__ import annotations

import configparser
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import toml


@dataclass(frozen=True)
class Account:
    """Where it answers.

    Args:
        endpoint_url: Of every service.
        credentials: Path of a file with credentials for it.
        region: The region in which it has something.
    """

    endpoint_url: str
    credentials: str
    region: str

    def client(self, service: str) -> Any:
        """A boto3 client of a service."""
        file = configparser.ConfigParser(interpolation=None)
        file.read(self.credentials)
        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            **file["default"],
            config=botocore.config.Config(s3={"addressing_style": "path"}),
        )


@contextmanager
def account(home: Path, region: str) -> Iterator[Account]:
    """Runs one as long as the context lasts; what it complains of is kept in `account.log` of the home.

    Args:
        home: The home of who runs it.
        region: Its region.
    """
    command = [Path(sys.executable).with_name("covalent-awsbatch"), "local", f"--region={region}"]
    with (
        (home / "account.log").open("w", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            env={"PATH": "/usr/bin:/bin", "HOME": str(home), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            lines = iter(process.stdout.readline, "")
            text = "".join(next_until(lines, "Ctrl-C ends it."))
            section = toml.loads(text[text.index("[executors.awsbatch]") : text.index("Next:")])
            place = section["executors"]["awsbatch"]
            yield Account(place["endpoint_url"], place["credentials"], region)
        finally:
            process.terminate()


def next_until(lines: Iterator[str], last: str) -> Iterator[str]:
    """Lines up to the one that contains `last`, and with it."""
    for line in lines:
        yield line
        if last in line:
            return


def put_image(client: Any, repository: str, tag: str) -> None:
    """Puts an image for x86 into a repository: a list of one manifest, without layers.

    Args:
        client: A boto3 client of ECR.
        repository: The name of the repository.
        tag: The image's.
    """
    manifest = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": f"sha256:{0:064}",
        "size": 1,
        "platform": {"architecture": "amd64", "os": "linux"},
    }
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest]}
    client.put_image(repositoryName=repository, imageTag=tag, imageManifest=json.dumps(index))
