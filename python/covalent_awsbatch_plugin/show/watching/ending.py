"""How a dispatch ended, in a few lines: its result, or why it failed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from covalent_awsbatch_plugin.errors import AWSBatchError
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.printable import one_line, printable
from covalent_awsbatch_plugin.show.explanation import explained
from covalent_awsbatch_plugin.show.following import Following
from covalent_awsbatch_plugin.show.named import count

_MOST_FAILURES = 3
_MOST_CHARS = 2000
_OFFSET_BYTES = 8


def ending(following: Following, settings: Settings) -> list[str]:
    """Say how a dispatch ended.

    Args:
        following: What is known of it.
        settings: Whose queue, account and region count.
    """
    dispatch_id = following.named.dispatch_id
    if not following.named.family:
        return ["All its jobs have ended; what the dispatch came to, only Covalent's server knows."]
    root = following.named.family[0]
    if root.status == "COMPLETED":
        text = result_text(root.result)
        shown = [f"Result: {text}"] if text else []
        return [*shown, f'In Python: ct.get_result("{dispatch_id}").result']
    if root.status == "CANCELLED":
        return ["It was cancelled."]
    if root.status == "FAILED":
        return list(_why(dispatch_id, settings))
    return [f"It is {one_line(root.status)}."]


def how_to_come_back(dispatch_id: str) -> list[str]:
    """What somebody reads who interrupts it.

    Args:
        dispatch_id: What was watched.
    """
    return [
        "What is under way goes on.",
        f"To come back: covalent-awsbatch watch {dispatch_id}",
        f'or in Python: watch("{dispatch_id}")',
        f'To cancel it: ct.cancel("{dispatch_id}")',
    ]


def result_text(path: Path | None) -> str:
    """A result as `str` has it, cut where it is long; empty if it is not there. Nothing is unpickled.

    Args:
        path: Where Covalent keeps it: two offsets of eight bytes, a header, the text, and the pickled value
            (`covalent/_workflow/transportable_object.py`).
    """
    try:
        if path is None:
            return ""
        with path.open("rb") as file:
            begin, end = (int.from_bytes(file.read(_OFFSET_BYTES), "big") for _ in range(2))
            if not 2 * _OFFSET_BYTES <= begin <= end <= path.stat().st_size:
                return ""
            file.seek(begin)
            text = file.read(min(end - begin, 4 * _MOST_CHARS)).decode("utf-8", "replace")
    except OSError:
        return ""
    shown = printable(text)
    return shown if len(shown) <= _MOST_CHARS else f"{shown[:_MOST_CHARS]}…"


def _why(dispatch_id: str, settings: Settings) -> Iterator[str]:
    try:
        explanation = explained(dispatch_id, settings)
    except (AWSBatchError, LookupError) as error:
        yield printable(error)
        return
    for failure in explanation.failures[:_MOST_FAILURES]:
        yield f"{failure.name}({failure.arguments}) failed: {failure.sentence}"
    if (more := len(explanation.failures) - _MOST_FAILURES) > 0:
        yield f"and {count(more, 'electron')} more failed."
    if explanation.error:
        yield explanation.error
    yield f"Where in the source, and what to type next:\ncovalent-awsbatch why {dispatch_id}"
