"""A task that an earlier server had begun: its job is found, whether Covalent was told of it or not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from lab import Lab, endings, faults
from support.tasks import executor_of, only_job

from covalent_awsbatch_plugin.errors import AccessError
from covalent_awsbatch_plugin.server import handles


def run(lab: Lab, metadata: dict[str, Any]) -> Any:
    return asyncio.run(executor_of(lab).run(len, ["x"], {}, metadata)).get_deserialized()


def expect(metadata: dict[str, Any], job_id: str = "") -> None:
    handles.expect(metadata["dispatch_id"], metadata["node_id"], job_id)


@pytest.mark.parametrize("is_told", [True, False])
def test_a_job_that_has_ended_is_not_submitted_again(lab: Lab, metadata: dict[str, Any], is_told: bool) -> None:
    result = run(lab, metadata)
    expect(metadata, only_job(lab, metadata).id if is_told else "")
    assert run(lab, metadata) == result
    only_job(lab, metadata)


def test_a_task_without_a_job_is_submitted(lab: Lab, metadata: dict[str, Any]) -> None:
    expect(metadata)
    run(lab, metadata)
    only_job(lab, metadata)


@pytest.mark.lab(endings={"*": endings.image_missing()})
def test_a_job_that_never_called_its_function_does_not_count(lab: Lab, metadata: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="image"):
        run(lab, metadata)
    lab.choose("*", endings.succeed())
    expect(metadata)
    run(lab, metadata)
    assert len(lab.jobs()) == 2


def test_without_the_right_to_look_nothing_is_submitted_twice(lab: Lab, metadata: dict[str, Any]) -> None:
    lab.faults(faults.denied("ListJobs"))
    expect(metadata)
    with pytest.raises(AccessError, match=r"batch:ListJobs.*cannot be told, and it is not submitted a second time"):
        run(lab, metadata)
    assert not lab.jobs()
