"""What the tests of the embedded AWS share: one of it, whose jobs run what a test gives them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.local_account import LocalAccount

from covalent_awsbatch_plugin.local import LocalAWS


@pytest.fixture(scope="module")
def account() -> Iterator[LocalAccount]:
    program = ["{python}", "-c", "import sys; print('the program', sys.prefix != sys.base_prefix)"]
    with LocalAWS(max_vcpus=4, program=program, stop_grace=5.0, allow_short_timeouts=True) as aws:
        yield LocalAccount(aws)
