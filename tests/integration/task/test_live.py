"""What is shown of a job while it runs is shown by Covalent's server alone."""

from __future__ import annotations

import importlib

from covalent_awsbatch_plugin.server import live


def test_a_program_that_imports_some_of_the_server_is_none() -> None:
    assert hasattr(importlib.import_module("covalent_dispatcher._core.data_modules.electron"), "update")
    assert not live.is_shown()
