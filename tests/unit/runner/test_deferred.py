"""What is imported with Covalent in a container, and what Covalent's modules hold in place of the rest."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
from typing import Any

import pytest

from covalent_awsbatch_plugin.runner.lazy_imports import LazyModule, lazy_imports, processors

dask_system = pytest.importorskip("dask.system", reason="Covalent 0.241 does without Dask")

PLAINLY = """
import json, os, sys
os.environ["COVALENT_PLUGIN_LOAD"] = "false"
import covalent_awsbatch_plugin.runner.container, covalent.executor.utils.wrappers
"""

QUICKLY = """
import json, sys
from covalent_awsbatch_plugin.runner.container import fast_covalent_import
with fast_covalent_import():
    import covalent.executor.utils.wrappers
"""


def outcome(script: str) -> Any:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_is_missing_can_be_missed_by_nobody() -> None:
    show = "print(json.dumps(list(sys.modules)))"
    plainly, quickly = (set(outcome(script + show)) for script in (PLAINLY, QUICKLY))
    deferred = {"dask", "networkx", "psutil"}
    assert deferred <= plainly
    assert not deferred & quickly
    assert {name for name in plainly if name.startswith("covalent")} <= quickly
    # A submodule of the standard library is there for everybody, whoever imported it.
    assert {
        name for name in plainly - quickly if "." in name and name.split(".")[0] in sys.stdlib_module_names
    } == set()


def test_what_else_dask_does_is_done() -> None:
    """It lets tracebacks, and exceptions with theirs, be pickled."""
    show = """
import copyreg, types, warnings
kinds = copyreg.dispatch_table
names = sorted(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds if issubclass(kind, BaseException))
print(json.dumps([names, [str(each) for each in warnings.filters], types.TracebackType in kinds]))
"""
    plainly, quickly = outcome(PLAINLY + show), outcome(QUICKLY + show)
    assert quickly[1:] == plainly[1:]
    assert quickly[2], "tblib is installed"
    # Its own exceptions, and those of what it imports, are for the one who imports it.
    absent = ("dask", "importlib_metadata", "packaging", "psutil", "_psutil", "yaml")
    assert {name for name in plainly[0] if not name.startswith(absent)} <= set(quickly[0])


def test_covalents_modules_are_the_same_to_those_who_look() -> None:
    show = """
import typing
from covalent._serialize import transport_graph
from covalent._workflow.transport import _TransportGraph
functions = transport_graph._serialize_nodes, _TransportGraph.get_internal_graph_copy
from covalent._shared_files.defaults import get_default_dask_config
print(json.dumps([
    str([typing.get_type_hints(function) for function in functions]),
    covalent.get_config("dask.num_workers"),
    get_default_dask_config()["num_workers"],
    {
        name: sorted(vars(module).keys() - {"__getattr__"})
        for name, module in sys.modules.items()
        if name.startswith("covalent.")
    },
]))
"""
    assert outcome(QUICKLY + show) == outcome(PLAINLY + show)


def test_processors_are_counted_as_dask_counts_them() -> None:
    assert processors() == dask_system.CPU_COUNT


def run(source: str, name: str) -> dict[str, Any]:
    """Execute a module's source under a module's name."""
    namespace: dict[str, Any] = {"__name__": name}
    exec(source, namespace)
    return namespace


@pytest.fixture
def _no_networkx(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "networkx"]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("_no_networkx")
def test_only_covalents_import_statements_get_a_stand_in() -> None:
    with lazy_imports():
        theirs = run("import networkx as nx\nannotation = nx.MultiDiGraph", "covalent.some.module")
        assert "networkx" not in sys.modules
        other = run("import networkx as nx", "covalently")
        again = run("import networkx as nx", "covalent.other.module")
        selected = run("from networkx import Graph", "covalent.third.module")
    real = sys.modules["networkx"]
    assert isinstance(theirs["nx"], LazyModule)
    assert theirs["annotation"] == "nx.MultiDiGraph"
    assert theirs["nx"].MultiDiGraph is real.MultiDiGraph
    assert other["nx"] is again["nx"] is real
    assert selected["Graph"] is real.Graph


@pytest.mark.usefixtures("_no_networkx")
def test_afterwards_the_import_statement_is_as_it_was() -> None:
    before = builtins.__import__

    def break_off() -> None:
        with lazy_imports():
            raise KeyError

    with pytest.raises(KeyError):
        break_off()
    assert builtins.__import__ is before
    assert not isinstance(run("import networkx as nx", "covalent.some.module")["nx"], LazyModule)


@pytest.mark.usefixtures("_no_networkx")
def test_somebody_elses_hook_outlives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "__import__", builtins.__import__)  # to be put back at the end
    with lazy_imports():
        inner = builtins.__import__

        def wrapping(*args: Any, **kwargs: Any) -> Any:
            return inner(*args, **kwargs)

        builtins.__import__ = wrapping
    assert builtins.__import__ is wrapping
    assert not isinstance(run("import networkx as nx", "covalent.some.module")["nx"], LazyModule)
