"""`covalent-awsbatch environment`: makes what jobs fetch from the bucket, lists it, deletes what is old."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import time
from collections.abc import Collection

import click
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from covalent_awsbatch_plugin.environment import platforms
from covalent_awsbatch_plugin.environment.distributions import CannotPackError
from covalent_awsbatch_plugin.environment.image import CannotBakeError
from covalent_awsbatch_plugin.environment.stored import Stored
from covalent_awsbatch_plugin.errors import AWSBatchError, SettingsError, unanswered
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.printable import one_line, printable
from covalent_awsbatch_plugin.task.connection import client, identity

from .places import Bucket, Place, Repository
from .work import Work

_DAY = 24 * 3600
_WIDTH = 120
"""Columns where there is no terminal."""


def run_make(settings: Settings, *, anew: bool, as_json: bool) -> None:
    """Makes the environment of this machine and brings it where jobs fetch it: what a first task would wait for.

    Args:
        settings: Whose bucket, account and region count.
        anew: Make and upload all of it, whatever is there.
        as_json: Write JSON.

    Raises:
        AWSBatchError: It cannot be made, or AWS did not take it.
    """
    place = _place(settings)
    work = Work(Console(stderr=True))
    try:
        with work:
            made = place.make(work, anew=anew)
    except (CannotPackError, CannotBakeError, OSError) as error:
        raise SettingsError(f"The environment cannot be made here: {error}") from error
    if as_json:
        objects = [
            {
                "key": one.key,
                "size": one.file.stat().st_size,
                "packages": one.packages,
                "uploaded": one.key in work.uploaded,
            }
            for one in made.objects
        ]
        content = {"place": place.name, "python": made.python, "seconds": round(work.seconds, 1), "objects": objects}
        if made.image:
            content["image"] = made.image
        click.echo(json.dumps(content, indent=2))
        return
    if settings.source == "image":
        _say(f"Tasks do not use it: their image is {settings.image}, which has its own.")
    did = "There" if made.image else "Made" if work.uploaded else "There already"
    click.echo(printable(f"{did}: {made.summary}, Python {made.python}, in {place.name} ({work.seconds:.1f} s)."))


def run_list(settings: Settings, *, as_json: bool) -> None:
    """Shows the environments that are kept.

    Args:
        settings: Whose bucket, account and region count.
        as_json: Write JSON.

    Raises:
        AWSBatchError: AWS did not answer, or may not be asked.
    """
    place = _place(settings)
    with _waiting(place):
        found, is_complete = asyncio.run(place.stored())
    if as_json:
        click.echo(json.dumps({"place": place.name, "environments": [_to_dict(one) for one in found]}, indent=2))
        return
    if not found:
        click.echo(printable(f"Nothing in {place.name}."))
        return
    _show(found)
    click.echo(printable(f"{_amount(found)} in {place.name}"))
    if not is_complete:
        _say("Not all that tasks of this machine need is there. The first of them brings it, or: environment build")


def run_prune(settings: Settings, *, older_than: int, yes: bool, as_json: bool) -> None:
    """Deletes what has not been in use for some time, after showing it and asking.

    Args:
        settings: Whose bucket, account and region count.
        older_than: Days.
        yes: Don't ask.
        as_json: Write JSON.

    Raises:
        AWSBatchError: AWS did not answer, or did not delete something.
    """
    place = _place(settings)
    with _waiting(place):
        selected = asyncio.run(_unused(place, older_than))
    if not as_json and selected:
        _show(selected)
    if not (yes or not selected or click.confirm(f"Delete {_amount(selected)} from {place.name}?", err=True)):
        selected = []
    if selected:
        # A question may have stood for hours, and an object may have come into use meanwhile.
        keys = {one.key for one in selected}
        selected = [one for one in asyncio.run(_unused(place, older_than)) if one.key in keys]
        asyncio.run(place.delete(selected))
    if as_json:
        click.echo(json.dumps({"place": place.name, "deleted": [_to_dict(one) for one in selected]}, indent=2))
    elif selected:
        click.echo(f"Deleted {_amount(selected)}.")
    else:
        click.echo(printable(f"Nothing deleted. In {place.name}, what was in use within {older_than} days stays."))


async def _unused(place: Place, days: int) -> list[Stored]:
    found, _ = await place.stored()
    return [one for one in found if not one.in_use and time.time() - one.used_at > days * _DAY]


def _place(settings: Settings) -> Place:
    """Where environments are kept, with whose it is known: only the account's own is touched."""
    try:
        asyncio.run(_sign_in(settings))
    except AWSBatchError as error:
        if not error.details.get("endpoint"):
            raise
        raise unanswered(error, "which environments there are; none was made or deleted") from error
    if settings.source == "ecr":
        return Repository(client(settings), settings)
    return Bucket(client(settings), settings.s3_bucket_name, platforms.machine(settings))


async def _sign_in(settings: Settings) -> None:
    """Learns who is calling, from a connection that does not wait long, and for the one that transfers."""
    await client(settings, interactive=True).identity()
    await identity(settings)


def _waiting(place: Place) -> Status:
    """Shows on a terminal that something is under way."""
    return Console(stderr=True).status(Text(f"Listing {place.name}"))


def _show(objects: Collection[Stored]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    table = Table("content", "packages", "size", "Python", "last used", "used here")
    for column in (1, 2):
        table.columns[column].justify = "right"
    for one in objects:
        table.add_row(
            Text(_short(one.key)),
            "-" if one.packages is None else str(one.packages),
            _size(one.size),
            Text(one_line(one.python) or "-"),
            _when(one.used_at),
            Text("yes", "green") if one.in_use else "no",
        )
    console.print(table)


def _short(key: str) -> str:
    """As much of a name as tells it from others."""
    return re.sub(r"([0-9a-f]{12})[0-9a-f]{52}.*", r"\1", key.rpartition("/")[2])


def _when(at: int) -> str:
    days = max(0, int(time.time()) - at) // _DAY
    return "today" if not days else f"{days} day{'s' * (days > 1)} ago"


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _amount(objects: Collection[Stored]) -> str:
    count = "1 object" if len(objects) == 1 else f"{len(objects)} objects"
    return f"{count}, {_size(sum(one.size for one in objects))}"


def _to_dict(one: Stored) -> dict[str, object]:
    return dataclasses.asdict(one)


def _say(text: str) -> None:
    click.echo(printable(text), err=True)
