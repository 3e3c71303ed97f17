"""Images for the tests: small ones of real layers, and a registry that has them, as anybody may read it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .servers import Answer, HttpServer, Request

MINOR = "{}.{}".format(*sys.version_info)
OCI = "application/vnd.oci.image"
PYTHON = {"Env": ["PATH=/usr/local/bin:/usr/bin", f"PYTHON_VERSION={MINOR}.9"], "Cmd": ["python3"]}


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def tar(files: Mapping[str, bytes]) -> bytes:
    """A layer with these files, not compressed."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


@dataclass
class Image:
    """An image of one layer, for one platform.

    Attributes:
        config: What it says of how it is run.
        files: Content of its layer.
        architecture: What it is made for.
        more: Further fields of its configuration.
    """

    config: dict[str, Any] = field(default_factory=lambda: dict(PYTHON))
    files: dict[str, bytes] = field(default_factory=lambda: {"etc/os-release": b"ID=debian\n"})
    architecture: str = "amd64"
    more: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def plain(self) -> bytes:
        return tar(self.files)

    @cached_property
    def layer(self) -> bytes:
        return gzip.compress(self.plain, 1, mtime=0)

    @property
    def configuration(self) -> bytes:
        rootfs = {"type": "layers", "diff_ids": [digest_of(self.plain)]}
        own = {"architecture": self.architecture, "os": "linux", "config": self.config, "rootfs": rootfs}
        return json.dumps({**own, **self.more}).encode()

    @property
    def manifest(self) -> bytes:
        def part(kind: str, content: bytes) -> dict[str, Any]:
            return {"mediaType": f"{OCI}.{kind}", "digest": digest_of(content), "size": len(content)}

        layers = [part("layer.v1.tar+gzip", self.layer)]
        config = part("config.v1+json", self.configuration)
        kind = f"{OCI}.manifest.v1+json"
        return json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers}).encode()


def index(images: list[Image]) -> bytes:
    """The list of images by platform, with an attestation as builders add one."""
    entries = [
        {"digest": digest_of(one.manifest), "platform": {"os": "linux", "architecture": one.architecture}}
        for one in images
    ]
    unknown = {"digest": f"sha256:{0:064}", "platform": {"os": "unknown", "architecture": "unknown"}}
    return json.dumps({"schemaVersion": 2, "manifests": [unknown, *entries]}).encode()


class Registry:
    """A registry that gives everybody a token, and has its blobs elsewhere, as the public ones do.

    Attributes:
        server: To be started; what it was asked.
        instead: Called with each request; an answer of its own replaces the registry's.
    """

    def __init__(self) -> None:
        self.server = HttpServer(self._answer)
        self.instead: Any = lambda _: None
        self._blobs: dict[str, bytes] = {}
        self._manifests: dict[str, bytes] = {}

    def add(self, name: str, *images: Image) -> str:
        """Adds an image, or a list of some for several platforms, and returns its address."""
        for image in images:
            self._blobs |= {digest_of(content): content for content in (image.layer, image.configuration)}
            self._manifests[digest_of(image.manifest)] = image.manifest
        self._manifests[name] = images[0].manifest if len(images) == 1 else index(list(images))
        return f"127.0.0.1:{self.server.port}/library/{name}"

    def keep(self, digest: str, content: bytes) -> None:
        """Has a blob or manifest under its digest."""
        self._blobs[digest] = self._manifests[digest] = content

    def asked(self, what: str) -> list[str]:
        """The paths that were asked for, of manifests, blobs or data."""
        return [request.path for request in self.server.requests if f"/{what}/" in request.path]

    def _answer(self, request: Request) -> Answer:
        return self.instead(request) or self.answer(request)

    def answer(self, request: Request) -> Answer:
        """What the registry says."""
        path, token = urlsplit(request.path), request.headers.get("authorization")
        asked = f'Bearer realm="{self.server.url}/token",service="tests"'
        challenge = Answer(status=401, headers={"WWW-Authenticate": asked})
        if path.path == "/v2/":  # Docker looks how to sign in
            return challenge
        if path.path == "/token":
            scope = parse_qs(path.query)["scope"][0]
            return Answer(json.dumps({"token": f"for {scope}"}).encode())
        found = re.fullmatch(r"/(?:v2/(library/[^/]+)/)?(manifests|blobs|data)/(.+)", path.path)
        assert found, path
        repository, kind, name = found.groups()
        if kind == "data":
            assert token is None, "a token is for the registry alone"
            return _ranged(self._blobs[name], request)
        if token != f"Bearer for repository:{repository}:pull":
            return challenge
        if kind == "blobs":
            return Answer(status=307, headers={"Location": f"http://localhost:{self.server.port}/data/{name}"})
        key = name if name.startswith("sha256:") else f"{repository.removeprefix('library/')}:{name}"
        content = self._manifests.get(key)
        if content is None:
            return Answer(b"{}", 404)
        kind = json.loads(content).get("mediaType", f"{OCI}.index.v1+json")
        headers = {"Content-Type": kind, "Docker-Content-Digest": digest_of(content)}
        length = {"Content-Length": str(len(content))} if request.method == "HEAD" else {}
        return Answer(content, headers={**headers, **length})


def _ranged(content: bytes, request: Request) -> Answer:
    found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
    return Answer(content[int(found[1]) :], 206) if found else Answer(content)
