"""What an image adds to its base."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from support.images import Image, tar

from covalent_awsbatch_plugin.environment.cache import Packed
from covalent_awsbatch_plugin.environment.image import Base, Content, _layer_without, compose, tag
from covalent_awsbatch_plugin.environment.pack import PREFIX

PACKAGE = f"{PREFIX}/lib/python3.11/site-packages/one"


def composed(user: str, directory: Path, job_user: str = "") -> tuple[dict[str, Any], list[tarfile.TarInfo]]:
    """How the image is run, and the entries of its last layer, on a base with a user."""
    base = Image(config={"User": user})
    file = directory / f"sha256-{0:064}.tar.gz"
    file.write_bytes(gzip.compress(tar({f"{PACKAGE}/__init__.py": b""})))
    content = Content("3.11", (Packed(f"environments/{file.name}", file, 1),), user=job_user)
    compose(Base("base", json.loads(base.manifest), json.loads(base.configuration)), content, directory)
    with tarfile.open(directory / "environment.tar.gz") as layer:
        entries = layer.getmembers()
    configuration: dict[str, Any] = json.loads((directory / "config.json").read_bytes())["config"]
    return configuration, entries


@pytest.mark.parametrize(
    ("of_base", "of_job", "owner"), [("", "1000:50", (1000, 50)), ("worker", "1000", (1000, 1000))]
)
def test_so_may_the_user_that_the_job_has_in_its_place(
    of_base: str, of_job: str, owner: tuple[int, int], tmp_path: Path
) -> None:
    configuration, entries = composed(of_base, tmp_path, of_job)
    assert {(entry.uid, entry.gid) for entry in entries if entry.isdir()} == {owner}
    assert configuration["User"] == of_base, "others may share the image's layers"


def test_a_job_as_root_on_a_base_with_a_user_needs_nothing(tmp_path: Path) -> None:
    _, entries = composed("1000", tmp_path, "root")
    assert not any(entry.isdir() for entry in entries)


def test_each_user_of_jobs_has_an_image_and_the_tags_of_before_stay() -> None:
    content = Content("3.11", ())
    tags = [tag("base", "amd64", replace(content, user=user)) for user in ("", "1000", "1001")]
    assert len(set(tags)) == 3
    assert tags[0] == "cab-25145e02110c80a6f4304724dece9cb5050a29c3"


def test_what_hides_a_package_has_nothing_in_what_it_hides() -> None:
    """Where a folder is hidden, overlay file systems have a device: nothing can be unpacked below it."""
    replaced = ("pydantic", "requests", "urllib3")
    with tarfile.open(fileobj=io.BytesIO(_layer_without(Content("3.11", (), replaced=replaced)))) as layer:
        hidden = [PurePosixPath(entry.name) for entry in layer]
    folders = {path.with_name(path.name.removeprefix(".wh.")) for path in hidden}
    assert {"pydantic", "requests", "urllib3"} <= {path.name.partition("-")[0] for path in folders}
    assert not [path for path in hidden if folders.intersection(path.parents)]


@pytest.mark.parametrize("user", ["", "root", "root:staff", "0"])
def test_root_may_write_everywhere_anyway(user: str, tmp_path: Path) -> None:
    configuration, entries = composed(user, tmp_path)
    assert [entry.name for entry in entries] == [f"{PREFIX}/pyvenv.cfg", f"{PREFIX}/bin/python"]
    assert configuration["User"] == user


@pytest.mark.parametrize(
    ("user", "owner", "mode"),
    [
        ("1000", (1000, 1000), 0o755),
        ("1000:50", (1000, 50), 0o755),
        ("1000:staff", (1000, 1000), 0o755),
        ("worker", (0, 0), 0o777),
        ("worker:staff", (0, 0), 0o777),
        ("rooty", (0, 0), 0o777),
        ("9" * 40, (0, 0), 0o777),
    ],
)
def test_the_user_of_a_base_may_install_packages_also_one_that_is_known_by_name(
    user: str, owner: tuple[int, int], mode: int, tmp_path: Path
) -> None:
    configuration, entries = composed(user, tmp_path)
    folders = {entry.name: ((entry.uid, entry.gid), entry.mode) for entry in entries if entry.isdir()}
    assert {PREFIX, f"{PREFIX}/bin", PACKAGE, PACKAGE.rpartition("/")[0]} <= folders.keys()
    assert set(folders.values()) == {(owner, mode)}
    files = [entry for entry in entries if entry.isfile()]
    assert [(entry.uid, entry.mode) for entry in files] == [(0, 0o644)], "nobody may change what was not theirs"
    assert configuration["User"] == user
