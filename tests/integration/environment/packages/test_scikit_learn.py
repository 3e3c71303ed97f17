"""Real packages of PyPI, with native code, that need one another."""

from __future__ import annotations

import asyncio
import functools
import sys
from typing import Any

import cloudpickle
import pytest
from covalent._workflow.depspip import DepsPip
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn
from support.task_bench import TaskBench

from covalent_awsbatch_plugin.errors import JobFailedError


def fitted() -> Any:
    """Learns, and tells where from."""
    import importlib.metadata

    import numpy as np
    import sklearn.svm

    model = sklearn.svm.SVC().fit(np.array([[0.0], [1.0], [2.0], [3.0]]), [0, 0, 1, 1])
    installer = importlib.metadata.distribution("scikit-learn").read_text("INSTALLER")
    return int(model.predict([[2.9]])[0]), sklearn.__file__.startswith(sys.prefix), installer


def test_scikit_learn_is_there_without_being_installed(bench: TaskBench) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    executor = bench.executor(runtime="bucket", memory=2, time_limit=600)
    call = functools.partial(wrapper_fn, TransportableObject(fitted), [DepsPip(["scikit-learn"]).apply()], [])
    try:
        result = asyncio.run(executor.run(call, [], {}, bench.task())).get_deserialized()
    except JobFailedError:
        if "not packed" in executor.task_stderr.getvalue():
            pytest.skip(f"no index: {executor.task_stderr.getvalue()}")
        raise
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert result == (1, True, None), "no installer has been there"
