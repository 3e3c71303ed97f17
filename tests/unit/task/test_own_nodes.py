"""Which nodes of a graph are Covalent's own: those that it made, and none that looks like one."""

from __future__ import annotations

import asyncio
import base64
import functools
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import covalent as ct
import pytest
from covalent._workflow.postprocessing import Postprocessor
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.errors import AWSBatchError
from covalent_awsbatch_plugin.task.own_nodes import inheritance
from covalent_awsbatch_plugin.task.own_nodes.recognition import Kind, kind_of

MODULE = "covalent._workflow.electron"


@ct.electron
def pair(x: Any) -> Any:
    return x, x


@ct.electron
def use(x: Any) -> Any:
    return x


@ct.lattice
def inner(x: Any) -> Any:
    return use(x)


@ct.lattice
def workflow() -> Any:
    first, _ = pair(1)
    use({"a": [first, 2]})
    use({3, 4})
    use(pair(1)[0])
    use(pair(1).real)
    use(pair(1) + pair(2))
    ct.electron(inner)(1)
    return [first]


def nodes(lattice: Any = workflow) -> dict[str, Any]:
    """The function of each node of a lattice that has one, by the node's name."""
    lattice.build_graph()
    graph = lattice.transport_graph._graph
    return {node["name"]: node["function"] for node in graph.nodes.values() if node["function"] is not None}


def called(function: Any, before: Any = (), after: Any = ()) -> Any:
    """A function as Covalent hands it to an executor."""
    return functools.partial(wrapper_fn, TransportableObject.make_transportable(function), list(before), list(after))


def test_covalents_own_nodes_are_known_and_no_others() -> None:
    found = {name: kind_of(called(function)) for name, function in nodes().items() if not name.startswith(":parameter")}
    assert found == {
        "pair": None,
        "use": None,
        ":pair()[0]": Kind.ITEM,
        ":pair()[1]": Kind.ITEM,
        ":pair.__getitem__": Kind.ITEM,
        ":pair.__getattr__": None,  # only its class knows what that is
        ":electron_list:": Kind.LIST,
        ":electron_dict:": Kind.DICT,
        "pair_+_pair": None,
        ":sublattice:inner": None,
        ":postprocess:reconstruct": Kind.RESULT,
    }


def test_the_result_of_the_smallest_lattice_is_known() -> None:
    lattice = ct.lattice(lambda: 1)
    lattice.workflow_function_string = ""
    assert kind_of(called(nodes(lattice)[":postprocess:reconstruct"])) is Kind.RESULT


def as_covalents(function: Callable[..., Any], name: str, **names: Any) -> Callable[..., Any]:
    """A function that says that it is Covalent's."""
    module = {**names, "__name__": MODULE, "__package__": "covalent._workflow", "__file__": "electron.py"}
    qualified = f"Electron.connect_node_with_others.<locals>.{name}"
    code = function.__code__.replace(co_name=name)
    if hasattr(code, "co_qualname"):
        code = code.replace(co_qualname=qualified)
    lookalike = types.FunctionType(code, module, name, function.__defaults__, function.__closure__)
    lookalike.__qualname__ = qualified
    lookalike.__doc__ = function.__doc__
    return lookalike


SOURCES: dict[str, tuple[str, dict[str, Any]]] = {
    "sorted": ("def f(*args, **kwargs): return sorted(args)", {"list": list}),
    "another list": ("def f(*args, **kwargs): return list(args)", {"list": sorted}),
    "no list": ("def f(*args, **kwargs): return list(args)", {}),
    "more": ("def f(*args, **kwargs): return list(args) + [1]", {"list": list}),
    "one more argument": ("def f(*args, a=1, **kwargs): return list(args)", {"list": list}),
    "documented": ("def f(*args, **kwargs): 'It is.'; return list(args)", {"list": list}),
    "a generator": ("def f(*args, **kwargs): yield list(args)", {"list": list}),
    "asynchronous": ("async def f(*args, **kwargs): return list(args)", {"list": list}),
}


def compiled(text: str) -> Callable[..., Any]:
    """A function within a function, as in Covalent's module; this module's import from `__future__` leaves a flag."""
    module: dict[str, Any] = {}
    exec(compile(f"def outer():\n {text}\n return f", "lookalike.py", "exec", dont_inherit=True), module)
    function: Callable[..., Any] = module["outer"]()
    return function


@pytest.mark.parametrize("source", SOURCES)
def test_a_function_that_says_it_is_covalents_but_does_something_else_is_not_known(source: str) -> None:
    text, names = SOURCES[source]
    assert kind_of(called(as_covalents(compiled(text), "_auto_list_node", **names))) is None


