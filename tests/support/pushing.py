"""An image pushed by the core, and what it asked of ECR for that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covalent_awsbatch_plugin._core import Client

from .images import Image, Registry, digest_of
from .servers import Answer, HttpServer, Request

NAME = "covalent-jobs"


@dataclass
class Pushing:
    """The two ends of a push.

    Attributes:
        ecr: boto3's client of ECR.
        client: The core's client.
        registry: Where bases are.
        proxy: Records what the core asks of AWS.
        directory: A place for files.
        instead: Called with each request to AWS; an answer of its own replaces ECR's.
    """

    ecr: Any
    client: Client
    registry: Registry
    proxy: HttpServer
    directory: Path
    instead: Callable[[Request], Answer | None] = lambda _: None

    def base(self, address: str, architecture: str = "amd64") -> dict[str, Any]:
        async def read() -> str:
            return await self.client.base_image(address, architecture)

        found: dict[str, Any] = json.loads(asyncio.run(read()))
        return found

    def request(self, base: str, content: bytes = b"our own layer", tag: str = "cab-1") -> dict[str, Any]:
        """An image of a base's layer and one of our own, with the base's configuration."""
        file = self.directory / "layer"
        file.write_bytes(content)
        found = self.base(base)
        manifest = json.loads(found["manifest"])
        own = {
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": digest_of(content),
            "size": len(content),
        }
        manifest["layers"].append(own)
        blobs: list[dict[str, str]] = [{"digest": part["digest"]} for part in [*manifest["layers"], manifest["config"]]]
        blobs[-2]["file"] = str(file)
        image = {"manifest": json.dumps(manifest), "base": found["image"], "blobs": blobs}
        return {"repository": NAME, "tag": tag, "seconds": 60, **image}

    def push(self, request: dict[str, Any]) -> str:
        async def send() -> str:
            return await self.client.push_image(json.dumps(request))

        return asyncio.run(send())

    def asked(self) -> list[str]:
        """The operations of ECR that the core asked for."""
        targets = [request.headers.get("x-amz-target", "") for request in self.proxy.requests]
        return [target.rpartition(".")[2] for target in targets]

    def refuse_once(self, operation: str, code: str, **fields: Any) -> None:
        """Has the first call of an operation refused."""
        refused: list[bool] = []

        def answer(request: Request) -> Answer | None:
            if refused or not request.headers.get("x-amz-target", "").endswith(f".{operation}"):
                return None
            refused.append(True)
            body = json.dumps({"__type": code, "message": "as a test wants it", **fields}).encode()
            return Answer(body, 400, {"x-amzn-errortype": code, "Content-Type": "application/x-amz-json-1.1"})

        self.instead = answer

    def pushed(self, tag: str = "cab-1") -> dict[str, Any]:
        """The manifest of an image in the repository."""
        [image] = self.ecr.batch_get_image(repositoryName=NAME, imageIds=[{"imageTag": tag}])["images"]
        manifest: dict[str, Any] = json.loads(image["imageManifest"])
        return manifest


BASE = Image()
