"""The pages that users read, and the code blocks in them."""

from __future__ import annotations

import ast
import builtins
import doctest
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
    def source(self) -> str:
        """What it says as Python; of a session with prompts, what was typed."""
        if self.text.startswith(">>> "):
            return "".join(example.source for example in doctest.DocTestParser().get_examples(self.text))
        return self.text

    @property
    def is_whole(self) -> bool:
        """Whether it is Python that runs by itself: it imports Covalent, and makes every name that it uses."""
        if self.language != "python" or not re.search(r"^(import|from) covalent\b", self.source, re.MULTILINE):
            return False
        used, made = set(), set(dir(builtins))
        for node in ast.walk(ast.parse(self.source)):
            if isinstance(node, ast.Name):
                (used if isinstance(node.ctx, ast.Load) else made).add(node.id)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                made |= {(name.asname or name.name).partition(".")[0] for name in node.names}
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                made.add(node.name)
            elif isinstance(node, ast.arg):
                made.add(node.arg)
        return used <= made | {"__name__", "__file__"}

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
