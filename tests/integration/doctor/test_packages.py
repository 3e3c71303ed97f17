"""Where the image has nothing but Python, the doctor looks at what this machine would pack."""

from __future__ import annotations

from typing import Any

import pytest
from support.doctor import ask

from covalent_awsbatch_plugin.environment import prepare


def test_the_packages_of_this_machine_are_counted(options: dict[str, Any]) -> None:
    report = ask({**options, "runtime": "bucket"})
    assert report.code == 0, report.checks
    assert report.found("packages").startswith(
        f"{len(prepare.distributions())} of this machine, for an image with Python 3."
    )


def test_a_package_that_is_missing_is_named_with_its_fix(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "_ROOTS", ("not-installed-anywhere",))
    report = ask({**options, "runtime": "bucket"})
    assert report.wrong() == {
        "packages": "not-installed-anywhere is needed and not installed here → install it with pip, or set `runtime` "
        'to "image"'
    }
