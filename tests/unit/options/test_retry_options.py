"""The options of a task's next job: how much more memory, and which queues."""

from __future__ import annotations

from typing import Any

import pytest

from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.options import checks
from covalent_awsbatch_plugin.options.settings import DEFAULTS

ARN = "arn:aws:batch:us-east-1:123456789012:job-queue/covalent-batch-queue"


@pytest.mark.parametrize(
    ("given", "queues"),
    [
        ("", []),
        ([], []),
        (["on-demand"], ["on-demand"]),
        ('["spot-2", "on-demand"]', ["spot-2", "on-demand"]),
        ("spot-2, on-demand", ["spot-2", "on-demand"]),
    ],
)
def test_queues_are_given_as_a_list_or_a_text_and_come_after_the_first(given: Any, queues: list[str]) -> None:
    settings = checks.checked({**DEFAULTS, "retry_queues": given})
    assert settings.queues == ("covalent-batch-queue", *queues)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (7, "it is a int"),
        ([""], "'' is not allowed"),
        (["on-demand", "on-demand"], "on-demand is there twice"),
        (["covalent-batch-queue"], "or is batch_queue"),
        ([ARN], "or is batch_queue"),
    ],
)
def test_a_queue_has_one_place(given: Any, said: str) -> None:
    with pytest.raises(SettingsError, match="retry_queues") as refused:
        checks.checked({**DEFAULTS, "retry_queues": given})
    assert said in str(refused.value)


@pytest.mark.parametrize(("given", "factor"), [(1, 1), ("16", 16), (1.5, 1.5)])
def test_memory_grows_by_a_number(given: Any, factor: float) -> None:
    assert checks.checked({**DEFAULTS, "retry_memory_factor": given}).retry_memory_factor == factor


@pytest.mark.parametrize("given", [0, 0.99, 17, True, "twice"])
def test_no_memory_shrinks_or_grows_beyond_all_bounds(given: Any) -> None:
    with pytest.raises(SettingsError, match="from 1"):
        checks.checked({**DEFAULTS, "retry_memory_factor": given})
