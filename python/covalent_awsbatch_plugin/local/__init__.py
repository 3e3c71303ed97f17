"""An embedded AWS for trying and testing: no account, no Docker.

`LocalAWS` runs moto's server in this process, with bucket, roles, log group, compute environment and queue under the
executor's default names. Moto answers the API; jobs really run, as child processes with a virtual environment each and
with the caller's rights. So it answers only what is signed with the key of the run, and no page in a browser.

    with LocalAWS() as aws:
        executor = AWSBatchExecutor(**aws.options)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .aws import LocalAWS
    from .summary import JobSummary

__all__ = ["JobSummary", "LocalAWS"]


def __getattr__(name: str) -> Any:
    """Loads the embedded AWS when it is asked for, since moto takes about a second to import.

    Raises:
        ImportError: The extra `local` is not installed.
        AttributeError: There is no such name here.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from .aws import LocalAWS
        from .summary import JobSummary
    except ImportError as error:
        if (error.name or "").startswith(__package__ or __name__):
            raise
        raise ImportError(
            "the embedded AWS needs moto's server, which is not installed: "
            f"pip install 'covalent-awsbatch-plugin[local]' ({error})",
            name=error.name,
        ) from error
    return {"JobSummary": JobSummary, "LocalAWS": LocalAWS}[name]
