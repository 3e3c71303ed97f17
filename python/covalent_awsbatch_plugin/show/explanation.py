"""Why electrons of a dispatch failed, of what Covalent's database and AWS Batch know."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from covalent_awsbatch_plugin._core import Job
from covalent_awsbatch_plugin.errors import AWSBatchError
from covalent_awsbatch_plugin.options.settings import Settings
from covalent_awsbatch_plugin.printable import one_line, printable
from covalent_awsbatch_plugin.server import orphans
from covalent_awsbatch_plugin.server.database import Electron, read_text
from covalent_awsbatch_plugin.task.connection import client

from . import named, source
from .earlier import EarlierJob, earlier, with_earlier
from .named import Named, Task

_TRACEBACK = re.compile(r"^(?:  \+ Exception Group )?Traceback \(most recent call last\):$", re.MULTILINE)
"""Where one begins: lines of a job's log that an error quotes are indented."""
_CONSOLE = "The job in AWS's console: "
_LOG = "The last lines of its log:"
_MOST_CHARS = 40
"""Characters of an argument that are shown."""
_TAIL_LINES = 5
"""Lines of what an electron printed that are shown where it left no sentence."""


@dataclass(frozen=True)
class Failure:
    """Why an electron failed. All texts are printable.

    Attributes:
        dispatch_id: Its dispatch.
        node_id: Its number there.
        name: How it is called in output, such as `train[3]`.
        arguments: Its arguments in short, such as `rate=0.5, table=load[0]`.
        sentence: What happened.
        traceback: The function's traceback with source lines; empty if it did not raise.
        job_id: Its job; empty if none is known.
        attempts: How many attempts the job made; None if AWS did not tell.
        console: The job's page in AWS's console; None where there is none.
        next: What to type next.
        earlier: The jobs before it, oldest first: a further one follows where an attempt is to have more memory or
            another queue, or where a node failed.
    """

    dispatch_id: str
    node_id: int
    name: str
    arguments: str
    sentence: str
    traceback: str = ""
    job_id: str = ""
    attempts: int | None = None
    console: str | None = None
    next: tuple[str, ...] = ()
    earlier: tuple[EarlierJob, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """Why a dispatch failed.

    Attributes:
        dispatch_id: Its id.
        status: Such as `FAILED`; empty if Covalent's database does not have it.
        failures: An entry for each electron that failed, in the order of the graph.
        error: What Covalent says of the dispatch itself, where no electron failed; may be empty.
        problems: What could not be found out, as sentences.
    """

    dispatch_id: str
    status: str
    failures: tuple[Failure, ...] = ()
    error: str = ""
    problems: tuple[str, ...] = ()


def explain(dispatch_id: str) -> Explanation:
    """Explain why electrons of a dispatch failed, where the Covalent server runs, as its user.

    Queue, account and region are those of the section `[executors.awsbatch]` of Covalent's configuration. The server
    need not run. It may be called where an event loop runs, as in a notebook.

    Args:
        dispatch_id: The dispatch, or the beginning of its id.

    Returns:
        What is known.

    Raises:
        LookupError: There is no such dispatch, or several begin so; the message names them.
        AWSBatchError: An option of the configuration cannot work, or neither Covalent's database nor AWS answers.
    """
    # Covalent comes first: it loads the executor as a plugin, and must find it whole.
    import covalent  # noqa: F401

    from covalent_awsbatch_plugin.options.checks import checked
    from covalent_awsbatch_plugin.options.configuration import resolved

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(explained, dispatch_id, checked(resolved({}), {})).result()


def explained(word: str, settings: Settings) -> Explanation:
    """The same for given options, in a thread without an event loop.

    Args:
        word: Id of a dispatch or a job, or its beginning.
        settings: Whose queue, account and region count.

    Raises:
        UnknownError: Nothing has that name, or several have.
        AWSBatchError: Neither Covalent's database nor AWS answers.
    """
    connection = client(settings, interactive=True)
    found = named.find(word, connection, settings.queues)
    tasks, problems = named.tasks_that_are_known(found, connection, settings.queues)
    failed = _that_failed(tasks, found)
    jobs: dict[str, Job] = {}
    try:
        jobs = orphans.described(connection, [task.job_id for task in failed if task.job_id])
        jobs = with_earlier(connection, jobs)
    except AWSBatchError as error:
        problems.append(error.message)
    failures = tuple(_failure(task, jobs, settings, found) for task in failed)
    root = found.family[0] if found.family else None
    told = printable(read_text(root.error)).strip() if root is not None and not failures else ""
    return Explanation(found.dispatch_id, root.status if root else "", failures, told, tuple(map(printable, problems)))


def _that_failed(tasks: Iterable[Task], found: Named) -> list[Task]:
    """The electrons that failed, but not those that did so because an electron of their sublattice did."""
    failed = [task for task in tasks if task.electron.status == "FAILED"]
    within = {task.electron.dispatch_id for task in failed}
    return [task for task in failed if task.electron.sub_dispatch not in within - {found.dispatch_id}]


def _failure(task: Task, jobs: Mapping[str, Job], settings: Settings, found: Named) -> Failure:
    electron, job = task.electron, jobs.get(task.job_id)
    # The embedded AWS has none.
    has_console = not settings.endpoint_url
    sentence, traceback = _parted(said(electron), task, job, settings)
    traceback = source.with_source(traceback, electron.text("function_string"), electron.files.get("function"))
    more = [f"covalent-awsbatch logs {electron.dispatch_id} {electron.node_id}"] if task.job_id else []
    again = f'ct.redispatch("{found.dispatch_id}", reuse_previous_results=True)()'
    return Failure(
        dispatch_id=electron.dispatch_id,
        node_id=electron.node_id,
        name=one_line(task.label),
        arguments=_arguments(electron),
        sentence=printable(sentence),
        traceback=printable(traceback),
        job_id=one_line(task.job_id),
        attempts=None if job is None else job.attempts,
        console=job.console if job is not None and has_console else None,
        next=tuple(map(one_line, [*more, *([again] if found.family else [])])),
        earlier=tuple(earlier(job, jobs, has_console=has_console)),
    )


def _parted(text: str, task: Task, job: Job | None, settings: Settings) -> tuple[str, str]:
    """The sentence and the traceback of what stands at the end of an electron's error stream."""
    # Of a job that did not survive a sentence stands there, which names the job; what was printed before is no reason.
    raised_at = max((match.start() for match in _TRACEBACK.finditer(text)), default=-1)
    named_job = re.finditer(rf"(?:Job|Node \d+ of job) {re.escape(task.job_id)} ", text)
    begin = max((match.start() for match in named_job), default=-1)
    if task.job_id and begin > raised_at:
        lines = text[begin:].split(_LOG, maxsplit=1)[0].strip().split("\n")
        return "\n".join(line for line in lines if not line.startswith(_CONSOLE)), ""
    if raised_at >= 0:
        traceback, message = raised(text)
        return f"{task.electron.name} raised {message or 'an exception'}", traceback
    if job is not None and job.status == "FAILED":
        return job.sentence((job.memory_mib or settings.memory_mib) / 1024, settings.time_limit), ""
    tail = [line for line in text.split("\n") if line.strip()][-_TAIL_LINES:]
    return "\n".join(tail) or "It left no word of why.", ""


def raised(said: str) -> tuple[str, str]:
    """The last traceback in a text, and what follows it: the exception. Both are empty where there is none.

    Args:
        said: What stands on an electron's error stream.
    """
    begin = max((match.start() for match in _TRACEBACK.finditer(said)), default=None)
    if begin is None:
        return "", ""
    lines = said[begin:].split("\n")
    end = next((number for number, line in enumerate(lines) if number and not line.startswith(" ")), len(lines))
    return "\n".join(lines[:end]), "\n".join(lines[end:]).strip()


def said(electron: Electron) -> str:
    """What stands on the error stream of an electron, and what Covalent says of its failure.

    Args:
        electron: The electron.
    """
    return "\n".join(filter(None, (electron.text("stderr").rstrip(), electron.text("error").rstrip())))


def _arguments(electron: Electron) -> str:
    return ", ".join(f"{one_line(name)}={_short(value)}" for name, value in electron.arguments)


def _short(value: str) -> str:
    shown = one_line(value)
    return shown if len(shown) <= _MOST_CHARS else f"{shown[: _MOST_CHARS - 1]}…"
