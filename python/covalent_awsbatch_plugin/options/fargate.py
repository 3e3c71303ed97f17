"""The sizes that a job on Fargate can have: what goes with so many vCPUs.

Source: `resourceRequirements` in the API reference of AWS Batch's RegisterJobDefinition.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

_GIB = 1024


def _gib(first: int, last: int, step: int = 1) -> range:
    return range(first * _GIB, last * _GIB + 1, step * _GIB)


MEMORY: Mapping[float, Sequence[int]] = {
    0.25: (512, 1024, 2048),
    0.5: _gib(1, 4),
    1: _gib(2, 8),
    2: _gib(4, 16),
    4: _gib(8, 30),
    8: _gib(16, 60, 4),
    16: _gib(32, 120, 8),
    32: (61440, 122880, 249856),
}
"""The sizes of memory in MiB, ascending, by the vCPUs that they go with."""

DISK = range(21, 201)
"""The sizes of a disk in GiB beside Fargate's own of 20."""


def memory(vcpu: float, wanted: float) -> int:
    """The smallest memory that Fargate has for so many vCPUs and that is enough.

    Args:
        vcpu: How many vCPUs.
        wanted: GB of memory.

    Returns:
        MiB.

    Raises:
        ValueError: Fargate has no such number of vCPUs, or not as much memory for it.
    """
    sizes = MEMORY.get(vcpu)
    if sizes is None:
        raise ValueError(f"there is vcpu={', '.join(f'{count:g}' for count in MEMORY)}, and not {vcpu:g}")
    mib = math.ceil(wanted * _GIB)
    for size in sizes:
        if size >= mib:
            return size
    enough = [count for count, larger in MEMORY.items() if larger[-1] >= mib]
    advice = f"memory={wanted:g} needs vcpu={enough[0]:g} or more" if enough else f"{wanted:g} GB is more than it has"
    raise ValueError(f"vcpu={vcpu:g} has up to {sizes[-1] / _GIB:g} GB of memory: {advice}")
