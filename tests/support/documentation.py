"""The pages that users read, and the code blocks in them."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from support.paths import ROOT

README = ROOT / "README.md"

PAGES = [README, *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").glob("**/README.md"))]


@dataclass(frozen=True)
class Block:
    """A fenced code block.

    Attributes:
        page: Its file, from the checkout's root.
        line: Where it begins there.
        language: What its fence says; empty for a picture of characters.
        text: What stands between the fences.
    """

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_whole(self) -> bool:
        """Whether it is Python that runs by itself: it imports Covalent."""
        return (
            self.language == "python" and re.search(r"^(import|from) covalent\b", self.text, re.MULTILINE) is not None
        )

    @property
    def dispatches(self) -> bool:
        """Whether it needs a server, being whole."""
        return self.is_whole and "ct.dispatch(" in self.text


def blocks_of(path: Path) -> list[Block]:
    """The code blocks of a page in order, also those in lists."""
    text = path.read_text(encoding="utf-8")
    found = re.finditer(r"^( *)```([\w-]*)[^\n`]*\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL)
    name = str(path.relative_to(ROOT))
    return [Block(name, text.count("\n", 0, match.start()) + 2, match[2], textwrap.dedent(match[3])) for match in found]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a page in a language, in order."""
    return [block.text for block in BLOCKS if (block.page, block.language) == (page, language)]
