"""Asks who is calling, for each line of JSON on the standard input with the environment and clients that it gives.

A process of its own, since environment variables belong to the process; one for many cases, since Covalent takes
seconds to import.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
import traceback
from typing import Any

_records: list[str] = []


class _Keep(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the record as text, with the exception that may hang on it."""
        _records.append(self.format(record))


async def _ask(settings: dict[str, str]) -> dict[str, Any]:
    from covalent_awsbatch_plugin._core import Client

    start = time.monotonic()
    outcome: dict[str, Any] = {}
    try:
        outcome["identity"] = await Client(json.dumps(settings)).identity()
    except Exception as error:  # noqa: BLE001  (whatever it is, the test says whether it should be)
        outcome["error"] = type(error).__name__
        outcome["bases"] = [base.__name__ for base in type(error).__mro__]
        outcome["message"] = str(error)
        outcome["details"] = getattr(error, "details", {})
        outcome["traceback"] = traceback.format_exc()
    outcome["seconds"] = time.monotonic() - start
    return outcome


async def _ask_all(clients: list[dict[str, str]]) -> list[dict[str, Any]]:
    return await asyncio.gather(*map(_ask, clients))


def _case(environment: dict[str, str], clients: list[dict[str, str]]) -> list[dict[str, Any]]:
    os.environ.clear()
    os.environ.update(environment)
    _records.clear()
    outcomes = asyncio.run(_ask_all(clients))
    unchanged = dict(os.environ) == environment
    return [{**outcome, "environment_is_unchanged": unchanged, "records": _records} for outcome in outcomes]


def main() -> None:
    """Answers line by line until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what anything prints is no answer
    import covalent_awsbatch_plugin._core  # noqa: F401

    logging.root.setLevel(logging.DEBUG)
    logging.root.addHandler(_Keep())
    for line in sys.stdin:
        case = json.loads(line)
        print(json.dumps(_case(case["environment"], case["clients"])), file=answers, flush=True)


if __name__ == "__main__":
    main()
