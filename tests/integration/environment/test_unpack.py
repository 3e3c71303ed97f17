"""What a job runs second: the packages of its function, from real S3 requests, and what goes wrong."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.bench import BUCKET, Bench
from support.images import tar

from covalent_awsbatch_plugin.agreement.naming import PACKAGES
from covalent_awsbatch_plugin.environment.pack import PREFIX

MINOR = "{}.{}".format(*sys.version_info)
SITE = f"{PREFIX}/lib/python{MINOR}/site-packages"
MIB = 1024 * 1024
# Runs a program where the second directory is a small disk with what the first one has.
SMALL_DISK = 'mount -t tmpfs -o size=2m none "$2" && cp -a "$1/." "$2" && shift 2 && exec "$@"'
# What a `.pth` of this machine's Python may have imported.
_PLAIN = """
import sys
for name, module in list(sys.modules.items()):
    if "-packages/" in (getattr(module, "__file__", None) or ""):
        del sys.modules[name]
"""
_GO_ON = "import runpy; runpy.run_module('covalent_awsbatch_plugin.environment.unpack', {}, '__main__')"


class Job:
    """A virtual environment whose runner says what it finds."""

    def __init__(self, bench: Bench, directory: Path) -> None:
        self.s3 = bench.s3
        self.root = directory
        package = directory / SITE / "covalent_awsbatch_plugin"
        source = Path(sys.modules["covalent_awsbatch_plugin"].__path__[0])
        for folder in ("environment", "agreement", "runner"):
            (package / folder).mkdir(parents=True)
        for file in (
            "agreement/naming.py",
            *(f"environment/{name}.py" for name in ("bootstrap", "unpack", "virtual_environment")),
        ):
            (package / file).write_bytes((source / file).read_bytes())
        (package / "_core.abi3.so").symlink_to(source / "_core.abi3.so")
        (package / "runner" / "__main__.py").write_text("import one; print(one.VERSION)\n")
        python = Path(sys.executable).resolve()
        (directory / PREFIX / "pyvenv.cfg").write_text(f"home = {python.parent}\n")
        (directory / PREFIX / "bin").mkdir()
        (directory / PREFIX / "bin" / "python").symlink_to(python)
        self.variables = {name: value for name, value in bench.environment.items() if name != "PYTHONPATH"}
        self.work = directory.parent

    def object(self, content: dict[str, str]) -> str:
        """Puts an object with these files; returns its key."""
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, text in content.items():
                entry = tarfile.TarInfo(f"{SITE}/{name}")
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))
        return self._put(file.getvalue(), ".tar.gz")

    def manifest(self, *objects: str, replaced: Any = ()) -> str:
        """Puts a manifest and names it to the job; returns its key."""
        content = {"objects": objects, "replaced": replaced, "install": [], "constraints": []}
        self.variables[PACKAGES] = key = self._put(json.dumps(content).encode(), ".json")
        return key

    def run(self, *inside: str) -> subprocess.CompletedProcess[str]:
        """Runs it to its end, inside of another program if need be."""
        program = [*inside, self.root / PREFIX / "bin" / "python", "-m", "covalent_awsbatch_plugin.environment.unpack"]
        return self._run(program)

    def go_on(self, before: str = "", place: str = "{}") -> subprocess.CompletedProcess[str]:
        """Runs it in the Python that has unpacked it, as `bootstrap` does, after statements of one's own."""
        for file in ("pyvenv.cfg", "bin/python"):
            (self.root / PREFIX / file).unlink()
        program = f"{_PLAIN}{before}\nsys.path.insert(0, {place.format(self.root / SITE)!r})\n"
        program += _GO_ON
        return self._run([str(Path(sys.executable).resolve()), "-c", program])

    def _run(self, program: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(program, cwd=self.work, env=self.variables, capture_output=True, text=True, timeout=120)

    def _put(self, content: bytes, suffix: str) -> str:
        key = f"environments/sha256-{hashlib.sha256(content).hexdigest()}{suffix}"
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=content)
        return key


@pytest.fixture
def job(runner_bench: Bench, tmp_path: Path) -> Job:
    return Job(runner_bench, tmp_path / "place")


def test_the_runner_finds_the_packages_also_what_python_reads_at_its_start(job: Job) -> None:
    job.manifest(job.object({"one.py": "from two import VERSION\n", "paths.pth": "elsewhere\n"}), job.object({"x": ""}))
    (job.root / SITE / "elsewhere").mkdir()
    (job.root / SITE / "elsewhere" / "two.py").write_text("VERSION = 2\n")
    ended = job.run()
    assert (ended.returncode, ended.stdout) == (0, "2\n"), ended.stderr
    assert "The function's packages are there" in ended.stderr


