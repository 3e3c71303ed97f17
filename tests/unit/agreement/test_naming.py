"""The names of objects beside a result."""

from __future__ import annotations

import pytest

from covalent_awsbatch_plugin.agreement.naming import io_output_key, output_key, task_keys


def test_what_the_public_image_printed_stands_where_its_program_puts_it() -> None:
    assert io_output_key("result-5f3a-12.pkl") == "io_output-5f3a-12.json"


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("result-X-1.pkl", "result-X-1.output"),
        ("result-X-1", "result-X-1.output"),
        ("a.b/result-X-1", "a.b/result-X-1.output"),
    ],
)
def test_a_large_output_stands_beside_the_result(result: str, expected: str) -> None:
    assert output_key(result) == expected


def test_all_objects_of_a_task() -> None:
    """What the executor and both programs in the container may write, and nothing of another task."""
    written = ["func-X-1.pkl", "result-X-1.pkl", "result-X-1.output", "io_output-X-1.json", "checkpoint-X-1.tar"]
    assert task_keys("X", 1) == written
    nodes = task_keys("X", 1, nodes=2, attempts=2)
    assert nodes == [
        *written,
        "checkpoint-X-1.node-1.tar",
        *("result-X-1.node-1.attempt-1.pkl", "result-X-1.node-1.attempt-1.output"),
        *("result-X-1.node-1.attempt-2.pkl", "result-X-1.node-1.attempt-2.output"),
    ]
