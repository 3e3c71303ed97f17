"""Looks images up in registries: whether they exist, and for which architectures."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from covalent_awsbatch_plugin._core import Inspector
from covalent_awsbatch_plugin.errors import AWSBatchError

_TIMEOUT_SECONDS = 5.0
_MAX_MANIFEST_BYTES = 4 * 1024 * 1024  # the limit that registries have for a manifest
_ACCEPT = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)


@dataclass(frozen=True)
class ImageInfo:
    """An image in its registry.

    Attributes:
        exists: None if unknown.
        architectures: `amd64`, `arm64` …; empty if unknown.
        note: An addition for the report.
    """

    exists: bool | None
    architectures: set[str] = field(default_factory=set)
    note: str = ""


async def ecr_architectures(inspector: Inspector, uri: str) -> set[str]:
    """The architectures of an image in ECR; empty if the call is denied."""
    try:
        manifest = document(json.loads(await inspector.image_manifest(uri)) or "{}")
        if found := platforms(manifest):
            return found
        digest = _get_path(manifest, "config", "digest")
        url = json.loads(await inspector.image_part(uri, digest)) if isinstance(digest, str) else None
        return _nonempty_strings(_get_path(await asyncio.to_thread(_get, url), "architecture")) if url else set()
    except (AWSBatchError, OSError, ValueError):
        return set()


async def look_up_public(uri: str) -> ImageInfo:
    """Look an image up in another registry, without credentials."""
    host, name, version = _parts(uri)
    try:
        manifest = await asyncio.to_thread(_manifest, host, name, version)
    except urllib.error.HTTPError as error:
        if error.code == 404 and "/manifests/" in error.url:
            return ImageInfo(False, note=f"{host} has no such image")
        return ImageInfo(
            None, note=f"{host} answers {error.code}; a private image shows itself to the execution role only"
        )
    except (OSError, ValueError) as error:
        return ImageInfo(None, note=f"{host} could not be asked from here ({error})")
    return ImageInfo(True, platforms(manifest), f"public in {host}")


def _parts(uri: str) -> tuple[str, str, str]:
    """Registry, repository, and tag or digest, as Docker reads an image's name."""
    host, slash, path = uri.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, path = "registry-1.docker.io", uri if slash else f"library/{uri}"
    name, _, digest = path.partition("@")
    if digest:
        return host, name, digest
    name, _, tag = path.partition(":")
    return host, name, tag or "latest"


def _manifest(host: str, name: str, version: str) -> Any:
    url = f"https://{host}/v2/{name}/manifests/{version}"
    try:
        return _get(url)
    except urllib.error.HTTPError as error:
        challenge = dict(re.findall(r'(\w+)="([^"]*)"', error.headers.get("WWW-Authenticate", "")))
        if error.code != 401 or not challenge.get("realm", "").startswith("https://"):
            raise
    scope = f"repository:{name}:pull"
    answer = _get(f"{challenge['realm']}?service={challenge.get('service', '')}&scope={scope}")
    return _get(
        url,
        next(
            iter(_nonempty_strings(_get_path(answer, "token")) or _nonempty_strings(_get_path(answer, "access_token"))),
            None,
        ),
    )


def _get(url: str, token: str | None = None) -> Any:
    headers = {"Accept": _ACCEPT} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  (https, or a URL that ECR gave)
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
        return document(answer.read(_MAX_MANIFEST_BYTES))


def document(text: str | bytes) -> Any:
    """Parse the answer of a registry.

    Raises:
        ValueError: It is no JSON, or nested deeper than any manifest.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its answer is nested too deeply") from None


def platforms(manifest: Any) -> set[str]:
    """The architectures in an image index; empty if it is none."""
    entries = _get_path(manifest, "manifests")
    found = [_get_path(entry, "platform", "architecture") for entry in (entries if isinstance(entries, list) else [])]
    # Attestations are images for "unknown" in an index.
    return _nonempty_strings(*found) - {"unknown"}


def _get_path(value: Any, *names: str) -> Any:
    """A nested value of a document, or None: a registry may answer anything."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _nonempty_strings(*values: Any) -> set[str]:
    return {value for value in values if isinstance(value, str) and value}