FOUND = """
import json, os, site, subprocess, sys, sysconfig
import one
path = [os.path.realpath(entry) for entry in sys.path]
child = [sys.executable, "-c", "import sys, one; print(sys.prefix, one.VERSION)"]
print(json.dumps({
    "path": path, "prefix": sys.prefix, "exec": sys.exec_prefix, "base": sys.base_prefix, "python": sys.executable,
    "places": sysconfig.get_paths(), "site": site.getsitepackages(), "prefixes": site.PREFIXES, "one": one.VERSION,
    "user": site.ENABLE_USER_SITE, "child": subprocess.check_output(child, text=True), "main": __spec__.name,
    "started": sys.orig_argv[1],
}))
"""


OF_THE_IMAGE = """
import types
one = sys.modules['one'] = types.ModuleType('one')
one.__file__, one.VERSION = '/usr/lib/python3/dist-packages/one.py', 0
"""


def found_by(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@pytest.mark.parametrize(
    ("image", "restarts"),
    [
        ({"before": "import sysconfig; sysconfig.get_paths()"}, False),  # which keeps the prefix
        ({"work": "my-packages"}, False),
        ({"before": OF_THE_IMAGE}, True),
        ({"python_path": "/somewhere/site-packages"}, True),
        ({"place": "/.{}"}, True),
    ],
)
def test_the_python_that_has_unpacked_it_runs_in_it_as_its_own_would(
    job: Job, image: dict[str, str], restarts: bool
) -> None:
    """Also with what Python reads when it starts."""
    if python_path := image.get("python_path"):
        job.variables["PYTHONPATH"] = python_path
    job.work /= image.get("work", "")
    job.work.mkdir(exist_ok=True)
    (job.root / SITE / "covalent_awsbatch_plugin" / "runner" / "__main__.py").write_text(FOUND)
    (job.root / SITE / "paths.pth").write_text("elsewhere\n")
    (job.root / SITE / "elsewhere").mkdir()
    (job.root / SITE / "elsewhere" / "one.py").write_text("VERSION = 2\n")
    wanted = found_by(job.run())
    found = found_by(job.go_on(image.get("before", ""), image.get("place", "{}")))
    assert (wanted.pop("started"), found.pop("started")) == ("-m", "-m" if restarts else "-c")
    assert found == wanted
    assert (found["one"], found["prefix"]) == (2, str(job.root / PREFIX))
    assert found["child"] == f"{job.root / PREFIX} 2\n"


def test_packages_of_the_function_are_there_also_for_the_python_that_has_unpacked_the_others(job: Job) -> None:
    job.manifest(job.object({"one.py": "VERSION = 4\n"}))
    ended = job.go_on()
    assert (ended.returncode, ended.stdout) == (0, "4\n"), ended.stderr


def test_where_no_virtual_environment_can_be_made_it_says_so(job: Job) -> None:
    (job.root / PREFIX / "bin" / "python").unlink()
    (job.root / PREFIX / "bin" / "python").mkdir()
    (job.root / PREFIX / "bin" / "python" / "here").touch()
    program = f"import sys; sys.path.insert(0, {str(job.root / SITE)!r}); "
    program += _GO_ON
    ended = job._run([str(Path(sys.executable).resolve()), "-c", program])
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "This job's environment cannot be used: " in ended.stderr
    assert "bin/python" in ended.stderr


def test_a_file_that_cannot_be_written_is_named(job: Job) -> None:
    one, other = job.object({"one/two.py": ""}), job.object({"one": "a file where a folder is"})
    (job.root / SITE / "one").mkdir()
    job.manifest(one, other)
    ended = job.run()
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"This job's environment cannot be used: {other}: " in ended.stderr
    assert f"{SITE}/one: Is a directory" in ended.stderr


def test_nothing_is_written_beside_the_environment(job: Job) -> None:
    """In an image that was made in ECR that is `/`, where a user who is not root may not write."""
    job.manifest(job.object({"one.py": "VERSION = 3\n"}))
    job.root.chmod(0o555)
    # Root is not asked for permissions otherwise.
    as_others = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    ended = job.run(*as_others)
    job.root.chmod(0o755)
    assert (ended.returncode, ended.stdout) == (0, "3\n"), ended.stderr


@pytest.mark.parametrize("cut", [True, False])
def test_what_cannot_be_inflated_is_named(job: Job, cut: bool) -> None:
    """It was so when it was made: its hash is right."""
    content = gzip.compress(random.Random(2).randbytes(100_000).hex().encode())
    content = content[:50_000] if cut else content[:20] + b"\xff" * 20 + content[40:]
    job.manifest(job._put(content, ".tar.gz"))
    ended = job.run()
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "This job's environment cannot be used: " in ended.stderr


def test_without_packages_it_is_the_runner(job: Job) -> None:
    (job.root / SITE / "one.py").write_text("VERSION = 1\n")
    ended = job.run()
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "1\n", "")


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_package_of_the_runner_that_is_replaced_leaves_nothing(job: Job, goes_on: bool) -> None:
    site = job.root / SITE
    for path, text in {
        "one/__init__.py": "VERSION = 0\n",
        "one/gone.py": "",
        f"one/__pycache__/gone.{sys.implementation.cache_tag}.pyc": "",
        "one-0.dist-info/METADATA": "Name: one\nVersion: 0\n",
        "one-0.dist-info/RECORD": "one/__init__.py,,\none/gone.py,,\none-0.dist-info/METADATA,,\n"
        "one-0.dist-info/RECORD,,\n",
    }.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
    job.manifest(job.object({"one.py": "VERSION = 7\n"}), replaced=["one", "never-there"])
    ended = job.go_on() if goes_on else job.run()
    assert (ended.returncode, ended.stdout) == (0, "7\n"), ended.stderr
    assert not (site / "one").exists()
    assert not (site / "one-0.dist-info").exists()


