"""A repository to push to, and a registry with bases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.images import Registry
from support.pushing import NAME, Pushing
from support.servers import HttpServer
from support.signing import forward_signed

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.local import LocalAWS


@pytest.fixture(scope="module")
def shared_aws() -> Iterator[LocalAWS]:
    with LocalAWS() as aws:
        yield aws


@pytest.fixture
def pushing(shared_aws: LocalAWS, tmp_path: Path) -> Iterator[Pushing]:
    """An empty repository behind a proxy, and an empty registry."""
    forward = forward_signed(shared_aws)
    ecr = shared_aws.client("ecr")
    ecr.create_repository(repositoryName=NAME)
    registry = Registry()
    with HttpServer(lambda request: pushing.instead(request) or forward(request)) as proxy, registry.server:
        options = {**shared_aws.options, "endpoint_url": proxy.url, "region": "us-east-1"}
        pushing = Pushing(ecr, Client(json.dumps(options)), registry, proxy, tmp_path)
        yield pushing
    ecr.delete_repository(repositoryName=NAME, force=True)
