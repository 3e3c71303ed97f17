"""Looks images up in registries: whether they exist, and for which architectures."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.error
import urllib.request
from dataclasses import dataclass, field, replace
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
        python: Minor version of its Python, as Python's own images and those made from them name it; empty if unknown.
    """

    exists: bool | None
    architectures: set[str] = field(default_factory=set)
    note: str = ""
    python: str = ""


async def look_into_ecr(inspector: Inspector, uri: str, wanted: set[str]) -> ImageInfo:
    """What is in an image in ECR that is there; whatever may not be asked is unknown.

    Args:
        inspector: Connection to use.
        uri: The image.
        wanted: Architectures, of which an image for several is looked at for one.
    """
    architectures: set[str] = set()
    try:
        manifest = document(json.loads(await inspector.image_manifest(uri)) or "{}")
        if architectures := platforms(manifest):
            host, name, _ = _parts(uri)
            one = f"{host}/{name}@{digest_for(manifest, wanted)}"
            manifest = document(json.loads(await inspector.image_manifest(one)) or "{}")
        digest = _get_path(manifest, "config", "digest")
        url = json.loads(await inspector.image_part(uri, digest)) if isinstance(digest, str) else None
        configuration = await asyncio.to_thread(_get, url) if url else {}
    except (AWSBatchError, OSError, ValueError):
        return ImageInfo(True, architectures)
    architectures = architectures or _nonempty_strings(_get_path(configuration, "architecture"))
    return ImageInfo(True, architectures, python=python_of(configuration))


async def look_up_public(uri: str, wanted: set[str]) -> ImageInfo:
    """Look an image up in another registry, without credentials.

    Args:
        uri: The image.
        wanted: Architectures, of which an image for several is looked at for one.
    """
    host, name, version = _parts(uri)
    registry = _Registry(host, name)
    try:
        manifest = await asyncio.to_thread(registry.get, f"manifests/{version}")
    except urllib.error.HTTPError as error:
        if error.code == 404 and "/manifests/" in error.url:
            return ImageInfo(False, note=f"{host} has no such image")
        return ImageInfo(
            None, note=f"{host} answers {error.code}; a private image shows itself to the execution role only"
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        why = getattr(reason, "strerror", None) or reason
        return ImageInfo(None, note=f"{host} could not be asked from here ({why})")
    found = ImageInfo(True, platforms(manifest), f"public in {host}")
    try:
        if digest := digest_for(manifest, wanted):
            manifest = await asyncio.to_thread(registry.get, f"manifests/{digest}")
        digest = _get_path(manifest, "config", "digest")
        configuration = await asyncio.to_thread(registry.get, f"blobs/{digest}")
    except (OSError, ValueError):
        return found
    architectures = found.architectures or _nonempty_strings(_get_path(configuration, "architecture"))
    return replace(found, architectures=architectures, python=python_of(configuration))


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


class _Registry:
    """A repository of a registry that speaks as the OCI distribution specification says."""

    def __init__(self, host: str, name: str) -> None:
        # As Docker has it, a registry of this machine may do without TLS.
        self._scheme = "http" if host.partition(":")[0] in ("localhost", "127.0.0.1") else "https"
        self._url = f"{self._scheme}://{host}/v2/{name}/"
        self._scope = f"repository:{name}:pull"
        self._token: str | None = None

    def get(self, path: str) -> Any:
        """A document. A registry that asks for it gets the token that anybody gets."""
        url = self._url + path
        try:
            return _get(url, self._token)
        except urllib.error.HTTPError as error:
            challenge = dict(re.findall(r'(\w+)="([^"]*)"', error.headers.get("WWW-Authenticate", "")))
            realm = challenge.get("realm", "")
            if error.code != 401 or not realm.startswith(f"{self._scheme}://"):
                raise
        answer = _get(f"{realm}?service={challenge.get('service', '')}&scope={self._scope}")
        tokens = (_nonempty_strings(_get_path(answer, name)) for name in ("token", "access_token"))
        self._token = next((token for found in tokens for token in found), None)
        return _get(url, self._token)


def _get(url: str, token: str | None = None) -> Any:
    request = urllib.request.Request(url, headers={"Accept": _ACCEPT})  # noqa: S310  (as the user or ECR named it)
    if token:
        # Where a registry keeps its blobs is not to see it.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
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


def digest_for(manifest: Any, wanted: set[str]) -> str:
    """The image in an index for one of some architectures; empty if it is none, or has none for them."""
    entries = _get_path(manifest, "manifests")
    for entry in entries if isinstance(entries, list) else []:
        digest = _get_path(entry, "digest")
        if _nonempty_strings(_get_path(entry, "platform", "architecture")) & wanted and isinstance(digest, str):
            return digest
    return ""


def python_of(configuration: Any) -> str:
    """The version of Python that an image's configuration names; empty if it names none."""
    variables = _get_path(configuration, "config", "Env")
    for variable in variables if isinstance(variables, list) else []:
        if isinstance(variable, str) and (found := re.fullmatch(r"PYTHON_VERSION=(\d+\.\d+)[\w.]*", variable)):
            return found[1]
    return ""


def _get_path(value: Any, *names: str) -> Any:
    """A nested value of a document, or None: a registry may answer anything."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _nonempty_strings(*values: Any) -> set[str]:
    return {value for value in values if isinstance(value, str) and value}
