"""What is said to somebody who passes a keyword that is no option."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

_USUAL = {
    "bucket": "s3_bucket_name",
    "bucket_name": "s3_bucket_name",
    "cpu": "vcpu",
    "cpus": "vcpu",
    "env": "environment",
    "gpu": "num_gpus",
    "gpus": "num_gpus",
    "image": "container_image_uri",
    "job_queue": "batch_queue",
    "log_group": "batch_job_log_group_name",
    "queue": "batch_queue",
    "retries": "retry_attempts",
    "timeout": "time_limit",
}
"""What other schedulers and executors call an option, by their names."""

_FORMER = {"base_uri": "container_image_uri"}
"""Options of versions before 0.42.0 that people still find described."""


def refusal(names: Sequence[str], options: Sequence[str]) -> str:
    """One message about all of them, with what was probably meant.

    Args:
        names: The keywords, at least one.
        options: The names of all options.
    """
    hints = [(name, _hint(name, options)) for name in names]
    if len(hints) == 1:
        name, hint = hints[0]
        hint = hint or f"the options are {', '.join(options)}."
        return f"AWSBatchExecutor has no option {name!r}: {hint}"
    lines = [f"- {name!r}: {hint}" if hint else f"- {name!r}" for name, hint in hints]
    if not all(hint for _, hint in hints):
        lines.append(f"The options are {', '.join(options)}.")
    return "\n".join(["AWSBatchExecutor has no options of these names:", *lines])


def _hint(name: str, options: Sequence[str]) -> str:
    if name in _FORMER:
        return f"now {_FORMER[name]!r}"
    close = [_USUAL[name]] if name in _USUAL else difflib.get_close_matches(name, options, n=1)
    return f"did you mean {close[0]!r}?" if close else ""
