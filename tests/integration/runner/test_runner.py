"""The runner as the container starts it: a process of its own, which reads and writes S3 over HTTP."""

from __future__ import annotations

import contextlib
import hmac
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from blake3 import blake3
from covalent._workflow.transportable_object import TransportableObject
from support.bench import BUCKET, RESULT, Bench, decoded

from covalent_awsbatch_plugin.runner.envelope import SEPARATE_OUTPUT_BYTES


def test_an_electron_succeeds(bench: Bench) -> None:
    def greet(name: str) -> str:
        print(f"hello {name} 😀", end="")
        print("lone \udc80 surrogate", file=sys.stderr)
        return f"{name}: ça va, 好"

    started = time.time()
    bench.put_electron(greet, "zoë")
    code, out, err = bench.run()
    assert (code, out) == (0, "hello zoë 😀"), err
    envelope = bench.envelope()
    assert bench.value() == "zoë: ça va, 好"
    assert (envelope["status"], envelope["output_blake3"]) == ("succeeded", None)
    assert (envelope["stdout"], envelope["stderr"]) == ("hello zoë 😀", "lone \\udc80 surrogate\n")
    assert (envelope["traceback"], envelope["exception"]) == (None, None)
    assert (envelope["job_id"], envelope["attempt"]) == ("job-1", 2)
    assert (envelope["python"], envelope["cloudpickle"]) == (platform.python_version(), cloudpickle.__version__)
    assert envelope["covalent"].startswith("0.")
    assert started <= envelope["started_at"] <= envelope["finished_at"] <= time.time()
    assert envelope["peak_rss_bytes"] > 10 * 1024 * 1024
    assert {type(value) for value in envelope.values()} <= {str, bytes, float, int, type(None)}


def test_a_plain_function_succeeds_too(bench: Bench) -> None:
    bench.put(max, 3, 4)
    assert bench.run()[0] == 0
    assert bench.value() == 4


def test_a_failure_is_told_from_the_functions_frame_on(bench: Bench) -> None:
    def divide(x: int) -> float:
        print("before")
        return x / 0

    bench.put(divide, 1)
    code, out, err = bench.run()
    envelope = bench.envelope()
    assert (code, out) == (1, "before\n")
    assert (envelope["status"], envelope["exception"]) == ("failed", "ZeroDivisionError")
    assert (envelope["output"], envelope["stdout"], envelope["stderr"]) == (None, "before\n", "")
    lines = envelope["traceback"].splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].endswith("in divide")
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert envelope["traceback"] in err


@pytest.mark.parametrize("value", [0, None, 3, "so long"])
def test_leaving_by_sys_exit_is_a_failure(bench: Bench, value: Any) -> None:
    bench.put_electron(sys.exit, value)
    assert bench.run()[0] == 1
    envelope = bench.envelope()
    assert (envelope["status"], envelope["exception"]) == ("failed", "SystemExit")
    assert f"sys.exit({value!r})" in envelope["traceback"]


def test_an_interrupt_is_a_failure(bench: Bench) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    bench.put_electron(interrupted)
    assert bench.run()[0] == 1
    assert bench.envelope()["exception"] == "KeyboardInterrupt"


def test_sigterm_leaves_a_clean_end(bench: Bench) -> None:
    def wait_for_ever() -> None:
        print("ready", flush=True)
        while True:
            time.sleep(60)

    bench.put_electron(wait_for_ever)
    with bench.start() as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(signal.SIGTERM)  # a second one, and more, must not disturb the first
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
        assert process.returncode == 143, "as any program that SIGTERM ends"
    envelope = bench.envelope()
    assert (envelope["status"], envelope["exception"], envelope["stdout"]) == ("terminated", "Terminated", "ready\n")
    assert "in wait_for_ever" in envelope["traceback"]
    assert envelope["traceback"].splitlines()[-1].startswith("Terminated: the container got SIGTERM")


