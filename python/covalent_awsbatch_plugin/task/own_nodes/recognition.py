"""Recognises Covalent's own functions in pickled form, without loading them.

cloudpickle writes them by value, so the pickle has their code. It is compared, instruction by instruction, with the
pickle of functions with the same source in the same places of a module of the same name. What is equal does the same,
whoever wrote it. Another minor version of Python has other code, and then the node takes a job.
"""

from __future__ import annotations

import base64
import enum
import functools
import pickletools
import struct
import types
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, cast

import cloudpickle

from covalent_awsbatch_plugin.environment.packages.wanted import wanted

from .functions import Electron

_MODULE = "covalent._workflow.electron"
_MOST_CHARS = 4096  # of a function of Covalent's, in base64; they have about 1,500
_METHOD_START_CHARS = 1024  # in which a method's name stands
_METHOD_END = b"b\x86\x94R\x94."  # of a method of an object with a state: nothing follows it

Token = tuple[str, Any]


class Kind(enum.Enum):
    """What a node of Covalent's does."""

    LIST = "a list of its arguments"
    DICT = "a dict of a list of keys and a list of values"
    ITEM = "an item of what it is given"
    RESULT = "the result of a lattice, which is what it is given"


def kind_of(function: Any) -> Kind | None:
    """What Covalent's own node does, or None for any other function.

    Args:
        function: As Covalent hands it to an executor: a partial of its wrapper. With something to be called before or
            after it is none of these; `DepsPip` alone does not count, as nothing runs here that needs a package.
    """
    from covalent.executor.utils.wrappers import wrapper_fn

    if not isinstance(function, functools.partial) or function.func is not wrapper_fn or len(function.args) != 3:
        return None
    node, before, after = function.args
    if after or len(wanted(function, "").calls) != len(before):
        return None
    text = node.get_serialized()
    try:
        if base64.b64decode(text[-16:]).endswith(_METHOD_END):
            return Kind.RESULT if _is_postprocessing(base64.b64decode(text[:_METHOD_START_CHARS])) else None
        return _kind_of_function(base64.b64decode(text)) if len(text) <= _MOST_CHARS else None
    except (ValueError, IndexError, KeyError, OverflowError, struct.error):
        return None  # no pickle


def _kind_of_function(pickled: bytes) -> Kind | None:
    if _MODULE.encode() not in pickled:
        return None
    found = list(_tokens(pickled))
    return next((kind for kind, known in _known() if _is_same(found, *known)), None)


def _is_same(found: Sequence[Token], first: Sequence[Token], second: Sequence[Token]) -> bool:
    """Whether a function is the one of two pickles; in what they differ it may differ, too."""
    return len(found) == len(first) and all(
        (one[0] == other[0]) if other != another else one == other
        for one, other, another in zip(found, first, second, strict=True)
    )


def _is_postprocessing(start: bytes) -> bool:
    known = _postprocessing()
    return tuple(islice(_tokens(start), len(known))) == known


def _tokens(pickled: bytes) -> Iterator[Token]:
    """What a pickle's instructions say, however numbers and texts are encoded and whatever is kept for later use."""
    tokens: list[Token] = []
    kept: dict[int, int] = {}
    for opcode, argument_, _ in pickletools.genops(pickled):
        name, argument = opcode.name, cast("Any", argument_)
        if name in ("PROTO", "FRAME"):
            continue
        if name in ("MEMOIZE", "BINPUT", "LONG_BINPUT"):
            kept[len(kept) if name == "MEMOIZE" else argument] = len(tokens) - 1
            continue
        if name in ("BINGET", "LONG_BINGET"):
            token = tokens[kept[argument]]
            tokens.append(token if token[0] == "UNICODE" else ("GET", kept[argument]))
        else:
            tokens.append((_ENCODINGS.get(name, name), argument))
        yield tokens[-1]


_ENCODINGS = {
    **dict.fromkeys(("BININT", "BININT1", "BININT2"), "INT"),
    **dict.fromkeys(("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), "UNICODE"),
    **dict.fromkeys(("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"), "BYTES"),
}


@functools.cache
def _known() -> tuple[tuple[Kind, tuple[tuple[Token, ...], tuple[Token, ...]]], ...]:
    electron = Electron()
    as_list, as_dict = electron.connect_node_with_others()
    functions = {as_list: Kind.LIST, as_dict: Kind.DICT, electron.__iter__(): Kind.ITEM, electron[0]: Kind.ITEM}
    return tuple((kind, (_pickled(one, 1), _pickled(one, 2))) for one, kind in functions.items())


def _pickled(function: Callable[..., Any], variant: int) -> tuple[Token, ...]:
    """A function as Covalent's module has it, with a name, a file and lines of its own in each variant."""
    file = f"electron-{variant}.py"
    module = {"__name__": _MODULE, "__package__": _MODULE.rpartition(".")[0], "__file__": file, "list": list}
    theirs = types.FunctionType(_moved(function.__code__, file, variant), module, f"name-{variant}")
    theirs.__qualname__ = function.__qualname__
    return tuple(_tokens(cloudpickle.dumps(theirs)))


def _moved(code: types.CodeType, file: str, line: int) -> types.CodeType:
    constants = tuple(_moved(one, file, line) if isinstance(one, types.CodeType) else one for one in code.co_consts)
    lines = code.co_linetable + bytes(2 * line)
    return code.replace(co_consts=constants, co_filename=file, co_firstlineno=line, co_linetable=lines)


@functools.cache
def _postprocessing() -> tuple[Token, ...]:
    """How the pickle of the method begins that puts a lattice's result together, up to the lattice."""
    from covalent._workflow.postprocessing import Postprocessor

    method = cloudpickle.dumps(Postprocessor(None)._postprocess_recursively)  # noqa: SLF001
    tokens = tuple(_tokens(method))
    return tokens[: tokens.index(("UNICODE", "lattice")) + 1]
