"""Times as people read them. Imports nothing that takes time."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """A duration by its two largest units, as `2m 13s`.

    Args:
        seconds: How long; what is negative counts as nothing, since two clocks may disagree.
    """
    left = max(0, int(seconds))
    if left < 60:
        return f"{left}s"
    minutes, left = divmod(left, 60)
    if minutes < 60:
        return f"{minutes}m {left:02}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h {minutes:02}m"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours:02}h"
