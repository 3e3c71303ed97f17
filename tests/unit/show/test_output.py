"""Lines of electrons: a long name leaves the terminal to what the function wrote."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from covalent_awsbatch_plugin.server.database import Electron
from covalent_awsbatch_plugin.show.named import Task
from covalent_awsbatch_plugin.show.output import Output
from covalent_awsbatch_plugin.show.reading import Line

NAME = "load_a_table_that_has_a_very_long_name"


def written(label: str, columns: int, *, is_terminal: bool) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, width=columns, force_terminal=is_terminal, color_system=None)
    task = Task(Electron("3f2a", 12, NAME, "RUNNING"), label)
    Output(console=console).write([Line(task, 2, 0, "reading " * 9)], {label})
    return file.getvalue().splitlines()


@pytest.mark.parametrize(
    ("columns", "shown"),
    [(40, "load_a_table_th…[12]"), (80, "load_a_table_that_has…[12]"), (120, f"{NAME[:35]}…[12]")],
)
def test_a_name_takes_a_third_of_a_terminal_and_keeps_its_number(columns: int, shown: str) -> None:
    first, *_ = written(f"{NAME}[12]", columns, is_terminal=True)
    assert first.startswith(f"{shown} attempt 2 │ reading")


def test_a_program_reads_whole_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert written(f"{NAME}[12]", 80, is_terminal=False)[0].startswith(f"{NAME}[12] attempt 2 │ reading")
