"""A job's environment as an image: the layers of a base, then one for each file of packages, and a small one.

What it is follows from its content alone, so that two servers make the same.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import io
import json
import os
import re
import tarfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from .cache import Packed
from .distributions import CORE_FILE, CORE_SUFFIX, CannotPackError, files
from .pack import LEVEL, LIBRARY, PREFIX

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
# It becomes the runner. What could be packed for no layer it installs before.
_COMMAND = [f"{_ROOT}/bin/python", "-m", "covalent_awsbatch_plugin.environment.unpack"]
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NUMBER = re.compile("[0-9]{1,10}")
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


@dataclass(frozen=True)
class Content:
    """What an image has beside its base.

    Attributes:
        python: Minor version of Python that it is for.
        objects: The files of packages that every job has.
        layers: Those of the function's own packages.
        replaced: Packages in `objects` that these have in another version.
        user: Whom the job runs as in place of the base's user; empty for that one.
    """

    python: str
    objects: tuple[Packed, ...]
    layers: tuple[Packed, ...] = ()
    replaced: tuple[str, ...] = ()
    user: str = ""

    @property
    def files(self) -> tuple[Packed, ...]:
        """All files of packages."""
        return (*self.objects, *self.layers)


def tag(base: str, architecture: str, content: Content) -> str:
    """The name of an image in its repository, by its content.

    Args:
        base: The base as it was given.
        architecture: Such as `amd64`.
        content: What the image has besides.
    """
    named = {
        "format": _FORMAT,
        "base": base,
        "platform": f"linux/{architecture}",
        "python": content.python,
        "objects": [one.key for one in content.objects],
        "layers": [one.key for one in content.layers],
        "replaced": content.replaced,
        **({"user": content.user} if content.user else {}),
    }
    return TAG_PREFIX + hashlib.sha256(_json(named)).hexdigest()[:40]


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


def compose(base: Base, content: Content, directory: Path) -> dict[str, Any]:
    """An image on a base. Reads the files of packages, for a second or two where that was not done before.

    Args:
        base: What `check` finds good.
        content: What the image has besides.
        directory: Where to write what stands in no file yet.

    Returns:
        `manifest`, as text, and the `blobs` that it names, as `Client.push_image` takes them.

    Raises:
        CannotBakeError: The base has too many layers, or a package cannot be replaced.
        OSError: A file cannot be read or written.
    """
    own = [_file_layer(one, directory) for one in content.objects]
    if content.replaced:
        own.append(_written(directory / "replaced.tar.gz", _layer_without(content)))
    own += [_file_layer(one, directory) for one in content.layers]
    own.append(_written(directory / "environment.tar.gz", _last_layer(base, content)))
    layers = [*(_base_layer(layer) for layer in base.manifest["layers"]), *(one.part for one in own)]
    if len(layers) > _MOST_LAYERS:
        raise CannotBakeError(f"{base.image} has so many layers that the image would have {len(layers)}")
    config = directory / "config.json"
    config.write_bytes(_configuration(base, [one.diff_id for one in own]))
    described = {
        "packages": str(sum(one.packages for one in content.files)),
        "python": content.python,
        "base": base.image,
    }
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _part("config.v1+json", _digest(config.read_bytes()), config.stat().st_size),
        "layers": layers,
        "annotations": {ANNOTATIONS + name: value for name, value in described.items()},
    }
    files = {one.part["digest"]: str(one.file) for one in own} | {manifest["config"]["digest"]: str(config)}
    named = dict.fromkeys(part["digest"] for part in [*layers, manifest["config"]])
    blobs = [{"digest": name, **({"file": files[name]} if name in files else {})} for name in named]
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


@dataclass(frozen=True)
class _Rights:
    """Who may write to a directory."""

    user: int = 0
    group: int = 0
    mode: int = 0o755


def _rights(job_user: str) -> _Rights:
    """Those of the environment's directories, where the job's user has to be able to install packages.

    Only files of the base tell the number of a user that is given by name: all users of the container may write then.
    """
    user, _, group = job_user.partition(":")
    if user == "root":
        return _Rights()
    if not _NUMBER.fullmatch(user):
        return _Rights(mode=0o777)
    return _Rights(int(user), int(group if _NUMBER.fullmatch(group) else user))


@dataclass(frozen=True)
class _Layer:
    file: Path
    diff_id: str
    part: dict[str, Any]


def _file_layer(one: Packed, directory: Path) -> _Layer:
    """The layer that a file of packages is; its name has its hash. The core is none yet."""
    if one.file.suffix == CORE_SUFFIX:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
            _add(tar, f"{PREFIX}/{LIBRARY}/site-packages/{CORE_FILE}", tarfile.REGTYPE, one.file.read_bytes())
        return _written(directory / "core.tar.gz", out.getvalue())
    found = re.search(r"sha256-([0-9a-f]{64})", one.key)
    assert found, one.key
    part = _part("layer.v1.tar+gzip", f"sha256:{found[1]}", one.file.stat().st_size)
    return _Layer(one.file, diff_id(one.file), part)


def _written(file: Path, plain: bytes) -> _Layer:
    content = gzip.compress(plain, LEVEL, mtime=0)
    file.write_bytes(content)
    return _Layer(file, _digest(plain), _part("layer.v1.tar+gzip", _digest(content), len(content)))


def _layer_without(content: Content) -> bytes:
    """What hides packages of the layers before: an empty file for each of theirs, as OCI has it."""
    paths = set()
    try:
        for name in content.replaced:
            for file in files(importlib.metadata.distribution(name)):
                path = PurePosixPath(file.path)
                top = PurePosixPath(path.parts[0])
                # All of it, or it would count as installed. Nothing in it besides: it is no folder any more then.
                paths.add(top if top.suffix == ".dist-info" else path)
    except (CannotPackError, importlib.metadata.PackageNotFoundError) as error:
        raise CannotBakeError(f"a package cannot be replaced by another version: {error}") from error
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(paths):
            hidden = path.with_name(f".wh.{path.name}")
            _add(tar, f"{PREFIX}/lib/python{content.python}/site-packages/{hidden}", tarfile.REGTYPE)
    return out.getvalue()


def _last_layer(base: Base, content: Content) -> bytes:
    """What makes a virtual environment of the layers before."""
    program = (base.settings.get("Labels") or {}).get(PYTHON_LABEL) or f"/usr/local/bin/python{content.python}"
    settings = f"home = {os.path.dirname(program)}\ninclude-system-site-packages = true\n"  # noqa: PTH120
    rights = _rights(content.user or str(base.settings.get("User") or "root"))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        if rights != _Rights():
            # The files of the packages are root's. Who may write to their directories may replace them all the same.
            for path in sorted(_directories(content.files)):
                _add(tar, path, tarfile.DIRTYPE, rights=rights)
        _add(tar, f"{PREFIX}/pyvenv.cfg", tarfile.REGTYPE, settings.encode())
        _add(tar, f"{PREFIX}/bin/python", tarfile.SYMTYPE, program.encode())
    return out.getvalue()


def _add(tar: tarfile.TarFile, path: str, kind: bytes, content: bytes = b"", rights: _Rights | None = None) -> None:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode = kind, 0o644 if kind == tarfile.REGTYPE else 0o755
    if rights:
        entry.uid, entry.gid, entry.mode = rights.user, rights.group, rights.mode
    if kind == tarfile.SYMTYPE:
        entry.linkname = content.decode()
    else:
        entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _directories(objects: Iterable[Packed]) -> set[str]:
    """All directories of the files' entries, from that of the virtual environment on."""
    found = {PREFIX, f"{PREFIX}/bin"}
    for one in objects:
        if one.file.suffix == CORE_SUFFIX:  # beside others of its package
            continue
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


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
