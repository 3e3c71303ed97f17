"""What a failed task has to say: the traceback, and in plain words what a traceback does not say by itself."""

from __future__ import annotations

import platform
import signal
import subprocess
import traceback
from pathlib import Path

from covalent_awsbatch_plugin.printable import one_line, printable

TEXT_LIMIT = 100_000
"""Characters of a traceback that are kept: an exception's text may be as long as it likes."""

_COMMAND_OUTPUT_CHARACTERS = 4000
_NAME_LIMIT = 200
_WHY = {
    int(signal.SIGKILL): ", most often for want of memory",
    int(signal.SIGSEGV): ": native code crashed; its stack is on the error stream",
    int(signal.SIGABRT): ": native code gave up; its stack is on the error stream",
}
# What 0.42.0 required, and with that what an image of its family has.
_FORMERLY_INSTALLED = ("boto3", "botocore", "covalent_aws_plugins")
_COLLECTORS = ("_auto_list_node", "_auto_dict_node")  # functions in Covalent's `Electron.connect_node_with_others`
_HERE = Path(__file__).parent


class Terminated(BaseException):
    """SIGTERM arrived: the job was terminated, or has reached its time limit, or its host is going away."""

    __module__ = "builtins"  # a traceback then shows the bare name

    def __init__(self) -> None:
        super().__init__(
            "the container got SIGTERM while the function was running: the job was terminated or cancelled, reached "
            "its time limit, or lost its host"
        )


def explain(error: BaseException, stage: str, sender: dict[str, str]) -> str:
    """The traceback from the function's first frame on, and hints.

    Args:
        error: What went wrong.
        stage: When: `opening` or `loading` the task, `running` it, `returning` its result.
        sender: Versions of `python`, `cloudpickle` and `covalent` that packaged the task, as far as they are known.
    """
    return "\n".join([_trace(error), *(printable(hint, TEXT_LIMIT) for hint in _hints(error, stage, sender))])


def name_of(error: BaseException) -> str:
    """Class name of an exception.

    Args:
        error: The exception.
    """
    return one_line(type(error).__name__, _NAME_LIMIT)


def ended_silently(status: int, sender: dict[str, str]) -> str:
    """What can be said of a function's process that ended without an answer.

    Args:
        status: Its exit code, negative for a signal.
        sender: As for `explain`.
    """
    if status < 0:
        names = {number.value: number.name for number in signal.Signals}
        said = f"The function's process was killed by {names.get(-status, f'signal {-status}')}{_WHY.get(-status, '')}."
    else:
        said = (
            f"The function's process ended with exit status {status} and without a result: by os._exit, by exit() in "
            "native code, or by becoming another program. A task succeeds only by returning its result."
        )
    return "\n".join([said, *_different(sender)])


def mismatch(sender: dict[str, str]) -> str:
    """What to say beforehand, for foreign bytecode can bring the interpreter down; empty if nothing is known to differ.

    Args:
        sender: As for `explain`.
    """
    different = _minor(sender.get("python", "")) not in ("", _minor(platform.python_version()))
    return "".join(_different(sender)) if different else ""


def versions() -> dict[str, str]:
    """Versions of what runs the task; empty for what is not there."""
    return {
        "python": platform.python_version(),
        "cloudpickle": _version("cloudpickle"),
        "covalent": _version("covalent"),
    }


def _version(distribution: str) -> str:
    import importlib.metadata  # late: it takes its time

    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _trace(error: BaseException) -> str:
    """As Python prints it, from the first frame on that is not the runner's."""
    start = error.__traceback__
    while start is not None and Path(start.tb_frame.f_code.co_filename).parent == _HERE:
        start = start.tb_next
    return printable("".join(traceback.format_exception(type(error), error, start)).rstrip("\n"), TEXT_LIMIT)


def _hints(error: BaseException, stage: str, sender: dict[str, str]) -> list[str]:
    codes = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    of_covalent = {code.co_name for code in codes if code.co_filename.endswith("transportable_object.py")}
    hints: list[str] = []
    if isinstance(error, Terminated):
        return hints
    if isinstance(error, SystemExit):
        hints.append(f"The function called sys.exit({error.code!r}). A task succeeds only by returning its result.")
    if stage == "opening":
        if isinstance(error, FileNotFoundError):
            hints.append("The task's object is not in the bucket: was it deleted, or has it expired?")
    elif stage == "loading" or "get_deserialized" in of_covalent:
        hints += _different(sender)
    elif stage == "returning" or "__init__" in of_covalent:
        hints.append("What the function returned cannot be pickled, so it cannot leave the container.")
    if isinstance(error, ModuleNotFoundError) and error.name:
        hints.append(_missing(error))
    if isinstance(error, subprocess.CalledProcessError):
        hints += _command_output(error)
    return hints


def _missing(error: ModuleNotFoundError) -> str:
    said = f"The module {error.name!r} is not installed in this container"
    if _collects(error):
        return (
            f"{said}, and Covalent's own nodes :electron_list: and :electron_dict:, which collect arguments, get "
            "neither DepsPip nor DepsModule: install it in the image, or pass the values as arguments of their own."
        )
    if (error.name or "").partition(".")[0] in _FORMERLY_INSTALLED:
        return (
            f"{said}: it came along with version 0.42.0 of covalent-awsbatch-plugin and does not come with this one. "
            "Install its package in the image, or name it in the electron's DepsPip."
        )
    return (
        f"{said}: install its package in the image, or name it in the electron's DepsPip; a module of your own goes "
        "along with ct.DepsModule."
    )


def _collects(error: BaseException) -> bool:
    """Whether the task is one that Covalent makes of a list or dict among an electron's arguments."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_code.co_name == "wrapper_fn"]
    return any(getattr(frame.f_locals.get("fn"), "__name__", "") in _COLLECTORS for frame in frames)


def _command_output(error: subprocess.CalledProcessError) -> list[str]:
    """What a command had to say, such as the pip of a DepsPip, whose words Covalent captures and drops."""
    streams = [
        text.decode("utf-8", "replace") if isinstance(text, bytes) else text for text in (error.stdout, error.stderr)
    ]
    said = "\n".join(text.strip() for text in streams if text)
    return [f"The command said:\n{said[-_COMMAND_OUTPUT_CHARACTERS:]}"] if said else []


def _different(sender: dict[str, str]) -> list[str]:
    """The versions at both ends, unless they are known to be the same."""
    python, cloudpickle = platform.python_version(), _version("cloudpickle")
    here = f"Python {python} with cloudpickle {cloudpickle}"
    if "python" not in sender:
        return [f"The task is read by {here}; the Python that pickled it must have the same minor version."]
    if sender["python"] == python and sender.get("cloudpickle") in (None, cloudpickle):
        return []
    sentence = f"The task was pickled by Python {sender['python']}"
    if "cloudpickle" in sender:
        sentence += f" with cloudpickle {sender['cloudpickle']}"
    sentence += f" and is read by {here}"
    if _minor(sender["python"]) != _minor(python):
        sentence += f": use a container image with Python {_minor(sender['python'])}"
    return [f"{sentence}."]


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
