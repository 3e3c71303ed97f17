"""The source lines of a traceback, which the container did not have: from the function's source that Covalent keeps."""

from __future__ import annotations

import base64
import pickletools
import re
from pathlib import Path

_FRAME = re.compile(r'  File "(?P<file>[^"]*)", line (?P<line>\d+), in (?P<name>\S+)')
_PICKLE = re.compile(rb"gA[A-Za-z0-9+/]{3}[A-Za-z0-9+/=]*$")
"""A pickle in base64, at the end of what Covalent stores."""

_WRAPPER = re.compile(r'  File "[^"]*/covalent/executor/utils/wrappers\.py", line .*\n(?:    .*\n)*')
"""The frame of Covalent's that calls every function."""

_MOST_BYTES = 4 * 1024 * 1024
"""A larger function carries data along, and is not searched."""


def with_source(traceback: str, source: str, pickled: Path | None) -> str:
    """Add the line of the source to each frame of a traceback that shows none, and leave Covalent's own frame out.

    Args:
        traceback: As Python prints it.
        source: The function's source, with its decorators.
        pickled: The function as Covalent keeps it; where its lines begin is looked up in it, and nothing is unpickled.
    """
    first = _first_lines(pickled) if source else {}
    kept = source.split("\n")
    shown: list[str] = []
    lines = _WRAPPER.sub("", traceback).split("\n")
    for number, line in enumerate(lines):
        shown.append(line)
        frame = _FRAME.match(line)
        if frame is None or (number + 1 < len(lines) and lines[number + 1].startswith("    ")):
            continue
        begin = first.get((frame["file"], _function_of(source)))
        own = first.get((frame["file"], frame["name"]))
        if begin is None or own is None or not _defines(source, frame["name"]):
            continue  # another function's: pickled ones may all have the same file name
        index = int(frame["line"]) - begin
        if own >= begin and 0 <= index < len(kept) and kept[index].strip():
            shown.append(f"    {kept[index].strip()}")
    return "\n".join(shown)


def _defines(source: str, name: str) -> bool:
    return name.startswith("<") or re.search(rf"\bdef\s+{re.escape(name)}\b", source) is not None


def _function_of(source: str) -> str:
    found = re.search(r"^\s*(?:async\s+)?def\s+(\w+)", source, re.MULTILINE)
    return found[1] if found else ""


def _first_lines(pickled: Path | None) -> dict[tuple[str, str], int]:
    """The first line of each code object, by its file and name: in a pickle both stand right before that number."""
    try:
        if pickled is None or pickled.stat().st_size > _MOST_BYTES:
            return {}
        found = _PICKLE.search(pickled.read_bytes())
        return {} if found is None else _scanned(base64.b64decode(found[0]))
    except (OSError, ValueError):
        return {}


def _scanned(pickled: bytes) -> dict[tuple[str, str], int]:
    memo: list[object] = []
    texts: list[str] = []
    last: object = None
    first: dict[tuple[str, str], int] = {}
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name == "MEMOIZE":
            memo.append(last)
            continue
        if opcode.name in ("BINGET", "LONG_BINGET"):
            last = memo[argument] if isinstance(argument, int) and argument < len(memo) else None
        else:
            last = argument
        if isinstance(last, str):
            texts.append(last)
        elif isinstance(last, int) and opcode.name.startswith("BININT") and len(texts) >= 2:
            # From Python 3.11 on the qualified name stands between the name and the number.
            *_, file, name = texts if len(texts) == 2 or not texts[-1].endswith(texts[-2]) else texts[:-1]
            first.setdefault((file, name), last)
            texts = []
        elif last is not None or opcode.name not in ("FRAME", "PROTO"):
            texts = []
    return first
