"""A job's environment as an image: the layers of a base, then one for each file of packages, and a small one.

What it is follows from its content alone, so that two servers make the same.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .cache import Packed
from .pack import PREFIX

TAG_PREFIX = "cab-"
"""What the tags of these images begin with."""

ANNOTATIONS = "xyz.covalent.awsbatch."
"""What the names of our annotations begin with: `packages`, `python` and `base`."""

PYTHON_LABEL = "xyz.covalent.awsbatch.python"
"""Label of a base: where its Python is, if that is not `/usr/local/bin/pythonX.Y`."""

_FORMAT = 1
_MOST_LAYERS = 127
_PIECE = 1024 * 1024
_ROOT = f"/{PREFIX}"
# It fetches what no layer could hold, if there is something, and becomes the runner.
_COMMAND = [f"{_ROOT}/bin/python", "-m", "covalent_awsbatch_plugin.environment.unpack"]
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MUSL = re.compile(r"\balpine|\bapk (add|--)")


class CannotBakeError(Exception):
    """No image can be made of this base; the message says why, and what to do."""


@dataclass(frozen=True)
class Base:
    """An image for one platform, as its registry has it.

    Attributes:
        image: Its name, with the digest of its manifest.
        manifest: Its manifest.
        config: Its configuration.
    """

    image: str
    manifest: dict[str, Any]
    config: dict[str, Any]

    @classmethod
    def parse(cls, text: str) -> Base:
        """Reads what `Client.base_image` returns.

        Raises:
            CannotBakeError: It is not as manifests and configurations are.
        """
        try:
            found = json.loads(text)
            base = cls(found["image"], json.loads(found["manifest"]), json.loads(found["config"]))
            same = len([layer["digest"] for layer in base.manifest["layers"]]) == len(base.config["rootfs"]["diff_ids"])
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise CannotBakeError(f"the base's manifest cannot be used: {error!r}") from error
        if not same:
            raise CannotBakeError("the base's layers are not those of its configuration")
        return base

    @property
    def settings(self) -> dict[str, Any]:
        """How it is run."""
        return dict(self.config.get("config") or {})

    @property
    def variables(self) -> dict[str, str]:
        """The variables that it sets."""
        return dict(pair.partition("=")[::2] for pair in self.settings.get("Env") or [])


def tag(base: str, architecture: str, python: str, objects: Sequence[Packed]) -> str:
    """The name of an image in its repository, by its content.

    Args:
        base: The base as it was given.
        architecture: Such as `amd64`.
        python: Minor version of Python.
        objects: The files of packages.
    """
    content = {
        "format": _FORMAT,
        "base": base,
        "platform": f"linux/{architecture}",
        "python": python,
        "objects": [one.key for one in objects],
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return TAG_PREFIX + hashlib.sha256(canonical.encode()).hexdigest()[:40]


def check(base: Base, name: str, architecture: str, python: str) -> None:
    """Whether a job can run on a base.

    Args:
        base: The base.
        name: Its address, as it was given.
        architecture: Such as `amd64`.
        python: Minor version of Python.

    Raises:
        CannotBakeError: It cannot; the message says why.
    """
    made = f"{base.config.get('os')}/{base.config.get('architecture')}"
    if made != f"linux/{architecture}":
        raise CannotBakeError(f"{name} is made for {made}, and the packages are for linux/{architecture}")
    history = " ".join(str(entry.get("created_by")) for entry in base.config.get("history") or ())
    if _MUSL.search(f"{name} {history}"):
        raise CannotBakeError(
            f"{name} is made of Alpine, whose C library runs no manylinux wheels: take a Debian image"
        )
    version = base.variables.get("PYTHON_VERSION")
    if version is None:
        raise CannotBakeError(
            f"{name} does not say which Python it has: set PYTHON_VERSION in it (ENV), and the label {PYTHON_LABEL} to "
            "the path of its Python; or take python:X.Y-slim"
        )
    if ".".join(version.split(".")[:2]) != python:
        raise CannotBakeError(f"{name} has Python {version}, and this server {python}: take an image with that")


def compose(base: Base, python: str, objects: Sequence[Packed], directory: Path) -> dict[str, Any]:
    """An image on a base. Reads the files of packages, for a second or two where that was not done before.

    Args:
        base: What `check` finds good.
        python: Minor version of Python.
        objects: The files of packages.
        directory: Where to write what else the image has.

    Returns:
        `manifest`, as text, and the `blobs` that it names, as `Client.push_image` takes them.

    Raises:
        CannotBakeError: The base has too many layers, or a user without number.
        OSError: A file cannot be read or written.
    """
    user = _user(base)
    last, last_diff_id = _last_layer(base, python, user, objects)
    layers = [_base_layer(layer) for layer in base.manifest["layers"]]
    own = [_part("layer.v1.tar+gzip", f"sha256:{_sha256(one)}", one.file.stat().st_size) for one in objects]
    layers += [*own, _part("layer.v1.tar+gzip", _digest(last), len(last))]
    if len(layers) > _MOST_LAYERS:
        raise CannotBakeError(f"{base.image} has so many layers that the image would have {len(layers)}")
    config = _configuration(base, [*(diff_id(one.file) for one in objects), last_diff_id])
    described = {
        "packages": str(sum(one.packages for one in objects)),
        "python": python,
        "base": base.image,
    }
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _part("config.v1+json", _digest(config), len(config)),
        "layers": layers,
        "annotations": {ANNOTATIONS + name: value for name, value in described.items()},
    }
    contents = [(_digest(last), directory / "layer.tar.gz", last), (_digest(config), directory / "config.json", config)]
    for _, file, content in contents:
        file.write_bytes(content)
    files = {f"sha256:{_sha256(one)}": one.file for one in objects} | {name: file for name, file, _ in contents}
    named = dict.fromkeys(part["digest"] for part in [*layers, manifest["config"]])
    blobs = [{"digest": name, **({"file": str(files[name])} if name in files else {})} for name in named]
    return {"manifest": _json(manifest).decode(), "blobs": blobs}


def diff_id(file: Path) -> str:
    """The digest of what a layer is without compression; kept beside the file.

    Raises:
        OSError: The file cannot be read.
    """
    kept = file.with_name(f"{file.name}.diff-id")
    with suppress(OSError):
        return kept.read_text(encoding="ascii")
    content = hashlib.sha256()
    with gzip.open(file) as stream:
        while piece := stream.read(_PIECE):
            content.update(piece)
    found = f"sha256:{content.hexdigest()}"
    with suppress(OSError):  # it is then computed again
        new = kept.with_name(f"{kept.name}-{os.getpid()}")
        new.write_text(found, encoding="ascii")
        new.replace(kept)
    return found


def _configuration(base: Base, diff_ids: Sequence[str]) -> bytes:
    settings, variables = base.settings, base.variables
    variables["PATH"] = f"{_ROOT}/bin:{variables.get('PATH', _DEFAULT_PATH)}"
    variables["VIRTUAL_ENV"] = _ROOT
    settings["Env"] = [f"{name}={value}" for name, value in variables.items()]
    settings["Entrypoint"] = _COMMAND
    settings.pop("Cmd", None)
    rootfs = {**base.config["rootfs"], "diff_ids": [*base.config["rootfs"]["diff_ids"], *diff_ids]}
    history = [*(base.config.get("history") or []), *({"created_by": "covalent-awsbatch"} for _ in diff_ids)]
    return _json({**base.config, "config": settings, "rootfs": rootfs, "history": history})


def _user(base: Base) -> tuple[int, int]:
    """User and group that a job runs as.

    Raises:
        CannotBakeError: They are no numbers.
    """
    user, _, group = str(base.settings.get("User") or "0").replace("root", "0").partition(":")
    if not user.isdecimal() or not (group or user).isdecimal():
        name = base.settings["User"]
        raise CannotBakeError(
            f"{base.image} runs as {name!r}: give its user by number (USER 1000), so that pip may install"
        )
    return int(user), int(group or user)


def _last_layer(base: Base, python: str, user: tuple[int, int], objects: Iterable[Packed]) -> tuple[bytes, str]:
    """What makes a virtual environment of the layers before: compressed, and its digest without compression."""
    program = (base.settings.get("Labels") or {}).get(PYTHON_LABEL) or f"/usr/local/bin/python{python}"
    settings = f"home = {os.path.dirname(program)}\ninclude-system-site-packages = true\n"  # noqa: PTH120
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as tar:
        if user != (0, 0):
            # The files of the packages are root's. In directories of its own the user may replace them all the same.
            for path in sorted(_directories(objects)):
                _add(tar, path, user, tarfile.DIRTYPE)
        _add(tar, f"{PREFIX}/pyvenv.cfg", user, tarfile.REGTYPE, settings.encode())
        _add(tar, f"{PREFIX}/bin/python", user, tarfile.SYMTYPE, program.encode())
    plain = content.getvalue()
    return gzip.compress(plain, mtime=0), _digest(plain)


def _add(tar: tarfile.TarFile, path: str, user: tuple[int, int], kind: bytes, content: bytes = b"") -> None:
    entry = tarfile.TarInfo(path)
    entry.type, (entry.uid, entry.gid) = kind, user
    entry.mode = 0o644 if kind == tarfile.REGTYPE else 0o755
    if kind == tarfile.SYMTYPE:
        entry.linkname = content.decode()
    else:
        entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _directories(objects: Iterable[Packed]) -> set[str]:
    """All directories of the files' entries, from that of the virtual environment on."""
    found = {PREFIX, f"{PREFIX}/bin"}
    for one in objects:
        with tarfile.open(one.file) as tar:
            for entry in tar:
                parent = os.path.dirname(entry.name)  # noqa: PTH120
                while parent not in found and parent.startswith(PREFIX):
                    found.add(parent)
                    parent = os.path.dirname(parent)  # noqa: PTH120
    return found


def _base_layer(layer: dict[str, Any]) -> dict[str, Any]:
    """A layer of the base, in OCI's words."""
    kind = str(layer.get("mediaType"))
    if "foreign" in kind or "nondistributable" in kind:
        raise CannotBakeError("the base has a layer that may not be copied")
    known = {"application/vnd.docker.image.rootfs.diff.tar.gzip": "application/vnd.oci.image.layer.v1.tar+gzip"}
    return {"mediaType": known.get(kind, kind), "digest": layer["digest"], "size": layer["size"]}


def _part(kind: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest, "size": size}


def _sha256(one: Packed) -> str:
    """The hash of a file of packages, which its name has."""
    found = re.search(r"sha256-([0-9a-f]{64})", one.key)
    assert found, one.key
    return found[1]


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
