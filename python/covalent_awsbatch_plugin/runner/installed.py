"""What a `DepsPip` asks for and the environment of the job has already."""

from __future__ import annotations

import os
from collections.abc import Sequence

from covalent_awsbatch_plugin.agreement.naming import INSTALLED
from covalent_awsbatch_plugin.agreement.requirements import fingerprint


def skip_what_is_there() -> None:
    """Has Covalent call pip for anything else only. Covalent has to be imported."""
    installed = os.environ.get(INSTALLED, "").split()
    if not installed:
        return
    from covalent._workflow import depspip

    call_pip = depspip.apply_pip_deps

    def apply_pip_deps(pkgs: Sequence[str] = (), requirements_content: str = "") -> None:
        if fingerprint(pkgs, requirements_content) not in installed:
            call_pip(pkgs, requirements_content)

    depspip.apply_pip_deps = apply_pip_deps
