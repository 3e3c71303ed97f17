"""Packages, and parts of packages, that few functions use: a job fetches them when something imports one.

It does so, too, when something asks which packages there are.

`install` runs at the start of each Python of a job's environment, by the `.pth` file that `pack` adds. So this imports
little, and nothing of this package before it is needed.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from importlib.metadata import Distribution, DistributionFinder
    from types import ModuleType

DESCRIPTION = "on-demand.json"
"""What can be fetched, in the environment's directory: a list of objects, each with the arguments of `Finder`."""

FOLDER = "more-packages"
"""Begins the names of the folders where that is unpacked, beside `site-packages`, which goes first."""


def install() -> None:
    """Adds each folder to `sys.path`, before the packages of the image, and a finder that fills it, if need be."""
    import json

    site = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120
    with open(os.path.join(sys.prefix, DESCRIPTION), encoding="utf-8") as file:  # noqa: PTH118, PTH123
        descriptions = json.load(file)
    place = sys.path.index(site) + 1
    for number, one in enumerate(descriptions):
        folder = os.path.join(os.path.dirname(site), one["folder"])  # noqa: PTH118, PTH120
        if folder in sys.path:  # Python reads a `.pth` file twice where the base's packages are visible
            continue
        sys.path.insert(place + number, folder)
        # First, since the image's own packages come after the folder.
        sys.meta_path.insert(0, Finder(**{**one, "folder": folder}))


class Finder:
    """A finder on `sys.meta_path` that fetches the packages when one of them is looked for.

    Others find them then, but for the parts of a package that stands elsewhere.

    Args:
        folder: Where they belong.
        key: Key of the object that has them; its name holds the hash of its content.
        modules: Names that can be imported then.
        parts: Names with dots that can be, of packages that stand elsewhere: each with the folder that is beside the
            package if it is of the same version.
        distributions: Their packages, by normalised names.
    """

    def __init__(
        self,
        folder: str,
        key: str,
        modules: Iterable[str] = (),
        parts: Mapping[str, str] | None = None,
        distributions: Iterable[str] = (),
    ) -> None:
        self._folder = folder
        self._key = key
        self._modules = frozenset(modules)
        self._parts = parts or {}
        self._distributions = frozenset(distributions)
        self._fetched = os.path.exists(folder)  # noqa: PTH110

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if path is not None:
            return self._find_part(name, path, target) if name in self._parts else None
        if self._fetched or name not in self._modules or self._folder not in sys.path:
            return None
        # Another version may have been installed since, or a directory with that name put first.
        if PathFinder.find_spec(name, sys.path[: sys.path.index(self._folder)], target) is None:
            self._fetch()
        return None

    def _find_part(self, name: str, path: Sequence[str], target: ModuleType | None) -> ModuleSpec | None:
        info = self._parts[name]
        is_same = any(os.path.exists(os.path.join(os.path.dirname(place), info)) for place in path)  # noqa: PTH110, PTH118, PTH120
        if not is_same or PathFinder.find_spec(name, path, target) is not None:
            return None
        if not self._fetched:
            self._fetch()
        return PathFinder.find_spec(name, [os.path.join(self._folder, *name.split(".")[:-1])], target)  # noqa: PTH118

    def find_distributions(self, context: DistributionFinder.Context) -> Iterable[Distribution]:
        """See `importlib.metadata.DistributionFinder`. Whoever asks for all packages gets these, too."""
        import re
        from importlib.metadata import DistributionFinder, MetadataPathFinder

        name = re.sub("[-_.]+", "-", context.name or "").lower()
        path = [str(place) for place in context.path]
        if self._fetched or self._folder not in path or not self._distributions:
            return ()
        if name and name not in self._distributions:
            return ()
        before = DistributionFinder.Context(name=context.name, path=path[: path.index(self._folder)])
        if not name or not any(MetadataPathFinder.find_distributions(before)):
            self._fetch()
        return ()

    def _fetch(self) -> None:
        import fcntl
        import importlib
        import tempfile

        from .bootstrap import unpack

        try:
            # Threads and processes of a function wait for the first one. A lock of a file does not outlive a process.
            with open(f"{self._folder}.lock", "w") as lock:  # noqa: PTH123
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not os.path.exists(self._folder):  # noqa: PTH110
                    with tempfile.TemporaryDirectory(dir=os.path.dirname(self._folder)) as place:  # noqa: PTH120
                        unpack(self._key, place, place)
                        inside = os.path.relpath(self._folder, sys.prefix)
                        os.rename(os.path.join(place, "opt/job", inside), self._folder)  # noqa: PTH104, PTH118
        except (OSError, SystemExit) as error:
            raise ImportError(f"the packages of {self._key} are not here: {error}") from None
        importlib.invalidate_caches()
        self._fetched = True
