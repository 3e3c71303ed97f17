"""Requests to the server about dispatches that an earlier server left, and its answers.

A request goes through Covalent's API for the end of a task, which calls the executor's `receive` inside the server, for
any node of this executor. It has no way to answer, so the answer is a file beside Covalent's cache, where server and
command are of the same user. Who may ask anything of Covalent's server may also ask this.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from . import api, ending, presence, records, resume, stops

ANSWER_SECONDS = 60.0
"""Seconds in which the server has to have answered a command."""

_ACTIONS = ("RESUME", "END", "LOOK")
_REQUEST = re.compile("[0-9a-f]{32}")
_SUFFIX = ".answer"
_RETENTION_SECONDS = 3600.0

_UNENDED = ["RUNNING", "STARTING"]

_one_at_a_time = asyncio.Lock()

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What the server says of a dispatch.

    Attributes:
        dispatch: Its id; that of the whole where a sublattice's was asked for.
        outcome: `resumed`; `failed`: it was ended as FAILED; `lost`: no process goes on with it, and nothing else was
            asked; `running`: a server goes on with it; `over`: it had ended; `refused`.
        detail: How far it is, or why it was refused, as a sentence.
    """

    dispatch: str
    outcome: Literal["resumed", "failed", "lost", "running", "over", "refused"]
    detail: str = ""


# --- in the server ---


async def serve(dispatch_id: str, node_ids: list[int], data: Any) -> bool:
    """Do what `receive` was called for, if that is something of this module. Never raises.

    Args:
        dispatch_id: The dispatch of the node by which the request came.
        node_ids: The node.
        data: What came with the request.

    Returns:
        Whether it is done, and `receive` has nothing to report.
    """
    asked = data if isinstance(data, Mapping) else {}
    try:
        if asked.get("status") == "CANCELLED":
            return await _end_lost_tasks(dispatch_id, node_ids)
        if asked.get("status") not in _ACTIONS:
            return False
    except Exception:  # noqa: BLE001
        _log.exception("Tasks %s of dispatch %s were not ended as those of an earlier server", node_ids, dispatch_id)
        return False
    wanted = str(asked.get("dispatch", dispatch_id))
    try:
        async with _one_at_a_time:
            answer = await _done(wanted, asked["status"])
    except Exception as error:  # noqa: BLE001
        _log.exception("Dispatch %s could not be resumed", wanted)
        answer = Answer(wanted, "refused", f"It failed in the server, whose log says more: {error!r}")
    _log.log(logging.INFO if answer.outcome != "refused" else logging.WARNING, "%s", answer)
    _write(str(asked.get("request", "")), answer)
    return True


async def _done(dispatch_id: str, action: str) -> Answer:
    if why := records.unsupported():
        return Answer(dispatch_id, "refused", why)
    dispatches = await records.family(dispatch_id)
    if not dispatches:
        return Answer(dispatch_id, "refused", f"This server knows no dispatch {dispatch_id}.")
    root = dispatches[0]
    if root.status == "COMPLETED" or (root.has_ended and stops.read(root.id) is None):
        return Answer(root.id, "over", f"It is {root.status}.")
    if root.status not in _UNENDED and not root.has_ended:
        return Answer(root.id, "refused", f"It is {root.status}: it has not begun.")
    if await resume.is_alive(dispatches):
        return Answer(root.id, "running", "A server goes on with it.")
    electrons = [node for dispatch in dispatches for node in dispatch.nodes.values()]
    detail = f"{sum(node.has_ended for node in electrons)} of {len(electrons)} electrons have ended."
    if action == "RESUME":
        await resume.take_up(dispatches)
        return Answer(root.id, "resumed", detail)
    if action == "END":
        stops.forget(root.id)  # what is ended now was not ended by the end of a server
        await ending.end(dispatches, f"{ending.REASON}, and it was ended by `covalent-awsbatch resume --end`.")
        return Answer(root.id, "failed", detail)
    return Answer(root.id, "lost", detail)


