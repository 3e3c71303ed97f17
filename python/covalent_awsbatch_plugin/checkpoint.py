"""A directory for functions whose content outlives an attempt of the job.

With the executor's option `checkpoint=True` the runner stores it in the bucket, and a later attempt finds it as it was.
"""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

VARIABLE = "COVALENT_CHECKPOINT_DIR"
"""Variable that names the directory, for programs that a function starts."""


def directory() -> Path:
    """The directory: empty at first, and in a later attempt as an earlier one left it.

    It is stored while the function runs. So a file is to be written under a name that ends in `.tmp`, which is left
    out, and then renamed (`os.replace`). What an attempt wrote after it was last stored is lost with its machine; where
    the job is told to end, it is stored once more.

    Returns:
        Its path. Without the option, or outside a job, it is a temporary directory of the process, so that the function
        runs there, too.
    """
    given = os.environ.get(VARIABLE)
    return _made(given) if given else _temporary()


@cache
def _made(given: str) -> Path:
    path = Path(given)
    path.mkdir(parents=True, exist_ok=True)  # outside a job nobody else has
    return path


@cache
def _temporary() -> Path:
    return Path(tempfile.mkdtemp(prefix="checkpoint-"))
