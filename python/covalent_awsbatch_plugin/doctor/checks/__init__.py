"""The doctor's checks, in the order in which a task depends on what they check.

Each makes a call or two and returns what it has found and, if something is wrong, how to fix it. A denied call means
"unknown": the doctor needs no right that the executor does not need.
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
from .server import server

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
    ("server", server),
)
"""Every check, with the name that is shown if it fails itself."""

WITHOUT_CREDENTIALS = {"server", "credentials", "region", "clock"}
"""Checks that need no valid credentials."""
