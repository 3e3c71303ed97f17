"""What a task asks for: `DepsPip` as Covalent hands it over, and what is something else."""

from __future__ import annotations

import functools
import os
from typing import Any

import pytest
from covalent._workflow.depsbash import DepsBash
from covalent._workflow.depscall import DepsCall
from covalent._workflow.depspip import DepsPip
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn

from covalent_awsbatch_plugin.environment.distributions import CannotPackError
from covalent_awsbatch_plugin.environment.packages.wanted import Call, Requirements, Wanted, requirements, wanted


class Trap:
    """Whoever unpickles it ends."""

    def __reduce__(self) -> Any:
        return os._exit, (1,)


def call(*before: Any) -> Any:
    return functools.partial(wrapper_fn, TransportableObject(Trap()), list(before), [])


def test_depspip_is_found_among_what_runs_before() -> None:
    before = [DepsBash(["true"]), DepsPip(["numpy>=2", "dask[array]"]), DepsCall(print, [Trap()]), DepsPip("scipy")]
    assert wanted(call(*(one.apply() for one in before)), "").calls == (
        Call(("numpy>=2", "dask[array]"), ""),
        Call(("scipy",), ""),
    )


@pytest.mark.parametrize(
    "entry",
    [
        (),
        ("numpy", "", {}, ""),
        (TransportableObject(print), TransportableObject([["numpy"], ""]), TransportableObject({}), ""),
        (DepsPip(["x"]).apply()[0], TransportableObject([[Trap()], ""]), TransportableObject({}), ""),
        (DepsPip(["x"]).apply()[0], TransportableObject([["numpy"], ""]), TransportableObject({"more": Trap()}), ""),
        (DepsPip(["x"]).apply()[0], TransportableObject([["numpy", 7], ""]), TransportableObject({}), ""),
        (DepsPip(["x"]).apply()[0], TransportableObject([["x" * 2_000_000], ""]), TransportableObject({}), ""),
        (TransportableObject(Trap()), TransportableObject([["numpy"], ""]), TransportableObject({}), ""),
    ],
)
def test_what_is_something_else_is_left_to_the_container(entry: Any) -> None:
    assert wanted(call(entry), "") == Wanted()
    assert wanted(print, "") == Wanted()


def test_all_that_is_asked_for_comes_together() -> None:
    asked = Wanted(
        (Call(("scipy", "numpy>=2"), ""), Call((), f"# ours\nnumpy==2.4 --hash=sha256:{'a' * 64}\n")),
        ("pandas", "--constraint=six==1.0"),
    )
    assert requirements(asked) == Requirements(
        ("numpy==2.4", "numpy>=2", "pandas", "scipy"), ("six==1.0",), {"numpy": frozenset({"a" * 64})}
    )


@pytest.mark.parametrize(
    "asked",
    [
        Call(("--index-url", "https://me:s3cret@index/simple", "numpy"), ""),
        Call(("git+https://me:s3cret@host/x",), ""),
        Call((), "-r other.txt\n"),
        Call(("numpy >= 2",), ""),  # which Covalent splits at the spaces, too
    ],
)
def test_what_no_index_could_answer_is_not_shown(asked: Call) -> None:
    with pytest.raises(CannotPackError, match="an option, a path or an address") as raised:
        requirements(Wanted((asked,)))
    assert "s3cret" not in str(raised.value)
