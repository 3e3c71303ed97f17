"""A package index of a test's own, with wheels made by hand."""

from __future__ import annotations

import base64
import hashlib
import io
import threading
import zipfile
from collections.abc import Mapping, Sequence

from .servers import Answer, HttpServer, Request


def wheel(
    name: str,
    version: str,
    files: Mapping[str, str | bytes],
    needs: Sequence[str] = (),
    compression: int = zipfile.ZIP_DEFLATED,
) -> bytes:
    """A wheel for any Python.

    Args:
        name: As its folders are named.
        version: Its version.
        files: Content by path; `{info}` and `{data}` stand for its folders.
        needs: Requirements.
        compression: How its files are packed.
    """
    info = f"{name}-{version}.dist-info"
    metadata = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {one}" for one in needs)]
    content = {path.format(info=info, data=f"{name}-{version}.data"): data for path, data in files.items()}
    content[f"{info}/METADATA"] = "\n".join(["Metadata-Version: 2.1", *metadata]) + "\n"
    content[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    content[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*content, f"{info}/RECORD"])
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for path, data in content.items():
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), data, compression)
    return file.getvalue()


def metadata(content: bytes) -> bytes:
    """What a wheel says of itself, as an index tells it apart (PEP 658)."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return archive.read(name)


class Index:
    """A PEP 503 index; in a `with` block it listens.

    Args:
        login: `user:password` that it wants; empty for none.

    Attributes:
        answers: Cleared, it answers nothing until this is set.
    """

    def __init__(self, login: str = "") -> None:
        self._files: dict[str, bytes] = {}
        self._hashes: dict[str, str] = {}
        self._login = login
        self.answers = threading.Event()
        self.answers.set()
        self.server = HttpServer(self._answer)

    def __enter__(self) -> Index:
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.__exit__(None, None, None)

    @property
    def url(self) -> str:
        """Its address, with the login."""
        return self.server.url.replace("://", f"://{self._login}@" if self._login else "://") + "/simple"

    @property
    def requests(self) -> list[Request]:
        """What it was asked."""
        return self.server.requests

    @property
    def fetched(self) -> list[str]:
        """The wheels that were fetched, in order."""
        return [
            one.path.rpartition("/")[2] for one in self.requests if one.method == "GET" and one.path.endswith(".whl")
        ]

    def add(self, name: str, version: str, content: bytes, sha256: str = "") -> None:
        """Adds a wheel.

        Args:
            name: As its folders are named.
            version: Its version.
            content: The wheel.
            sha256: What the index says its hash is; empty for the truth.
        """
        file = f"{name}-{version}-py3-none-any.whl"
        self._files[file] = content
        self._hashes[file] = sha256 or hashlib.sha256(content).hexdigest()

    def _answer(self, request: Request) -> Answer:
        self.answers.wait(120)
        expected = "Basic " + base64.b64encode(self._login.encode()).decode()
        if self._login and request.headers.get("authorization") != expected:
            return Answer(status=401, headers={"WWW-Authenticate": "Basic"})
        *_, folder, name = request.path.rstrip("/").split("/")
        if folder == "files" and name.endswith(".metadata"):
            return Answer(metadata(self._files[name.removesuffix(".metadata")]))
        if folder == "files":
            return Answer(self._files[name]) if name in self._files else Answer(status=404)
        found = {file: sha for file, sha in self._hashes.items() if file.split("-")[0].replace("_", "-") == name}
        links = (
            f'<a href="/files/{file}#sha256={sha256}" data-core-metadata="true">{file}</a>'
            for file, sha256 in found.items()
        )
        return Answer("\n".join(links).encode(), 200 if found else 404, {"Content-Type": "text/html"})
