"""Wheels as entries of a tar file: what each becomes, and those that are refused."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.package_index import wheel

from covalent_awsbatch_plugin.environment.distributions import CannotPackError
from covalent_awsbatch_plugin.environment.pack import PREFIX, byte_code
from covalent_awsbatch_plugin.environment.packages.splice import END, member
from covalent_awsbatch_plugin.environment.packages.wheel import splice

MINOR = "{}.{}".format(*sys.version_info)
SITE = f"lib/python{MINOR}/site-packages"


def packed(content: bytes, compiled: Callable[[bytes, str], bytes | None] = lambda _source, _path: None) -> bytes:
    out = io.BytesIO()
    splice(io.BytesIO(content), out, MINOR, compiled)
    return out.getvalue() + member(END)


def files(content: bytes) -> dict[str, bytes]:
    """What stands in the tar file, without where the environment stands."""
    with tarfile.open(fileobj=io.BytesIO(packed(content)), mode="r:gz") as tar:
        assert all(entry.isfile() and (entry.uid, entry.mtime, entry.uname) == (0, 0, "") for entry in tar)
        found = {entry.name: tar.extractfile(entry) for entry in tar}
        assert all(name.startswith(f"{PREFIX}/") for name in found)
        return {name.removeprefix(f"{PREFIX}/"): file.read() for name, file in found.items() if file}


def refused(content: bytes) -> str:
    with pytest.raises(CannotPackError) as raised:
        packed(content)
    return str(raised.value)


def of(*entries: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    """A wheel with these entries."""
    file = io.BytesIO(wheel("one", "1.0", {}))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return file.getvalue()


def test_what_a_wheel_has_is_there_byte_for_byte_and_takes_no_more_room() -> None:
    long = "one/" + "/".join(["directory"] * 15) + "/name.txt"
    content = {"one/__init__.py": "X = 1\n", long: b"long", "one/big.bin": bytes(range(256)) * 20_000, "one/empty": b""}
    made = wheel("one", "1.0", content)
    found = files(made)
    for path, data in content.items():
        assert found[f"{SITE}/{path}"] == (data.encode() if isinstance(data, str) else data)
    assert f"{SITE}/one-1.0.dist-info/RECORD" in found
    assert len(packed(made)) < len(made) + 1000


def test_the_same_wheel_makes_the_same_bytes() -> None:
    made = wheel("one", "1.0", {"one.py": "X = 1\n"})
    assert packed(made, byte_code) == packed(made, byte_code)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_is_stored_or_deflated_is_taken(compression: int) -> None:
    assert files(wheel("one", "1.0", {"one.py": "X = 1\n" * 10_000}, (), compression))[f"{SITE}/one.py"]


def test_data_descriptors_and_zip64_are_understood() -> None:
    class Stream(io.RawIOBase):
        """Cannot be rewound, so that sizes come behind the content."""

        def __init__(self) -> None:
            self.data = b""

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.data += bytes(data)
            return len(data)

        def writable(self) -> bool:
            return True

    stream = Stream()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        archive.writestr("one-1.0.dist-info/METADATA", "Name: one")
        with archive.open(zipfile.ZipInfo("one.py"), "w", force_zip64=True) as file:
            file.write(b"X = 1\n")
    assert files(stream.data)[f"{SITE}/one.py"] == b"X = 1\n"


def test_a_large_zip64_wheel_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its directory has the sizes and places in further fields, as that of a wheel of more than 4 GiB."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 16)
    content = wheel("one", "1.0", {"one/large.bin": bytes(range(256)) * 400, "one/__init__.py": "X = 1\n" * 10})
    monkeypatch.undo()
    assert b"PK\6\6" in content, "the end of a ZIP64 directory"
    assert struct.unpack_from("<II", content, content.index(b"PK\1\2") + 20) == (0xFFFFFFFF, 0xFFFFFFFF)
    found = files(content)
    assert found[f"{SITE}/one/large.bin"] == bytes(range(256)) * 400
    assert found[f"{SITE}/one/__init__.py"] == b"X = 1\n" * 10


def test_the_program_tar_of_a_job_unpacks_long_names(tmp_path: Path) -> None:
    paths = [f"one/{'x' * 95}", f"one/{'directory/' * 12}name.py", f"one/{'ä' * 100}", f"{'one/' * 50}{'y' * 200}"]
    made = packed(wheel("one", "1.0", dict.fromkeys(paths, b"here")))
    subprocess.run(["tar", "xzoC", tmp_path], input=made, check=True)
    for path in paths:
        assert (tmp_path / PREFIX / SITE / path).read_bytes() == b"here"


def test_each_file_of_the_data_folder_goes_where_it_belongs() -> None:
    content = {
        "{data}/purelib/pure.py": "",
        "{data}/platlib/native.so": b"\x7fELF",
        "{data}/scripts/tool": "#!python\nprint('run')\n",
        "{data}/scripts/shell": "#!/bin/sh\n",
        "{data}/headers/one.h": "",
        "{data}/data/share/one/page": "",
    }
    found = files(wheel("one", "1.0", content))
    for path in ("bin/tool", "bin/shell", f"include/site/python{MINOR}/one/one.h", "share/one/page"):
        assert path in found
    assert {f"{SITE}/pure.py", f"{SITE}/native.so"} <= found.keys()
    assert b"python\n" not in found["bin/tool"]
    assert refused(wheel("one", "1.0", {"{data}/elsewhere/x": ""})) == "'one-1.0.data/elsewhere/x' belongs nowhere"


def test_programs_run_wherever_the_environment_stands(tmp_path: Path) -> None:
    points = "[console_scripts]\nsay = one:Tool.say\n[gui_scripts]\nshow=one:Tool.say [extra]\n"
    code = "import sys\nclass Tool:\n    @staticmethod\n    def say(): print('said', sys.argv[1:]); return 3\n"
    scripts = {"{data}/scripts/tool": "#!python3 -u\nimport one, sys; sys.exit(one.Tool.say())\n"}
    made = wheel("one", "1.0", {"one.py": code, "{info}/entry_points.txt": points, **scripts})
    place = tmp_path / "a place with a space"
    with tarfile.open(fileobj=io.BytesIO(packed(made)), mode="r:gz") as tar:
        tar.extractall(place, filter="data")
    prefix = place / PREFIX
    (prefix / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    (prefix / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    for name in ("say", "show", "tool"):
        ended = subprocess.run([prefix / "bin" / name, "it"], capture_output=True, text=True, env={"PATH": "/bin"})
        assert (ended.returncode, ended.stdout) == (3, "said ['it']\n"), ended.stderr


@pytest.mark.parametrize(
    "points",
    [
        "[console_scripts]\n../../evil = one:main\n",
        "[console_scripts]\nsay = one:main; import os\n",
        "[console_scripts]\nsay = one\n",
        "say = one:main\n",
        "[console_scripts]\npython3 = one:main\n",
        "[console_scripts]\npip = one:main\n",
    ],
)
def test_programs_that_are_none_are_refused(points: str) -> None:
    assert refused(wheel("one", "1.0", {"one.py": "", "{info}/entry_points.txt": points}))


@pytest.mark.parametrize(
    "path",
    [
        "../evil.py",
        "one/../../../evil.py",
        "/etc/evil",
        "one\\evil.py",
        "C:/evil.py",
        "one/./evil.py",
        "one//evil.py",
        "one/ev\x01il.py",
        "{data}/data/../../evil",
        "{data}/scripts/python3.11",
        "{data}/data/pyvenv.cfg",
        "{data}/data/bin/python",
    ],
)
def test_what_would_leave_the_environment_or_take_its_place_is_refused(path: str) -> None:
    assert refused(wheel("one", "1.0", {path: "evil"}))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_are_refused(kind: int) -> None:
    entry = zipfile.ZipInfo("one/evil")
    entry.external_attr = (kind | 0o777) << 16
    assert "is a link or a device" in refused(of((entry, b"/etc/passwd")))


def test_what_stands_there_twice_is_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        content = of(("one.py", b"a"), ("one.py", b"b"))
    assert "twice" in refused(content)
    assert "twice" in refused(wheel("one", "1.0", {"one.py": "", "{data}/purelib/one.py": ""}))


def test_other_compressions_and_passwords_are_refused() -> None:
    assert "packed in another way" in refused(wheel("one", "1.0", {"one.py": "x"}, (), zipfile.ZIP_LZMA))
    assert "packed in another way" in refused(wheel("one", "1.0", {"one.py": "x"}, (), zipfile.ZIP_BZIP2))
    made = bytearray(wheel("one", "1.0", {"one.bin": "x" * 100}))
    directory = made.index(b"PK\1\2")
    made[directory + 8] |= 1
    assert "is encrypted" in refused(bytes(made))


def test_what_is_no_wheel_is_refused() -> None:
    for content in (b"", b"no zip", wheel("one", "1.0", {"one.py": ""})[:-30], of(("two-1.0.dist-info/x", b""))):
        assert refused(content)


def damaged(content: bytes, change: Callable[[bytearray, int, int], None]) -> bytes:
    """A wheel whose file `one.bin` was changed, given where its entry and its content begin."""
    made = bytearray(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        at = archive.getinfo("one.bin").header_offset
    change(made, made.rindex(b"one.bin") - 46, at + 30 + len("one.bin"))
    return bytes(made)


def sized(more: int, at: int) -> Callable[[bytearray, int, int], None]:
    def change(made: bytearray, directory: int, _content: int) -> None:
        place = directory + at
        [size] = struct.unpack_from("<I", made, place)
        struct.pack_into("<I", made, place, size + more)

    return change


CRC, PACKED, UNPACKED = 16, 20, 24


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (sized(1, CRC), "not what its checksum says"),
        (sized(1, PACKED), "longer than it says"),
        (sized(-1, PACKED), "not what its checksum says"),
        (sized(512, UNPACKED), "not what its checksum says"),
        (sized(-512, UNPACKED), "longer than it says"),
        (lambda made, _at, content: made.__setitem__(content, 0xFF), "no deflated data"),
        (lambda made, _at, content: made.__setitem__(content - 1, 0x41), "another name where it stands"),
        (lambda made, at, _content: struct.pack_into("<I", made, at + 42, 7), "not where it should be"),
    ],
)
def test_what_is_not_as_long_or_as_its_checksum_says_is_refused(
    change: Callable[[bytearray, int, int], None], why: str
) -> None:
    """Else a tar header within a content could become an entry of its own."""
    content = {"one.bin": b"".join(bytes([number % 251]) * 3 for number in range(2000))}
    info = wheel("one", "1.0", {})
    file = io.BytesIO(info)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("one.bin", content["one.bin"])
    assert files(file.getvalue())[f"{SITE}/one.bin"] == content["one.bin"]
    assert why in refused(damaged(file.getvalue(), change))


def test_byte_code_is_there_and_is_not_compared_with_its_source() -> None:
    made = wheel("one", "1.0", {"one/__init__.py": "X = 1\n", "one/old.py": "print 'python 2'", "one/tests/x.py": ""})
    with tarfile.open(fileobj=io.BytesIO(packed(made, byte_code)), mode="r:gz") as tar:
        [name] = [entry.name for entry in tar if entry.name.endswith(".pyc")]
        file = tar.extractfile(name)
        assert file is not None
        assert file.read()[4:8] == b"\1\0\0\0", "unchecked"
    assert name == f"{PREFIX}/{SITE}/one/__pycache__/__init__.{sys.implementation.cache_tag}.pyc"


def test_a_large_wheel_is_never_in_memory(tmp_path: Path) -> None:
    """300 MB, half of it stored, in a process that may have 100 MiB more than it has."""
    file = tmp_path / "large.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("one-1.0.dist-info/METADATA", "Name: one")
        for name, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
            entry = zipfile.ZipInfo(f"one/{name}.bin")
            entry.compress_type, entry._compresslevel = method, 1  # type: ignore[attr-defined]
            with archive.open(entry, "w") as out:
                block = bytes(range(256)) * 4096
                for _ in range(150):
                    out.write(block)
    program = (
        "import resource, sys\n"
        "from covalent_awsbatch_plugin.environment.packages.build import build\n"
        "from pathlib import Path\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"build(Path({str(file)!r}), Path({str(tmp_path / 'out')!r}), '3.11')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) < 100 * 1024
    with gzip.open(tmp_path / "out") as made:
        assert made.read(262)[257:] == b"ustar"
