"""What packages a task asks for: its `DepsPip`, of which nothing is run here, and the option `packages`."""

from __future__ import annotations

import base64
import functools
import io
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from covalent_awsbatch_plugin.agreement.requirements import fingerprint
from covalent_awsbatch_plugin.environment.distributions import CannotPackError
from covalent_awsbatch_plugin.options import packages as option

_INSTALLER = ("covalent._workflow.depspip", "apply_pip_deps")
_LARGEST_REFERENCE = 1000
_LARGEST_ARGUMENTS = 1024 * 1024


class Call(NamedTuple):
    """The arguments of Covalent's `apply_pip_deps`."""

    packages: tuple[str, ...]
    requirements: str

    @property
    def fingerprint(self) -> str:
        """By which the container knows it."""
        return fingerprint(self.packages, self.requirements)


@dataclass(frozen=True)
class Wanted:
    """What a task asks for.

    Attributes:
        calls: What its `DepsPip` asks for.
        packages: The option, as it was given: what it stands for is read where the environment is made.
    """

    calls: tuple[Call, ...] = ()
    packages: str | tuple[str, ...] = ""

    def __bool__(self) -> bool:
        return bool(self.calls or self.packages)


@dataclass(frozen=True)
class Requirements:
    """Requirements as a package index understands them.

    Attributes:
        roots: What has to be there.
        constraints: Versions of what may have to be there besides.
        hashes: SHA-256 that files may have, by normalised name; any if a name has none.
        is_whole: Whether the roots are all, and what they need is there.
    """

    roots: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    is_whole: bool = False

    @property
    def lines(self) -> tuple[str, ...]:
        """The roots as in a requirements file."""
        names = [option.parsed(line).name for line in self.roots]
        hashes = [sorted(self.hashes.get(name, ())) for name in names]
        return tuple(
            line + "".join(f" --hash=sha256:{one}" for one in allowed)
            for line, allowed in zip(self.roots, hashes, strict=True)
        )


def wanted(function: Any, packages: str | list[str]) -> Wanted:
    """What a task asks for.

    Args:
        function: As Covalent hands it to an executor: a partial of its wrapper, with what is called before.
        packages: The option.
    """
    return Wanted(tuple(_calls(function)), packages if isinstance(packages, str) else tuple(packages))


def requirements(wanted: Wanted) -> Requirements:
    """The requirements of a task together.

    Raises:
        CannotPackError: One of them is no requirement that an index could answer. The message does not show it, as it
            may have a password in it.
        SettingsError: The option names a file that cannot be read.
    """
    lines: list[str] = []
    for call in wanted.calls:
        lines += option.lines(call.requirements) if call.requirements else " ".join(call.packages).split()
    try:
        parsed = [option.parsed(line) for line in lines]
    except ValueError:
        raise CannotPackError(
            "what DepsPip asks for has an option, a path or an address in it, and not names and versions alone"
        ) from None
    raw = wanted.packages
    parsed += [option.parsed(line) for line in option.captured(raw if isinstance(raw, str) else list(raw))]
    hashes: dict[str, frozenset[str]] = {}
    for one in parsed:
        if one.hashes:
            hashes[one.name] = hashes.get(one.name, frozenset()) | one.hashes
    return Requirements(
        tuple(sorted({one.text for one in parsed if not one.is_constraint})),
        tuple(sorted({one.text for one in parsed if one.is_constraint})),
        hashes,
    )


def _calls(function: Any) -> Iterator[Call]:
    if not isinstance(function, functools.partial) or len(function.args) < 2:
        return
    for entry in function.args[1] if isinstance(function.args[1], (list, tuple)) else ():
        try:
            reference, arguments, keywords, _ = entry
            if _loaded(reference, _LARGEST_REFERENCE, _Reference) is not _INSTALLER:
                continue
            found = _loaded(arguments, _LARGEST_ARGUMENTS, _Plain)
            packages, content = found
            if (
                _loaded(keywords, _LARGEST_ARGUMENTS, _Plain) == {}
                and isinstance(packages, (list, tuple))
                and all(type(one) is str for one in packages)
                and type(content) is str
                and (packages or content)
            ):
                yield Call(tuple(packages), content)
        except (ValueError, TypeError, AttributeError, EOFError, IndexError, KeyError, pickle.UnpicklingError):
            continue  # something else, which the container runs


class _Plain(pickle.Unpickler):
    """Loads what is made of Python's plain types alone."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it refers to {module}.{name}")


class _Reference(_Plain):
    """Recognises Covalent's function that calls pip, without loading it."""

    def find_class(self, module: str, name: str) -> Any:
        return _INSTALLER if (module, name) == _INSTALLER else super().find_class(module, name)


def _loaded(transportable: Any, largest: int, unpickler: type[pickle.Unpickler]) -> Any:
    text = transportable.get_serialized()
    if type(text) is not str or len(text) > largest:
        raise ValueError("it is too large")
    return unpickler(io.BytesIO(base64.b64decode(text))).load()
