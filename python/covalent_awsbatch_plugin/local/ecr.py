"""Extends moto's ECR: layers that are kept and can be read, true digests, and the service's refusals."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import moto.ecr.models
import moto.ecr.urls
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ecr.exceptions import InvalidParameterException
from moto.ecr.models import Image, LayerUpload, Repository
from moto.ecr.responses import ECRResponse
from moto.s3.models import s3_backends

from .api import api_lock, patched_responses

# As in the service, where no account sees the bucket that has the layers of all repositories.
_ACCOUNT = "000000000000"
_BUCKET = "ecr-layers"
_SMALLEST_PART_BYTES = 5 * 1024 * 1024


class _RefusedError(ServiceException):
    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class LocalImage(Image):
    """An image whose digest is that of its manifest, and whose size is that of its parts."""

    def _create_digest(self) -> None:
        self._image_digest = _digest(self.image_manifest.encode())

    def get_image_size_in_bytes(self) -> int | None:
        """Returns the bytes of its layers and configuration; None for a list of images."""
        manifest = json.loads(self.image_manifest)
        return sum(part.get("size", 0) for part in _parts(manifest)) if "layers" in manifest else None


class LocalEcrResponse(ECRResponse):
    """Answers ECR's calls one at a time, with moto where it is correct."""

    presigned: ClassVar[Callable[[str, str], str]]
    """Returns the URL of an object in a bucket."""

    def call_action(self) -> Any:
        """Answers one call."""
        with api_lock:
            return super().call_action()

    def upload_layer_part(self) -> ActionResult:
        """Takes a part, and notes whether another one may follow it."""
        upload = self._upload()
        before = len(upload.layer_parts) if upload else 0
        answer = super().upload_layer_part()
        if upload:
            upload.is_part_small = getattr(upload, "is_last_small", False)
            upload.is_last_small = len(upload.layer_parts) - before < _SMALLEST_PART_BYTES
        return answer

    def complete_layer_upload(self) -> ActionResult:
        """Keeps a layer."""
        upload, digests = self._upload(), self._get_param("layerDigests")
        if upload:
            content = bytes(upload.layer_parts)
            if not content:
                raise _RefusedError("EmptyUploadException", "The upload has no parts")
            if getattr(upload, "is_part_small", False):
                raise _RefusedError("LayerPartTooSmallException", "Layer parts must be at least 5 MiB in size")
            digest = _digest(content)
            if digests != [digest]:
                raise _RefusedError("InvalidLayerException", f"Layer digests {digests} do not match {digest}")
            if digest in self._repository().layers:
                raise _RefusedError("LayerAlreadyExistsException", f"Layer with digest '{digest}' already exists")
            _layers().put_object(_BUCKET, digest, content)
        return super().complete_layer_upload()

    def put_image(self) -> ActionResult:
        """Takes a manifest whose parts are there; a list of images by platform is taken as it is."""
        repository, tag = self._repository(), self._get_param("imageTag")
        text = self._get_param("imageManifest")
        manifest = json.loads(text)
        missing = [part["digest"] for part in _parts(manifest) if part["digest"] not in repository.layers]
        if missing:
            raise _RefusedError("LayersNotFoundException", f"The layers with digests {missing} do not exist")
        if (self._get_param("imageDigest") or _digest(text.encode())) != _digest(text.encode()):
            raise _RefusedError("ImageDigestDoesNotMatchException", "The digest is not that of the manifest")
        others = [image for image in repository.images if tag in image.image_tags and image.image_manifest != text]
        if others and repository.is_tag_immutable():
            why = (
                f"The image tag '{tag}' already exists in the '{repository.name}' repository and cannot be overwritten"
            )
            raise _RefusedError("ImageTagAlreadyExistsException", why)
        return super().put_image()

    def get_download_url_for_layer(self) -> ActionResult:  # type: ignore[override]  # moto has none
        """Tells where a layer can be read for a while."""
        digest = self._get_param("layerDigest")
        if digest not in self._repository().layers:
            raise _RefusedError("LayersNotFoundException", f"The layer with digest '{digest}' does not exist")
        return ActionResult({"layerDigest": digest, "downloadUrl": type(self).presigned(_BUCKET, digest)})

    def _repository(self) -> Repository:
        name = self._get_param("repositoryName")
        [repository] = self.ecr_backend.describe_repositories(repository_names=[name])
        return repository

    def _upload(self) -> Any:
        found: LayerUpload | None = self._repository().uploads.get(self._get_param("uploadId"))
        return found


@contextmanager
def patched_ecr(presigned: Callable[[str, str], str]) -> Iterator[None]:
    """Has ECR keep what is pushed while the `with` block runs.

    Args:
        presigned: Returns the URL of an object, by bucket and key, that needs no signature besides.
    """
    original = moto.ecr.models.Image
    LocalEcrResponse.presigned = staticmethod(presigned)
    moto.ecr.models.Image = LocalImage  # type: ignore[misc]
    try:
        with patched_responses(moto.ecr.urls, LocalEcrResponse):
            yield
    finally:
        moto.ecr.models.Image = original  # type: ignore[misc]


def layer(digest: str) -> bytes:
    """Returns what was pushed under a digest."""
    with api_lock:
        content: bytes = _layers().get_object(_BUCKET, digest).value
    return content


def _layers() -> Any:
    backend = s3_backends[_ACCOUNT]["aws"]
    if _BUCKET not in backend.buckets:
        backend.create_bucket(_BUCKET, "us-east-1")
    return backend


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _parts(manifest: Any) -> list[dict[str, Any]]:
    """The configuration and layers that a manifest names."""
    try:
        config = [manifest["config"]] if "config" in manifest else []
        return [*config, *manifest.get("layers", [])]
    except (TypeError, AttributeError):
        raise InvalidParameterException("The manifest is no JSON object") from None