@pytest.mark.parametrize("name", ["S3_BUCKET_NAME", "COVALENT_TASK_FUNC_FILENAME", "RESULT_FILENAME"])
def test_a_missing_variable_is_named(bench: Bench, name: str) -> None:
    bench.environment[name] = ""
    code, out, err = bench.run()
    assert (code, out) == (1, "")
    assert err.startswith("No task to run: ")
    assert err.endswith(f"in the job, and {name} is not set.\n")


def test_a_missing_task_is_reported(bench: Bench) -> None:
    assert bench.run()[0] == 1
    envelope = bench.envelope()
    assert (envelope["status"], envelope["exception"]) == ("failed", "FileNotFoundError")
    assert envelope["traceback"].endswith("is not in the bucket: was it deleted, or has it expired?")


def test_a_missing_bucket_ends_in_a_sentence(bench: Bench) -> None:
    bench.environment["S3_BUCKET_NAME"] = "no-such-bucket"
    code, _, err = bench.run()
    assert code == 1
    assert "The result could not be written to s3://no-such-bucket/result-d-1.pkl: " in err


def absent_module(folder: Path, name: str, source: str) -> Any:
    """Import a module that the runner will not find."""
    (folder / f"{name}.py").write_text(source, encoding="utf-8")
    sys.path.insert(0, str(folder))
    try:
        return __import__(name)
    finally:
        sys.path.remove(str(folder))


@pytest.mark.parametrize("electron", [True, False])
def test_a_module_that_is_missing_is_named_with_the_remedy(bench: Bench, tmp_path: Path, electron: bool) -> None:
    module = absent_module(tmp_path, "only_here", "def f():\n    return 1\n")
    (bench.put_electron if electron else bench.put)(module.f)
    assert bench.run()[0] == 1
    envelope = bench.envelope()
    assert envelope["exception"] == "ModuleNotFoundError"
    assert "No module named 'only_here'\n" in envelope["traceback"]
    assert "'only_here' is not installed in this container" in envelope["traceback"]
    assert "DepsPip" in envelope["traceback"]
    assert f"Python {platform.python_version()}" in envelope["traceback"]


def test_different_versions_are_told(bench: Bench) -> None:
    class Broken:
        def __reduce__(self) -> tuple[Any, ...]:
            return int, ("no number",)

    metadata = {"covalent-awsbatch-python": "3.9.1", "covalent-awsbatch-cloudpickle": "2.2.1"}
    bench.put(print, Broken(), metadata=metadata)
    assert bench.run()[0] == 1
    envelope = bench.envelope()
    told = f"pickled by Python 3.9.1 with cloudpickle 2.2.1 and is read by Python {platform.python_version()} "
    assert envelope["exception"] == "ValueError"
    assert told in envelope["traceback"]
    assert "use a container image with Python 3.9." in envelope["traceback"]
    assert told in envelope["stderr"]


@pytest.mark.parametrize("electron", [True, False])
def test_a_result_that_cannot_be_pickled_is_told(bench: Bench, electron: bool) -> None:
    def lock() -> Any:
        import threading

        return threading.Lock()

    (bench.put_electron if electron else bench.put)(lock)
    assert bench.run()[0] == 1
    envelope = bench.envelope()
    assert envelope["exception"] == "TypeError"
    assert "What the function returned cannot be pickled" in envelope["traceback"]


def test_what_is_left_is_signed_with_the_jobs_key_which_the_function_does_not_see(bench: Bench) -> None:
    def names() -> list[str]:
        import os

        return list(os.environ)

    key = "ab" * 32
    bench.environment["COVALENT_AWSBATCH_SIGNING_KEY"] = key
    bench.put_electron(names)
    assert bench.run()[0] == 0
    answer = bench.s3.get_object(Bucket=BUCKET, Key=RESULT)
    content = answer["Body"].read()
    signature = hmac.new(bytes.fromhex(key), content, "sha256").hexdigest()
    assert answer["Metadata"]["covalent-awsbatch-format"] == "3"
    assert answer["Metadata"]["covalent-awsbatch-signature"] == signature
    seen = TransportableObject.deserialize(decoded(content)["output"]).get_deserialized()
    assert "S3_BUCKET_NAME" in seen
    assert "COVALENT_AWSBATCH_SIGNING_KEY" not in seen


