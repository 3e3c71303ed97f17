"""What this process does for the environments of its tasks, for those who wait for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .cache import Packed
from .store import Watch


class Step(Watch):
    """A piece of the work.

    Attributes:
        text: What is done now, such as `packing 27 packages of this machine`.
    """

    def __init__(self) -> None:
        self.text = ""

    def packing(self, packages: int) -> None:
        """Notes that so many packages are being packed."""
        self.text = f"packing {packages} package{'s' * (packages != 1)} of this machine"

    def uploading(self, one: Packed, sent: int, size: int) -> None:  # noqa: ARG002
        """Notes how far an upload is."""
        self.text = f"uploading, {sent / 1e6:,.0f} of {size / 1e6:,.0f} MB"

    def resolving(self) -> None:
        """Notes that versions of a function's packages are looked for."""
        self.text = "looking for the versions of its packages"

    def making(self, packages: int) -> None:
        """Notes that so many packages are fetched and packed, unless they are here."""
        self.text = f"fetching and packing {packages} package{'s' * (packages != 1)}"

    def baking(self) -> None:
        """Notes that an image is looked for, or made and pushed."""
        self.text = "making the image, if it is not there"


_steps: list[Step] = []


@contextmanager
def step() -> Iterator[Step]:
    """A step that is shown while the `with` block runs, once it has a text."""
    made = Step()
    _steps.append(made)
    try:
        yield made
    finally:
        _steps.remove(made)


def now() -> str:
    """What is done now, empty for nothing. Threads work at the same time, so this may be two things."""
    return "; ".join(one.text for one in list(_steps) if one.text)
