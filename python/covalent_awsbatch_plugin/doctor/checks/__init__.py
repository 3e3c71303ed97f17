"""The doctor's checks, in the order in which a task would meet what they look at.

Each asks AWS a question or two and makes of the answer what was found and, where something is wrong, how to mend it. A
question that is denied proves nothing: the doctor needs no right that the executor does not need.
"""

from __future__ import annotations

from .account import clock, credentials, region
from .base import Step
from .bucket import bucket
from .image import image
from .log_group import log_group
from .packages import packages
from .permissions import permissions
from .queue import queue
from .roles import execution_role, job_role

STEPS: tuple[tuple[str, Step], ...] = (
    ("credentials", credentials),
    ("region", region),
    ("clock", clock),
    ("bucket", bucket),
    ("queue", queue),
    ("execution role", execution_role),
    ("job role", job_role),
    ("log group", log_group),
    ("image", image),
    ("packages", packages),
    ("permissions", permissions),
)
"""Every check with the name that it goes by if it cannot be made."""

WITHOUT_CREDENTIALS = {"credentials", "region", "clock"}
"""What may be told even with credentials that do not work."""
