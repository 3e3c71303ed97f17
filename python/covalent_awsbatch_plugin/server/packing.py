"""Says what to do where Covalent packs several nodes into one task, which this executor does not run."""

from __future__ import annotations

import sys
from typing import Any


class OneNodeATask:
    """Answers Covalent's question whether the executor takes tasks of several nodes; for the class's attribute.

    Covalent asks it of the class, about nodes that it keeps in `task_seq`. Its own error does not say what to do.
    """

    def __get__(self, _executor: Any, _class: type) -> bool:
        """False.

        Raises:
            RuntimeError: It asks about several nodes. Covalent shows the sentence on each of them.
        """
        if len(sys._getframe(1).f_locals.get("task_seq", ())) > 1:  # noqa: SLF001  (there is no other way to know)
            raise RuntimeError(
                "AWSBatchExecutor runs each node by itself, and Covalent has packed this one with others: call "
                'ct.set_config("sdk.task_packing", "false") where the lattice is built, and dispatch it again; '
                "lists, dicts and subscripts cost no job without packing either."
            )
        return False
