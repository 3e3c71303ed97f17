"""`covalent-awsbatch resume`: has the Covalent server go on with dispatches that an earlier one left, or end them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import click

from covalent_awsbatch_plugin.printable import printable
from covalent_awsbatch_plugin.server import recovery
from covalent_awsbatch_plugin.server.api import ServerUnreachableError
from covalent_awsbatch_plugin.server.database import DatabaseError
from covalent_awsbatch_plugin.server.recovery import Answer

from . import named
from .named import UnknownError
from .problem import Problem

FINE, FAILED, LEFT = 0, 1, 2

_SAID = {
    "resumed": "goes on",
    "failed": "was ended as FAILED",
    "lost": "is RUNNING, and no server goes on with it",
    "running": "was left as it is",
    "over": "is over",
    "refused": "could not be resumed",
}


@dataclass(frozen=True)
class Flags:
    """What the command was asked for.

    Attributes:
        everything: All that are lost.
        end: End them as FAILED in place of resuming them.
        yes: Don't ask before.
        as_json: Write JSON.
    """

    everything: bool = False
    end: bool = False
    yes: bool = False
    as_json: bool = False


def run_resume(dispatch_ids: Sequence[str], flags: Flags) -> int:
    """Has the server of the configuration go on with dispatches, or end them, or shows which are lost.

    Args:
        dispatch_ids: The dispatches; the beginning of an id is enough.
        flags: What to do.

    Returns:
        The exit code: 0 fine, 1 something could not be done, 2 some are lost, and nothing was asked for.

    Raises:
        Problem: The server does not answer.
    """
    try:
        return _run(dispatch_ids, flags)
    except ServerUnreachableError as error:
        raise Problem(
            printable(f"{error}. If it does not run, start it with `covalent start`, then repeat this command.")
        ) from error


def _run(dispatch_ids: Sequence[str], flags: Flags) -> int:
    unended = recovery.unended()
    given, unknown = _whole(dispatch_ids)
    wanted = given if dispatch_ids else unended
    by = recovery.entry([*wanted, *unended])
    if by is None:
        none = "It has no electron of this executor, by which the server could be asked."
        return _finish([*unknown, *(Answer(one, "refused", none) for one in given)], flags)
    looked_at = [*unknown, *_asked(by, wanted, "LOOK")]
    lost = [answer.dispatch for answer in looked_at if answer.outcome == "lost"]
    others = [answer for answer in looked_at if answer.outcome != "lost"]
    if not dispatch_ids:
        others = [answer for answer in others if answer.outcome == "refused"]
        if not flags.everything:
            return _finish([*others, *(answer for answer in looked_at if answer.outcome == "lost")], flags)
    if flags.end and lost and not flags.yes:
        for one in lost:
            click.echo(one, err=True)
        if not click.confirm("End them as FAILED, with their jobs?", err=True):
            lost = []
    return _finish([*others, *_asked(by, lost, "END" if flags.end else "RESUME")], flags)


def _whole(words: Sequence[str]) -> tuple[list[str], list[Answer]]:
    """The dispatches that are meant by their ids or the beginnings of them, and what is said of the others."""
    found: dict[str, None] = {}
    refused = []
    for word in dict.fromkeys(words):
        try:
            one = named.find(word, None, ()).dispatch_id
        except UnknownError as error:
            refused.append(Answer(word, "refused", str(error)))
            continue
        except DatabaseError:  # the server has it
            one = word
        if recovery.is_known(one):
            found[one] = None
        else:
            refused.append(Answer(one, "refused", "This server knows no such dispatch."))
    return list(found), refused


def _asked(by: tuple[str, int], wanted: Sequence[str], action: Literal["RESUME", "END", "LOOK"]) -> list[Answer]:
    """What the server says of each of them, once where it says it of the dispatch that they are part of."""
    answers = (recovery.ask(by, one, action) for one in wanted)
    return list({answer.dispatch: answer for answer in answers}.values())


def _finish(answers: list[Answer], flags: Flags) -> int:
    """Shows the answers, and returns the exit code."""
    if flags.as_json:
        click.echo(json.dumps([dataclasses.asdict(answer) for answer in answers], indent=2))
    elif not answers:
        click.echo("No dispatch is left of an earlier server.")
    for answer in () if flags.as_json else answers:
        click.echo(printable(f"{answer.dispatch} {_SAID[answer.outcome]}: {answer.detail}"))
    lost = [answer for answer in answers if answer.outcome == "lost"]
    if lost and not flags.as_json:
        click.echo("`covalent-awsbatch resume --all` goes on with them; with `--end` they end as FAILED.", err=True)
    if any(answer.outcome == "refused" for answer in answers):
        return FAILED
    return LEFT if lost else FINE
