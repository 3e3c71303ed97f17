"""Images of the embedded ECR: what a job's image adds to the machine, unpacked in the job's scratch directory.

A job here is a process and has no file system of its own. So only what stands below `/opt/job` is taken of an image,
and this machine's Python stands in for that of the image's base.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moto.ecr.models import Repository, ecr_backends

from .api import api_lock
from .ecr import layer
from .process import base_python

_PREFIX = "/opt/job"
_ADDRESS = re.compile(r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com[^/]*/([^:@]+)(?:@(sha256:\w+)|:([^@]+))?")


class CannotPullError(Exception):
    """The image is not there; the text says which."""


@dataclass(frozen=True)
class Unpacked:
    """An image that was unpacked.

    Attributes:
        command: What it runs, as a job's process.
        environment: The variables that it sets.
    """

    command: list[str]
    environment: dict[str, str]


def unpack(address: str, directory: Path) -> Unpacked | None:
    """Unpacks an image that was pushed here.

    Args:
        address: The job's image.
        directory: Where to; must not exist yet.

    Returns:
        None for an image of another registry, for one without layers, and for one that adds no `/opt/job`.

    Raises:
        CannotPullError: The repository is here, and the image is not.
    """
    manifest = _manifest(address)
    if not manifest or not manifest.get("layers"):
        return None
    config = json.loads(layer(manifest["config"]["digest"]))["config"]
    root = directory / _PREFIX.lstrip("/")
    directory.mkdir()
    for part in manifest["layers"]:
        # It fails for a layer that has nothing there.
        command = ["tar", "xzoC", str(directory), _PREFIX.lstrip("/")]
        subprocess.run(command, input=layer(part["digest"]), stderr=subprocess.DEVNULL, check=False)
        # An empty file of this name hides what the layers before have there.
        for mark in [*root.rglob(".wh.*")]:
            hidden = mark.with_name(mark.name.removeprefix(".wh."))
            mark.unlink()
            if hidden.is_dir():
                shutil.rmtree(hidden)
            hidden.unlink(missing_ok=True)
    if not (root / "pyvenv.cfg").exists():
        return None
    python = Path(base_python()).resolve()
    link = root / "bin" / "python"
    link.unlink(missing_ok=True)
    link.symlink_to(python)
    settings = (root / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    home = [f"home = {python.parent}" if line.startswith("home =") else line for line in settings]
    (root / "pyvenv.cfg").write_text("\n".join(home) + "\n", encoding="utf-8")
    variables = dict(pair.split("=", 1) for pair in config.get("Env") or [])
    kept = {name: value.replace(_PREFIX, str(root)) for name, value in variables.items() if name != "PATH"}
    kept["PATH"] = os.pathsep.join([str(root / "bin"), os.environ.get("PATH", os.defpath)])
    command = [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]
    return Unpacked([part.replace(_PREFIX, str(root)) for part in command], kept)


def _manifest(address: str) -> dict[str, Any] | None:
    found = _ADDRESS.fullmatch(address)
    if not found:
        return None
    account, region, name, digest, tag = found.groups()
    with api_lock:
        repository: Repository | None = ecr_backends[account][region].repositories.get(name)
        if repository is None:
            return None
        wanted = {"imageDigest": digest} if digest else {"imageTag": tag or "latest"}
        images = ecr_backends[account][region].batch_get_image(name, image_ids=[wanted])["images"]
    if not images:
        raise CannotPullError(f"{address}: not found")
    manifest: dict[str, Any] = json.loads(images[0].image_manifest)
    return manifest
