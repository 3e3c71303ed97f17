"""`covalent-awsbatch watch`: shows a dispatch as it goes on."""

from __future__ import annotations

from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.show.named import UnknownError
from covalent_awsbatch_plugin.show.wrapping import say

from .session import view, watched

FINE, FAILED, NOT_KNOWN = 0, 1, 2


def run_watch(word: str, settings: Settings) -> int:
    """Shows a dispatch until it has ended.

    Args:
        word: Id of a dispatch or a job, or its beginning.
        settings: Whose queue, account and region count.

    Returns:
        The exit code: 0 fine, 1 something could not be had, 2 there is no such dispatch.

    Raises:
        AWSBatchError: Neither Covalent's database nor AWS answers.
    """
    try:
        return FINE if watched(word, settings, view()) else FAILED
    except UnknownError as error:
        say(error)
        return NOT_KNOWN
    except KeyboardInterrupt:
        return FINE
