"""How Covalent loads the executor: in which order, and into which log it writes."""

from __future__ import annotations

import logging
import sys

from covalent_awsbatch_plugin.printable import PrintableRecords

_PACKAGE = __name__.partition(".")[0]


def join_covalents_log() -> None:
    """Have what this package says go to Covalent's own log, too, at the level of its option sdk.log_level."""
    from covalent._shared_files.logger import app_log

    log = logging.getLogger(_PACKAGE)
    log.setLevel(app_log.level)
    log.addHandler(PrintableRecords())
    for handler in app_log.handlers:
        log.addHandler(handler)


def _import_covalent_first(executor: str) -> None:
    """Have Covalent imported before the module of the executor, which it loads as a plugin and must find whole.

    Who is just importing that module gets what Covalent got; with COVALENT_PLUGIN_LOAD=false it loads nothing.
    """
    begun = sys.modules.pop(executor, None)
    import covalent  # noqa: F401

    if begun is not None:
        sys.modules.setdefault(executor, begun)


if "covalent" not in sys.modules:
    _import_covalent_first(f"{_PACKAGE}.awsbatch")
