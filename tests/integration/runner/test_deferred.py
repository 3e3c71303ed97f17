"""What a task has to do with modules that Covalent does not import in the container until it needs them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
import requests
from support.bench import Bench

needs_dask = pytest.mark.skipif(not importlib.util.find_spec("dask"), reason="Covalent 0.241 does without Dask")


def result_of(bench: Bench, function: Any, *args: Any, before: tuple[Any, ...] = ()) -> Any:
    bench.put_electron(function, *args, before=before)
    code, _, err = bench.run()
    assert code == 0, err
    return bench.value()


@needs_dask
def test_a_task_imports_them_in_any_way(bench: Bench) -> None:
    def task() -> Any:
        import sys

        absent = {"dask", "networkx", "psutil"} - set(sys.modules)
        import importlib

        import dask.array  # a submodule first
        import networkx as nx
        from dask.system import CPU_COUNT
        from networkx.algorithms import shortest_path
        from requests.adapters import HTTPAdapter
        from requests.exceptions import ConnectionError as Unreachable

        requests = importlib.import_module("requests")
        session = requests.Session()
        found = (
            dask.delayed(sum)([1, 2]).compute(scheduler="synchronous"),
            CPU_COUNT == dask.system.CPU_COUNT,
            shortest_path(nx.path_graph(4), 0, 3),
            isinstance(session.get_adapter("https://x"), HTTPAdapter),
            issubclass(Unreachable, requests.RequestException),
            importlib.util.find_spec("psutil").name,
        )
        return absent, found

    absent, found = result_of(bench, task)
    assert absent == {"dask", "networkx", "psutil"}, "Covalent has imported them after all"
    assert found == (3, True, [0, 1, 2, 3], True, True, "psutil")


def test_arguments_and_results_are_of_their_classes(bench: Bench) -> None:
    session = requests.Session()
    session.headers["x-test"] = "there"

    def task(graph: Any, session: Any) -> Any:
        import networkx as nx
        import requests

        assert isinstance(graph, nx.Graph)
        assert isinstance(session, requests.Session)
        return nx.compose(graph, nx.cycle_graph(3)), session.headers["x-test"]

    graph, header = result_of(bench, task, nx.path_graph(5), session)
    assert type(graph) is nx.Graph
    assert (graph.number_of_edges(), header) == (5, "there")


@needs_dask
def test_threads_import_them_at_once(bench: Bench) -> None:
    def task() -> Any:
        import importlib
        from concurrent.futures import ThreadPoolExecutor

        names = ["networkx", "requests", "requests.adapters", "dask", "psutil"] * 4
        with ThreadPoolExecutor(len(names)) as pool:
            modules = list(pool.map(importlib.import_module, names))
        return [module is importlib.import_module(name) for module, name in zip(modules, names, strict=True)]

    assert result_of(bench, task) == [True] * 20


def test_a_deps_pip_can_bring_another_version(bench: Bench, tmp_path: Path) -> None:
    """Covalent had imported its own before the DepsPip ran, and then that was what the task got."""
    target = tmp_path / "target"
    target.mkdir()
    bench.environment["PYTHONPATH"] = f"{target}:{bench.environment.get('PYTHONPATH', '')}"

    def install() -> None:
        (target / "psutil.py").write_text("__version__ = '1000.0'\n", encoding="utf-8")

    def task() -> Any:
        import psutil

        return psutil.__version__

    assert result_of(bench, task, before=(install,)) == "1000.0"


def test_a_task_builds_and_dispatches_a_workflow(bench: Bench) -> None:
    def task() -> Any:
        import sys

        import covalent as ct
        from covalent._workflow import transport

        early = "networkx" in sys.modules

        @ct.electron
        def double(x: int) -> int:
            return 2 * x

        @ct.lattice
        def workflow(x: int) -> int:
            return double(x)

        workflow.build_graph(3)
        graph = workflow.transport_graph.get_internal_graph_copy()
        import networkx as nx
        import requests

        assert isinstance(graph, nx.MultiDiGraph)
        assert transport.nx.MultiDiGraph is nx.MultiDiGraph
        try:
            ct.dispatch(workflow, dispatcher_addr="http://127.0.0.1:9")(3)
        except requests.exceptions.ConnectionError:
            refused = True
        return early, graph.number_of_nodes(), refused, ct.is_covalent_running()

    assert result_of(bench, task) == (False, 3, True, False)


def test_submodules_that_covalent_brought_are_there(bench: Bench) -> None:
    def task() -> Any:
        import multiprocessing
        import urllib
        import xml

        return [
            module.__name__ for module in (urllib.request, urllib.error, multiprocessing.pool, xml.etree.ElementTree)
        ]

    assert result_of(bench, task) == ["urllib.request", "urllib.error", "multiprocessing.pool", "xml.etree.ElementTree"]


@needs_dask
def test_a_traceback_can_be_returned(bench: Bench) -> None:
    """Dask enables that when it is imported, if tblib is installed."""

    def task() -> Any:
        import sys

        try:
            raise LookupError("on purpose") from KeyError("before")  # noqa: TRY301
        except LookupError as error:
            return error, sys.exc_info()[2], str.upper

    error, trace, upper = result_of(bench, task)
    assert str(error) == "on purpose"
    assert isinstance(error.__cause__, KeyError)
    assert trace.tb_frame.f_code.co_name == "task"
    assert upper is str.upper


def test_pydantics_plugins_see_the_models_of_a_task(bench: Bench, tmp_path: Path) -> None:
    info = tmp_path / "watchful-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: watchful\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[pydantic]\nwatchful = watchful:plugin\n", encoding="utf-8")
    source = """
        seen = []
        class Plugin:
            def new_schema_validator(self, schema, schema_type, path, *rest):
                seen.append(path.name)
                return None, None, None
        plugin = Plugin()
    """
    (tmp_path / "watchful.py").write_text("if True:" + source, encoding="utf-8")
    bench.environment["PYTHONPATH"] = f"{tmp_path}:{bench.environment.get('PYTHONPATH', '')}"

    def task() -> Any:
        import os

        import pydantic
        import watchful

        class Flower(pydantic.BaseModel):
            petals: int

        return Flower(petals=5).petals, [name.rsplit(".")[-1] for name in watchful.seen], "PYDANTIC" in str(os.environ)

    assert result_of(bench, task) == (5, ["Flower"], False)


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_the_container_may_say_whether_plugins_are_loaded(bench: Bench, enabled: str) -> None:
    bench.environment["COVALENT_PLUGIN_LOAD"] = enabled

    def task() -> Any:
        import gc
        import os

        import covalent as ct

        return "LocalExecutor" in vars(ct.executor), gc.isenabled(), os.environ["COVALENT_PLUGIN_LOAD"]

    assert result_of(bench, task) == (enabled == "true", True, enabled)


def test_a_missing_one_is_an_error_where_it_is_used(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "networkx.py").write_text("raise ImportError('broken on purpose')", encoding="utf-8")
    bench.environment["PYTHONPATH"] = f"{tmp_path}:{bench.environment.get('PYTHONPATH', '')}"

    def task() -> Any:
        import networkx as nx

        return nx

    bench.put_electron(task)
    assert bench.run()[0] == 1
    assert bench.envelope()["traceback"].endswith("ImportError: broken on purpose")
    assert sys.modules["networkx"] is nx
