"""Explains a failed task: its traceback, and hints that a traceback does not give by itself."""

from __future__ import annotations

import platform
import signal
import subprocess
import traceback
from pathlib import Path

from covalent_awsbatch_plugin.printable import one_line, printable

MAX_TEXT_CHARS = 100_000
"""Characters of a traceback that are kept: the text of an exception may be of any length."""

_MAX_COMMAND_OUTPUT_CHARS = 4000
_MAX_NAME_CHARS = 200
_SIGNAL_HINTS = {
    int(signal.SIGKILL): ", most often for want of memory",
    int(signal.SIGSEGV): ": native code crashed; its stack is on the error stream",
    int(signal.SIGABRT): ": native code gave up; its stack is on the error stream",
}
# Dependencies of 0.42.0, which its images therefore contain.
_FORMERLY_INSTALLED = ("boto3", "botocore", "covalent_aws_plugins")
_COLLECTORS = ("_auto_list_node", "_auto_dict_node")  # functions in Covalent's `Electron.connect_node_with_others`
_RUNNER_DIRECTORY = Path(__file__).parent


class Terminated(BaseException):
    """SIGTERM arrived: the job was terminated, or has reached its time limit, or its host is going away."""

    __module__ = "builtins"  # a traceback then shows the bare name

    def __init__(self) -> None:
        super().__init__(
            "the container got SIGTERM while the function was running: the job was terminated or cancelled, reached "
            "its time limit, or lost its host"
        )


def explain(error: BaseException, stage: str, sender: dict[str, str]) -> str:
    """The traceback from the function's first frame on, followed by hints.

    Args:
        error: What went wrong.
        stage: When: `opening` or `loading` the task, `running` it, `returning` its result.
        sender: Versions of `python`, `cloudpickle` and `covalent` that packaged the task, as far as they are known.
    """
    return "\n".join(
        [_user_traceback(error), *(printable(hint, MAX_TEXT_CHARS) for hint in _hints(error, stage, sender))]
    )


def name_of(error: BaseException) -> str:
    """Class name of an exception.

    Args:
        error: The exception.
    """
    return one_line(type(error).__name__, _MAX_NAME_CHARS)


def explain_missing_answer(status: int, sender: dict[str, str]) -> str:
    """Explain the end of a worker that sent no answer.

    Args:
        status: Its exit code, negative for a signal.
        sender: As for `explain`.
    """
    if status < 0:
        names = {number.value: number.name for number in signal.Signals}
        name, hint = names.get(-status, f"signal {-status}"), _SIGNAL_HINTS.get(-status, "")
        said = f"The function's process was killed by {name}{hint}."
    else:
        said = (
            f"The function's process ended with exit status {status} and without a result: by os._exit, by exit() in "
            "native code, or by becoming another program. A task succeeds only by returning its result."
        )
    return "\n".join([said, *_version_differences(sender)])


def version_warning(sender: dict[str, str]) -> str:
    """The warning to print before unpickling, since foreign bytecode can crash the interpreter; may be empty.

    Args:
        sender: As for `explain`.
    """
    different = _minor(sender.get("python", "")) not in ("", _minor(platform.python_version()))
    return "".join(_version_differences(sender)) if different else ""


def versions() -> dict[str, str]:
    """Versions of Python, cloudpickle and Covalent here; empty for a package that is not installed."""
    return {
        "python": platform.python_version(),
        "cloudpickle": _version("cloudpickle"),
        "covalent": _version("covalent"),
    }


def _version(distribution: str) -> str:
    import importlib.metadata  # slow, and only needed here

    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _user_traceback(error: BaseException) -> str:
    """The traceback as Python prints it, without the runner's own frames."""
    start = error.__traceback__
    while start is not None and Path(start.tb_frame.f_code.co_filename).parent == _RUNNER_DIRECTORY:
        start = start.tb_next
    return printable("".join(traceback.format_exception(type(error), error, start)).rstrip("\n"), MAX_TEXT_CHARS)


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
        hints += _version_differences(sender)
    elif stage == "returning" or "__init__" in of_covalent:
        hints.append("What the function returned cannot be pickled, so it cannot leave the container.")
    if isinstance(error, ModuleNotFoundError) and error.name:
        hints.append(_explain_missing_module(error))
    if isinstance(error, subprocess.CalledProcessError):
        hints += _command_output(error)
    return hints


def _explain_missing_module(error: ModuleNotFoundError) -> str:
    said = f"The module {error.name!r} is not installed in this container"
    if _is_collecting_task(error):
        return (
            f"{said}, and Covalent's own nodes :electron_list: and :electron_dict:, which collect arguments, get "
            "only the DepsPip of the electrons around them: name it there, install it in the image, or pass the values "
            "as arguments of their own."
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


def _is_collecting_task(error: BaseException) -> bool:
    """Whether the task is one that Covalent creates for a list or dict among an electron's arguments."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_code.co_name == "wrapper_fn"]
    return any(getattr(frame.f_locals.get("fn"), "__name__", "") in _COLLECTORS for frame in frames)


def _command_output(error: subprocess.CalledProcessError) -> list[str]:
    """The output of a failed command, such as DepsPip's pip, which Covalent captures and drops."""
    streams = [
        text.decode("utf-8", "replace") if isinstance(text, bytes) else text for text in (error.stdout, error.stderr)
    ]
    said = "\n".join(text.strip() for text in streams if text)
    return [f"The command said:\n{said[-_MAX_COMMAND_OUTPUT_CHARS:]}"] if said else []


def _version_differences(sender: dict[str, str]) -> list[str]:
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