@pytest.mark.parametrize("which", ["manifest", "object"])
def test_what_a_lifecycle_rule_removed_while_the_job_waited_is_named(job: Job, which: str) -> None:
    one = job.object({"one.py": "VERSION = 1\n"})
    gone = {"manifest": job.manifest(one), "object": one}[which]
    job.s3.delete_object(Bucket=BUCKET, Key=gone)
    ended = job.run()
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"This job's environment cannot be used: {gone}: S3 answers 404" in ended.stderr


@pytest.mark.parametrize("content", [random.Random(1).randbytes(3 * MIB).hex(), "x" * 4 * MIB])
def test_a_disk_that_is_full_is_named(job: Job, content: str) -> None:
    """Of a real file system; once with what is fetched, once with what it holds."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces without more rights")
    job.manifest(job.object({"one.py": content}))
    copy = job.root.rename(job.root.with_name("copy"))
    job.root.mkdir()
    ended = job.run("unshare", "--mount", "sh", "-c", SMALL_DISK, "sh", str(copy), str(job.root))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "This job's environment cannot be used: " in ended.stderr
    assert "No space left on device" in ended.stderr


@pytest.mark.parametrize("which", ["manifest", "object"])
def test_what_was_tampered_with_does_not_run(job: Job, which: str) -> None:
    good, evil = job.object({"one.py": "VERSION = 1\n"}), job.object({"one.py": "print('mine')\n"})
    wanted = job.manifest(evil)
    bad = job.s3.get_object(Bucket=BUCKET, Key=wanted if which == "manifest" else evil)["Body"].read()
    wanted = job.manifest(good)
    job.s3.put_object(Bucket=BUCKET, Key=wanted if which == "manifest" else good, Body=bad)
    ended = job.run()
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "This job's environment cannot be used: " in ended.stderr
    assert "not what was uploaded" in ended.stderr


ON_DEMAND = """
import sys
from covalent_awsbatch_plugin.environment.on_demand import Finder
folder, key = sys.argv[1:]
sys.path.append(folder)
Finder(folder, key, ["one"]).find_spec("one")
"""


def test_an_import_for_which_the_disk_is_too_small_says_so(runner_bench: Bench, tmp_path: Path) -> None:
    """What is fetched fits there, and not what it holds."""
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces without more rights")
    content = gzip.compress(tar({f"{PREFIX}/lib/more-packages-1/one.py": bytes(4 * MIB)}))
    key = f"environments/sha256-{hashlib.sha256(content).hexdigest()}.tar.gz"
    runner_bench.s3.put_object(Bucket=BUCKET, Key=key, Body=content)
    mount = 'mount -t tmpfs -o size=2m none "$0" && exec "$@"'
    inside = ["unshare", "--mount", "sh", "-c", mount, str(tmp_path), sys.executable, "-c", ON_DEMAND]
    command = [*inside, str(tmp_path / "more-packages-1"), key]
    ended = subprocess.run(command, env=runner_bench.environment, capture_output=True, text=True, timeout=120)
    assert "ImportError: the packages of environments/" in ended.stderr
    assert "No space left on device" in ended.stderr
