"""Whether what is installed here runs in a job."""

from __future__ import annotations

import os
import platform
import sys

import pytest

from covalent_awsbatch_plugin.environment import platforms

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="of another system nothing compiled runs in a job")


def refused(_name: str) -> str:
    """As Python answers where the C library is musl."""
    raise ValueError("unrecognized configuration name")


@on_linux
def test_what_is_compiled_for_musl_is_not_for_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = platform.machine()
    assert platforms.is_own(machine)
    monkeypatch.setattr(os, "confstr", refused)
    assert not platforms.is_own(machine)


def test_another_processor_is_another_platform() -> None:
    assert not platforms.is_own("aarch64" if platform.machine() in ("x86_64", "AMD64") else "x86_64")
