"""The text that Covalent keeps beside a value, to display it."""

from __future__ import annotations

LONGEST_TEXT = 4096
"""Characters of it that are kept where it is cut."""


def shortened(text: str) -> str:
    """The beginning of a long text, and how long it was; a short one as it is.

    Args:
        text: What `str` made of the value.
    """
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}… ({len(text):,} characters in all)"