def test_the_same_code_is_the_same_function_whoever_wrote_it() -> None:
    theirs = compiled("def f(*args, **kwargs): return  list( args )")
    assert kind_of(called(as_covalents(theirs, "_auto_list_node", list=list))) is Kind.LIST


def test_a_users_function_with_the_name_of_a_node_is_not_known() -> None:
    def _auto_list_node(*args: Any) -> Any:
        return "Electron.connect_node_with_others.<locals>._auto_list_node", MODULE, args

    assert kind_of(called(_auto_list_node)) is None
    _auto_list_node.__module__ = MODULE
    _auto_list_node.__qualname__ = "Electron.connect_node_with_others.<locals>._auto_list_node"
    assert kind_of(called(_auto_list_node)) is None


class Reduced:
    """An object whose pickle is a call."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


METHOD = Postprocessor(inner)._postprocess_recursively
LOOK_ALIKES = {
    "result": Reduced(METHOD, (1,)),
    "in a list": [METHOD],
    "first of two": (METHOD, METHOD),
    "the lattice again": Postprocessor(inner)._postprocess,  # with sdk.exhaustive_postprocess
    "another object's": types.MethodType(Postprocessor._postprocess_recursively, inner),
    "partial": functools.partial(METHOD, 1),
    "plain": Postprocessor._postprocess_recursively,
    "with a state": Reduced(types.MethodType, (METHOD.__func__, Postprocessor(inner)), {"a": 1}),
}


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_what_looks_like_the_postprocessing_of_a_lattice_is_not_known(name: str) -> None:
    inner.build_graph(1)
    assert kind_of(called(METHOD)) is Kind.RESULT
    assert kind_of(called(LOOK_ALIKES[name])) is None


def test_a_node_that_has_something_to_call_is_a_job_unless_it_is_pip() -> None:
    a_list = nodes()[":electron_list:"]
    pip, bash = ct.DepsPip(["numpy"]).apply(), ct.DepsBash(["true"]).apply()
    call = ct.DepsCall(print).apply()
    assert kind_of(called(a_list, [pip])) is Kind.LIST
    assert [kind_of(called(a_list, before)) for before in ([bash], [call], [pip, call])] == [None, None, None]
    assert kind_of(called(a_list, [], [call])) is None


def test_what_is_no_function_of_covalents_is_not_known() -> None:
    a_list = nodes()[":electron_list:"]
    for function in (print, functools.partial(print, a_list, [], []), functools.partial(wrapper_fn, a_list), None):
        assert kind_of(function) is None


@pytest.mark.parametrize("cut", [0, 1, 100, 400, -1])
def test_a_damaged_function_is_a_job(cut: int) -> None:
    for name in (":electron_list:", ":postprocess:reconstruct"):
        damaged = nodes()[name]
        damaged._object = base64.b64encode(base64.b64decode(damaged._object)[:cut]).decode()
        assert kind_of(called(damaged)) is None


def test_own_nodes_ask_nobody_and_other_functions_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """There are no credentials, no server at that address, and no bucket."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    executor = AWSBatchExecutor(credentials=str(tmp_path / "none"), endpoint_url="http://127.0.0.1:9")
    task = {"dispatch_id": "none", "node_id": 0}

    def run(function: Any, *args: Any) -> Any:
        return asyncio.run(executor.run(called(function), [TransportableObject(one) for one in args], {}, task))

    known = nodes()
    assert run(known[":electron_list:"], 1, "b").get_deserialized() == [1, "b"]
    assert run(known[":pair()[0]"], (1, 2), 1).get_deserialized() == 2
    assert run(known[":postprocess:reconstruct"], {"a": 1}).get_deserialized() == {"a": 1}
    with pytest.raises(AWSBatchError):
        run(known["use"], 1)


def test_without_a_server_nothing_is_looked_up() -> None:
    """A script that runs the executor itself has no graph, and must not open the database of a server."""
    a_list = called(nodes()[":electron_list:"])
    before = set(sys.modules)
    assert asyncio.run(inheritance.with_packages(a_list, {"dispatch_id": "none", "node_id": 0})) is a_list
    assert not [name for name in set(sys.modules) - before if name.startswith("covalent_dispatcher")]


def test_nothing_of_a_function_is_loaded(tmp_path: Path) -> None:
    witness = tmp_path / "loaded"
    planted = TransportableObject(None)
    planted._object = base64.b64encode(cloudpickle.dumps(Reduced(Path.touch, (witness,)))).decode()
    assert kind_of(called(planted)) is None
    assert not witness.exists()
