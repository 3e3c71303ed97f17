"""Contents that a task's pickle refers to: parts of other objects of the same dispatch.

The function's object then begins with a list of them, in JSON, whose length stands in its metadata. The runner hands
them to the function's process before the pickle, which has a call of `content` in the place of each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

_MAX_LISTED = 10_000  # a task has far fewer arguments


@dataclass(frozen=True)
class Reference:
    """A content: the last bytes of an object.

    Attributes:
        key: The object.
        offset: Bytes before the content.
        size: Bytes of the content, up to the object's end.
        sha256: Hexadecimal digits of the content's SHA-256.
    """

    key: str
    offset: int
    size: int
    sha256: str


def encode(references: Iterable[Reference]) -> bytes:
    """The list as it stands before the pickle.

    Args:
        references: In the order of their numbers.
    """
    return json.dumps([asdict(one) for one in references]).encode("ascii")


def decode(data: bytes, function_key: str) -> list[Reference]:
    """Read the list.

    Args:
        data: What `encode` returned.
        function_key: The object that it stands in.

    Raises:
        ValueError: It is something else, or refers to an object that is none of this dispatch's.
    """
    try:
        listed = json.loads(data)
    except RecursionError:
        raise ValueError("the list of contents is none") from None
    if not isinstance(listed, list) or len(listed) > _MAX_LISTED:
        raise ValueError("the list of contents is none")
    try:
        references = [Reference(**one) for one in listed]
    except TypeError as error:
        raise ValueError("the list of contents is none") from error
    for one in references:
        if type(one.offset) is not int or type(one.size) is not int or min(one.offset, one.size) < 0:
            raise ValueError("a content has no size")
        if not isinstance(one.key, str) or not _is_of_dispatch(one.key, function_key):
            raise ValueError("a content is in an object that does not belong to this dispatch")
    return references


def _is_of_dispatch(key: str, function_key: str) -> bool:
    task = re.fullmatch(r"func-(.+)-\d+\.pkl", function_key, re.DOTALL)
    dispatch = re.escape(task[1]) if task else r"(?!)"
    return bool(re.fullmatch(rf"shared-{dispatch}-[0-9a-f]{{16}}-[0-9a-f]{{64}}|result-{dispatch}-\d+\.output", key))


_contents: list[str] = []


def provide(contents: Sequence[str]) -> None:
    """Have these contents ready for the pickle that is loaded next.

    Args:
        contents: By their numbers; none to forget them.
    """
    _contents[:] = contents


def content(number: int) -> str:
    """The content in whose place a pickle calls this.

    Args:
        number: Its place in the list.
    """
    return _contents[number]
