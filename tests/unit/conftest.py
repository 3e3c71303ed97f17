"""What the tests of options and of executors share."""

from __future__ import annotations

from typing import Any

import pytest
from covalent._shared_files.config import _config_manager


@pytest.fixture
def section(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The section of Covalent's configuration, empty and to be filled by the test."""
    entries: dict[str, Any] = {}
    executors = {**_config_manager.config_data["executors"], "awsbatch": entries}
    monkeypatch.setitem(_config_manager.config_data, "executors", executors)
    return entries
