"""Source lines of a traceback whose files the reader does not have."""

from __future__ import annotations

import base64
import traceback
from pathlib import Path
from typing import Any

import cloudpickle

from covalent_awsbatch_plugin.show.source import with_source

FILE = "<of-another-machine>"
TASK = """def task(number):
    def inner():
        raise ValueError(number)  # inner

    helper(inner)  # task
"""
HELPER = """def helper(function):
    # A line more, so that it would be within the task's.
    function()  # helper
"""


def made(tmp_path: Path, before: str) -> tuple[str, Path]:
    """The traceback of a task that stands below so much, and the task as Covalent keeps it."""
    names: dict[str, Any] = {}
    exec(compile(before + TASK, FILE, "exec"), names)
    exec(compile(HELPER, FILE, "exec"), names)
    task = cloudpickle.dumps(names["task"])
    pickled = tmp_path / "function.tobj"
    pickled.write_bytes(b"\0\0head" + base64.b64encode(task))
    try:
        cloudpickle.loads(task)(3)
    except ValueError as error:
        return "".join(traceback.format_exception(error)), pickled
    raise AssertionError


def test_a_frame_has_the_line_of_the_function_wherever_it_stood_in_its_file(tmp_path: Path) -> None:
    for before in ("", "\n" * 7, "\n" * 300, "\n" * 70_000):
        bare, pickled = made(tmp_path, before)
        shown = with_source(bare, TASK, pickled)
        assert "in task\n    helper(inner)  # task\n" in shown
        assert "in inner\n    raise ValueError(number)  # inner\n" in shown
        assert "# helper" not in shown


def test_a_function_of_another_file_is_not_shown_with_a_line_of_this_one(tmp_path: Path) -> None:
    bare, pickled = made(tmp_path, "")
    frame = bare.split("in helper\n")[1]
    assert with_source(bare, TASK, pickled).split("in helper\n")[1].startswith(frame.splitlines()[0])


def test_what_cannot_be_looked_up_changes_nothing(tmp_path: Path) -> None:
    bare, pickled = made(tmp_path, "")
    assert with_source(bare, "", pickled) == bare
    assert with_source(bare, TASK, None) == bare
    assert with_source(bare, TASK, tmp_path / "missing") == bare
    for size in range(0, pickled.stat().st_size, 7):
        cut = tmp_path / "cut"
        cut.write_bytes(pickled.read_bytes()[:size])
        with_source(bare, TASK, cut)
