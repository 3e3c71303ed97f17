"""Images of environments in the user's repository in ECR: made once, listed and deleted."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covalent_awsbatch_plugin._core import Client

from . import platforms
from .cache import verify
from .image import ANNOTATIONS, TAG_PREFIX, Base, Content, check, compose, tag

if TYPE_CHECKING:
    from covalent_awsbatch_plugin.options.settings import Settings

    from .store import Environment

# How long copying the base and sending the packages may take in all.
_PUSH_SECONDS = 1800


@dataclass(frozen=True)
class BakedImage:
    """An image in the repository.

    Attributes:
        tag: Its name there.
        digest: Its digest.
        bytes: Its compressed size, with its base.
        pushed_at: When it was made, in seconds since 1970; None if unknown.
        pulled_at: When a machine last pulled it, as far as ECR tells; None if never.
        packages: How many packages it has; None if it does not say.
        python: Minor version of its Python; empty if it does not say.
        base: The image that it was made on, with its digest; empty if it does not say.
    """

    tag: str
    digest: str
    bytes: int
    pushed_at: float | None
    pulled_at: float | None
    packages: int | None
    python: str
    base: str


async def bake(settings: Settings, client: Client, environment: Environment) -> str:
    """Finds the image of an environment, or makes and pushes it. Blocks its loop for seconds in the second case.

    Args:
        settings: Whose `image` is the base, and whose `ecr_repo_name` the repository.
        client: Connection to use.
        environment: The packages, in files here.

    Returns:
        The image's address, with its digest.

    Raises:
        CannotBakeError: No image can be made on this base, or of these packages.
        AWSBatchError: A registry or ECR refuses, or does not answer.
        OSError: A file cannot be read or written.
    """
    repository, base, architecture = settings.ecr_repo_name, settings.image, _architecture(settings)
    content = _content(settings, environment)
    name = tag_of(settings, environment)
    if found := await client.find_image(repository, name):
        return found
    found_base = Base.parse(await client.base_image(base, architecture))
    check(found_base, base, architecture, content.python)
    for one in content.files:
        verify(one)
    with tempfile.TemporaryDirectory() as directory:
        image = compose(found_base, content, Path(directory))
        request = {"repository": repository, "tag": name, "base": found_base.image, "seconds": _PUSH_SECONDS, **image}
        return await client.push_image(json.dumps(request))


def tag_of(settings: Settings, environment: Environment) -> str:
    """The tag under which `bake` finds or makes the image.

    Args:
        settings: See there.
        environment: See there.
    """
    return tag(settings.image, _architecture(settings), _content(settings, environment))


def _content(settings: Settings, environment: Environment) -> Content:
    made = environment.python, environment.objects, environment.layers, environment.replaced
    return Content(*made, user=settings.user)


async def list_images(settings: Settings, client: Client) -> list[BakedImage]:
    """The images that were made in the repository, the newest first.

    Raises:
        AWSBatchError: ECR refuses, or does not answer.
    """
    found = json.loads(await client.list_images(settings.ecr_repo_name, TAG_PREFIX))
    return sorted((_baked(one) for one in found), key=lambda image: image.pushed_at or 0, reverse=True)


async def prune_images(settings: Settings, client: Client, images: Iterable[BakedImage]) -> None:
    """Deletes images. A job that waits for one of them fails, and its task's next run makes it again.

    Raises:
        AWSBatchError: ECR refuses, or does not answer.
    """
    await client.delete_images(settings.ecr_repo_name, [image.digest for image in images])


def _baked(found: dict[str, Any]) -> BakedImage:
    said = found["annotations"] or {}
    packages = str(said.get(f"{ANNOTATIONS}packages", ""))
    return BakedImage(
        tag=found["tag"],
        digest=found["digest"],
        bytes=found["bytes"],
        pushed_at=found["pushed_at"],
        pulled_at=found["pulled_at"],
        packages=int(packages) if packages.isdecimal() else None,
        python=str(said.get(f"{ANNOTATIONS}python", "")),
        base=str(said.get(f"{ANNOTATIONS}base", "")),
    )


def _architecture(settings: Settings) -> str:
    """The processor of the job, in the words of registries."""
    return platforms.REGISTRY[platforms.architecture(settings)]