async def _end_lost_tasks(dispatch_id: str, node_ids: list[int]) -> bool:
    if records.unsupported():
        return False
    async with _one_at_a_time:
        dispatches = await records.family(dispatch_id)
        if not dispatches or await resume.is_alive(dispatches):
            return False
        stops.forget(dispatches[0].id)
        await ending.end_tasks(dispatches, dispatch_id, node_ids)
    return True


def _write(request: str, answer: Answer) -> None:
    if not _REQUEST.fullmatch(request):
        return
    try:
        directory = presence.directory()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in directory.glob(f"*{_SUFFIX}"):
            if time.time() - old.stat().st_mtime > _RETENTION_SECONDS:
                old.unlink(missing_ok=True)
        unfinished = directory / f"{request}.unfinished"
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(asdict(answer)), encoding="utf-8")
        unfinished.replace(directory / f"{request}{_SUFFIX}")
    except OSError as error:
        _log.warning("The answer to a command could not be written: %s", error)


# --- in a command ---


def unended() -> list[str]:
    """Ids of the dispatches that may have been left: all that Covalent believes to run, and those that a stop cut off.

    Sublattices' are among them.

    Raises:
        ServerUnreachableError: The server does not answer.
    """
    with api.answers_of_covalent():
        stopped = stops.dispatches()
        known = api.dispatches(dispatch_id=stopped) if stopped else {}
        return list({**api.dispatches(status=_UNENDED), **known})


def is_known(dispatch_id: str) -> bool:
    """Whether Covalent has a dispatch of that id.

    Args:
        dispatch_id: The id.

    Raises:
        ServerUnreachableError: The server does not answer.
    """
    with api.answers_of_covalent():
        return bool(api.dispatches(dispatch_id=[dispatch_id]))


def entry(dispatch_ids: Iterable[str]) -> tuple[str, int] | None:
    """A node by which the server can be asked: the first one whose executor is this package's.

    Args:
        dispatch_ids: Dispatches to look for it in.

    Returns:
        Dispatch and node, or None.

    Raises:
        ServerUnreachableError: The server does not answer.
    """
    with api.answers_of_covalent():
        for dispatch_id in dispatch_ids:
            nodes = {node["id"]: node["metadata"] for node in api.nodes(dispatch_id)}
            for number, about in nodes.items():
                # The server takes the executor of the node that has the number of the group.
                if nodes.get(about["task_group_id"], about)["executor"] == resume.OWN:
                    return dispatch_id, number
    return None


def resume_all(unended: Sequence[str]) -> Iterator[Answer]:
    """Resume all dispatches that were left.

    Args:
        unended: What `unended` returned.

    Raises:
        ServerUnreachableError: The server does not answer in time.
    """
    if by := entry(unended):
        for dispatch_id in unended:
            yield ask(by, dispatch_id, "RESUME")


def ask(by: tuple[str, int], dispatch_id: str, action: Literal["RESUME", "END", "LOOK"]) -> Answer:
    """Ask the server about a dispatch, and wait for its answer.

    Args:
        by: What `entry` returned.
        dispatch_id: The dispatch.
        action: Whether it is to be resumed, or ended as FAILED, or only looked at.

    Raises:
        ServerUnreachableError: The server does not answer in time.
    """
    request = uuid.uuid4().hex
    api.end_of_task(*by, {"status": action, "dispatch": dispatch_id, "request": request})
    path = presence.directory() / f"{request}{_SUFFIX}"
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            said = json.loads(path.read_text(encoding="utf-8"))
            path.unlink()
            return Answer(**said)
        time.sleep(0.05)
    raise api.ServerUnreachableError(
        f"the Covalent server at {api.url()} was asked and left no answer in {path.parent} for {ANSWER_SECONDS:g} s; "
        "run this where it runs, as its user, and look at its log: it needs this version of the plugin"
    )