@pytest.mark.parametrize("apart", [False, True])
def test_a_large_output_becomes_an_object_of_its_own(bench: Bench, apart: bool) -> None:
    class Blob(bytes):
        def __str__(self) -> str:  # Covalent stores it beside the value
            return "blob"

    size = SEPARATE_OUTPUT_BYTES * 3 // 4 - (0 if apart else 10_000)  # base64 makes four bytes of three
    bench.put_electron(Blob, size)
    code, _, err = bench.run()
    assert code == 0, err
    envelope = bench.envelope()
    assert (envelope["output"] is None) is apart
    output = envelope["output"]
    if apart:
        output = bench.s3.get_object(Bucket=BUCKET, Key="result-d-1.output")["Body"].read()
    assert envelope["output_blake3"] == (blake3(output).hexdigest() if apart else None)
    assert TransportableObject.deserialize(output).get_deserialized() == bytes(size)


def test_output_appears_at_once_and_only_its_end_is_kept(bench: Bench) -> None:
    def talk() -> None:
        print("x" * (9 * 1024 * 1024))
        print("the end", end="")

    bench.put_electron(talk)
    code, out, _ = bench.run()
    envelope = bench.envelope()
    assert code == 0
    assert len(out) == 9 * 1024 * 1024 + len("\nthe end")
    assert envelope["stdout"].startswith("[the first 5,242,888 bytes are left out]\nxxx")
    assert envelope["stdout"].endswith("xxx\nthe end")


def test_a_module_installed_during_the_call_is_found(bench: Bench, tmp_path: Path) -> None:
    """As with DepsPip, into a directory that did not exist when the import system looked first."""
    module = absent_module(tmp_path, "arrives_later", "def f():\n    return 'arrived'\n")
    target = tmp_path / "target"
    bench.environment["PYTHONPATH"] = f"{bench.environment.get('PYTHONPATH', '')}:{target}"

    def install() -> None:
        import importlib.util

        assert importlib.util.find_spec("arrives_later") is None
        target.mkdir()
        (target / "arrives_later.py").write_text("def f():\n    return 'arrived'\n", encoding="utf-8")

    bench.put_electron(module.f, before=(install,))
    code, _, err = bench.run()
    assert code == 0, err
    assert bench.value() == "arrived"


def test_what_a_failed_command_said_is_shown(bench: Bench) -> None:
    def install() -> None:
        command = [sys.executable, "-c", "import sys; sys.exit('no matching distribution')"]
        subprocess.run(command, check=True, capture_output=True)

    bench.put_electron(print, before=(install,))
    assert bench.run()[0] == 1
    assert bench.envelope()["traceback"].endswith("The command said:\nno matching distribution")


def test_covalents_plugins_are_there_when_a_task_names_one(bench: Bench) -> None:
    def executors() -> tuple[str, bool, str | None]:
        import covalent as ct

        loaded_early = bool(vars(ct.executor).get("LocalExecutor"))
        return ct.executor.LocalExecutor.__name__, loaded_early, os.environ.get("COVALENT_PLUGIN_LOAD")

    bench.put_electron(executors)
    code, _, err = bench.run()
    assert code == 0, err
    assert bench.value() == ("LocalExecutor", False, None)


@pytest.mark.parametrize("home", [None, "/nonexistent"])
def test_a_container_needs_no_home(bench: Bench, home: str | None) -> None:
    del bench.environment["HOME"]
    if home:
        bench.environment["HOME"] = home

    def find_home() -> str | None:
        return os.environ.get("HOME")

    bench.put_electron(find_home)
    code, _, err = bench.run()
    assert code == 0, err
    assert bench.value() == home
