"""What is shown to a person does nothing else in a terminal."""

from __future__ import annotations

import os
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from covalent_awsbatch_plugin.printable import one_line, printable


def test_a_terminal_is_told_nothing() -> None:
    assert printable("\x1b]0;owned\x07\x1b[2J") == r"\x1b]0;owned\x07\x1b[2J"
    assert printable("\u202eexe.txt\u2066") == r"\u202eexe.txt\u2066"
    assert printable("\x9b2J") == r"\x9b2J"


def test_lines_and_tabs_stay_and_a_progress_bar_is_seen() -> None:
    assert printable("a\r\n\tb\n") == "a\n\tb\n"
    assert printable("10%\r20%") == r"10%\r20%"


def test_what_no_utf8_can_hold_is_escaped() -> None:
    assert printable(f"cannot read {os.fsdecode(b'caf' + bytes([0xE9]))}.csv") == r"cannot read caf\udce9.csv"


def test_a_long_text_keeps_its_head_and_its_tail() -> None:
    shown = printable("a" * 1000 + "b" * 1_000_000, 2000)
    assert shown.startswith("a" * 1000)
    assert shown.endswith("b" * 1000)
    assert "999,000 characters" in shown
    assert len(shown) < 2100


def test_one_line_is_one() -> None:
    assert one_line("a\n b\t\x00c") == r"a b \x00c"


@example("\x7f")
@given(st.text(st.characters()) | st.integers() | st.none())
def test_any_value_is_printable(value: object) -> None:
    shown = printable(value)
    shown.encode("utf-8")
    assert all(character in "\n\t" or unicodedata.category(character) != "Cc" for character in shown)
    assert printable(shown) == shown
