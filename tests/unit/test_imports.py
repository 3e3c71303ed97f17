"""Any module of the package can be a program's first import, although Covalent itself imports the executor."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

MODULES = [
    "agreement.naming",
    "agreement.unpickling",
    "awsbatch",
    "cli",
    "deploy.infra",
    "doctor.command",
    "errors",
    "local",
    "options.attributes",
    "options.checks",
    "options.configuration",
    "options.settings",
    "runner.container",
    "runner.lazy_imports",
    "runner.envelope",
    "runner.explanation",
    "runner.launch",
    "runner.supervisor",
    "runner.worker",
    "server.orphans",
    "server.plugin",
    "server.presence",
    "server.questions",
    "show.explanation",
    "show.jobs",
    "show.logs",
    "show.report.command",
    "show.watching.command",
    "show.watching.session",
    "task.connection",
    "task.guard",
    "task.own_nodes.values",
    "task.outcome",
    "task.retrieval",
    "task.subclasses",
    "task.transfer",
]

SCRIPT = """
import importlib, sys
importlib.import_module("covalent_awsbatch_plugin." + sys.argv[1])
import covalent.executor
from covalent._shared_files.exceptions import TaskRuntimeError
from covalent_awsbatch_plugin import awsbatch, errors
known = covalent.executor._executor_manager.executor_plugins_map["awsbatch"]
assert known is covalent.executor.AWSBatchExecutor is awsbatch.AWSBatchExecutor
assert awsbatch.errors is errors and issubclass(errors.AWSBatchError, TaskRuntimeError)
"""


@pytest.mark.parametrize("module", MODULES)
def test_a_module_comes_first(module: str) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, module], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "plugin" not in done.stderr, "Covalent found the executor half loaded"


def test_the_names_of_0_42_0_stand_at_the_top() -> None:
    from covalent_awsbatch_plugin import ExecutorInfraDefaults, ExecutorPluginDefaults

    assert ExecutorPluginDefaults().time_limit == 300
    assert ExecutorInfraDefaults().max_vcpus == 256


def test_what_only_deployments_need_is_not_imported_with_covalent() -> None:
    script = """
import sys
from covalent_awsbatch_plugin import awsbatch
early = "covalent_awsbatch_plugin.deploy.infra" in sys.modules
assert awsbatch.ExecutorInfraDefaults.__module__ == "covalent_awsbatch_plugin.deploy.infra"
print(early)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "False\n", done.stderr


def test_what_only_a_task_needs_is_not_imported_with_covalent() -> None:
    script = """
import sys
from covalent_awsbatch_plugin import awsbatch, environment
awsbatch.AWSBatchExecutor(vcpu=4)
needed = ("task.guard", "task.retrieval", "environment.prepare", "environment.requested", "server.recovery")
print([name for name in needed if f"covalent_awsbatch_plugin.{name}" in sys.modules])
print(environment.prepare.__name__, hasattr(environment, "nothing"))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\ncovalent_awsbatch_plugin.environment.prepare False\n", done.stderr


@pytest.mark.parametrize("load", ["true", "false"])
@pytest.mark.parametrize("module", ["", ".awsbatch"])
def test_the_executor_is_had_from_the_package_whether_or_not_covalent_loads_plugins(module: str, load: str) -> None:
    script = f"""
from covalent_awsbatch_plugin{module} import AWSBatchExecutor
import covalent.executor
from covalent_awsbatch_plugin import awsbatch
known = covalent.executor._executor_manager.executor_plugins_map.get("awsbatch")
assert AWSBatchExecutor is awsbatch.AWSBatchExecutor
assert known is (AWSBatchExecutor if {load == "true"} else None)
assert AWSBatchExecutor(vcpu=4).short_name() == "awsbatch"
"""
    environment = {**os.environ, "COVALENT_PLUGIN_LOAD": load}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "plugin" not in done.stderr


def test_the_package_itself_imports_nothing() -> None:
    script = "import sys, covalent_awsbatch_plugin; print([name for name in sys.modules if 'covalent' in name])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "['covalent_awsbatch_plugin']\n", done.stderr


def test_help_names_the_commands_and_imports_neither_covalent_nor_moto() -> None:
    code = (
        "import sys\n"
        "from covalent_awsbatch_plugin.cli import main\n"
        "try: main(['--help'])\n"
        "finally: print(sorted({'covalent', 'moto'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert "demo" in done.stdout
    assert "local" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
