"""What a Covalent server does for this executor when it starts."""

from __future__ import annotations

import logging

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin.options import checks, configuration
from covalent_awsbatch_plugin.server import startup

_log = logging.getLogger(__name__)


def resume_left() -> None:
    """Have a server that starts go on with what an earlier one left, if Covalent's configuration says so."""
    startup.resume_left(_is_wanted)


def begin_task() -> None:
    """Have a server recognise its own end later, and keep large results in files."""
    from covalent_awsbatch_plugin.server import large_assets, shutdown

    shutdown.is_server()
    large_assets.keep_in_files()


def _is_wanted() -> bool:
    try:
        return checks.checked(configuration.resolved({}), {}).resume_on_start
    except errors.AWSBatchError as error:
        _log.warning("Dispatches of an earlier server are not resumed: %s", error)
        return False
