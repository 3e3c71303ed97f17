"""The text of `bootstrap` as it stands in a job definition: without comments, docstrings and annotations."""

from __future__ import annotations

import ast
import functools
import io
import tokenize
from pathlib import Path
from typing import TypeVar

Function = TypeVar("Function", ast.FunctionDef, ast.Module)

LARGEST = 4096
"""Characters, but in a pod. A job definition has 24 KiB, and who looks at one in the console reads this text, too."""

_OF_PODS = "of_pod"


# Collecting garbage finds none, and takes a tenth of the time of the imports that come first.
_WITHOUT_COLLECTION = "import gc;gc.disable()\n"


@functools.cache
def program(*, in_pod: bool = False) -> str:
    """The text, to be run by `python -c`.

    Args:
        in_pod: Whether it finds the credentials of a pod's service account, too, for which it is longer.
    """
    tree = ast.parse(Path(__file__).with_name("bootstrap.py").read_text(encoding="utf-8"))
    tree.body = _together(_bare(tree).body)
    if not in_pod:
        _WithoutPods().visit(tree)
    if isinstance(tree.body[-1], ast.If):  # only the file may be imported
        tree.body[-1:] = tree.body[-1].body
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            _bare(node).returns = None
            for argument in node.args.args:
                argument.annotation = None
    return _WITHOUT_COLLECTION + _tight(ast.unparse(tree))


class _WithoutPods(ast.NodeTransformer):
    """Takes out the function that is for pods alone, and the condition that calls it."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:
        return None if node.name == _OF_PODS else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        calls = any(isinstance(one, ast.Name) and one.id == _OF_PODS for one in ast.walk(node.test))
        return None if calls else self.generic_visit(node)


def _bare(node: Function) -> Function:
    if ast.get_docstring(node):
        del node.body[0]
    return node


def _together(statements: list[ast.stmt]) -> list[ast.stmt]:
    """All imports in one line, without the one that only annotations need."""
    imports = [statement for statement in statements if isinstance(statement, ast.Import)]
    names = [name for statement in imports for name in statement.names if name.name != "typing"]
    return [ast.Import(names=names), *(one for one in statements if not isinstance(one, ast.Import))]


_LAYOUT = {tokenize.INDENT, tokenize.DEDENT, tokenize.NEWLINE, tokenize.NL, tokenize.ENDMARKER}


def _tight(text: str) -> str:
    """Without the spaces and the empty lines that Python does not need; one space a level is enough."""
    kept: list[str] = []
    end = (0, 0)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in _LAYOUT:
            continue
        if token.start[0] > end[0]:
            kept += "\n" * bool(kept), " " * (token.start[1] // 4)
        elif token.start > end and _is_word(kept[-1][-1]) and _is_word(token.string[0]):
            kept.append(" ")
        kept.append(token.string)
        end = token.end
    return "".join(kept)


def _is_word(character: str) -> bool:
    return character.isalnum() or character in "_'\""
