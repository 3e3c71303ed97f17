"""The laboratory that a file of tests has set up as `running`, and boto3's clients of it."""

from __future__ import annotations

from typing import Any

import pytest
from lab import Lab


@pytest.fixture
def lab(running: Lab) -> Lab:
    """As set up, with nothing in it and nothing counted."""
    running.reset()
    return running


@pytest.fixture(scope="module")
def s3(running: Lab) -> Any:
    return running.boto3("s3")


@pytest.fixture(scope="module")
def batch(running: Lab) -> Any:
    return running.boto3("batch")
