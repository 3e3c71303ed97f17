"""Everything below runs with a private home: Covalent creates its configuration, logs and database while imported."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

_HOME = tempfile.mkdtemp(prefix="covalent-awsbatch-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)

# What jobs need is packed once for all processes of a run: the first of them makes the place, and removes it.
if "TESTS_PACKED" not in os.environ:
    os.environ["TESTS_PACKED"] = tempfile.mkdtemp(prefix="covalent-awsbatch-tests-packed-")
    atexit.register(shutil.rmtree, os.environ["TESTS_PACKED"], ignore_errors=True)
(Path(_HOME) / ".cache").mkdir()
(Path(_HOME) / ".cache" / "covalent-awsbatch").symlink_to(os.environ["TESTS_PACKED"])

# What builds and installs keeps its caches where they are.
for _name, _place in {"CARGO_HOME": "~/.cargo", "RUSTUP_HOME": "~/.rustup", "PIP_CACHE_DIR": "~/.cache/pip"}.items():
    os.environ.setdefault(_name, os.path.expanduser(_place))  # noqa: PTH111

for _name in [name for name in os.environ if name.startswith(("COVALENT_", "XDG_", "AWS_"))]:
    del os.environ[_name]
# With several processes pytest says that each has 80 columns, and what commands print would be broken there.
os.environ.pop("COLUMNS", None)
os.environ["HOME"] = _HOME

# A shell's background job, such as a test run may be, inherits SIGINT ignored, and so would every program started here.
signal.signal(signal.SIGINT, signal.default_int_handler)
# The same under `nohup`: what is handled here, if only by doing nothing, is not ignored by programs started here.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

# A machine that has other things to do says nothing of a property.
hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("suite")

# --- what the core asks of AWS in all tests together ---

sys.path.append(str(Path(__file__).parent))

from support import calls  # noqa: E402  (after the home)
from support.rights import Rights  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def _recorded() -> Iterator[None]:
    with calls.recorded():
        yield


def pytest_configure(config: pytest.Config) -> None:
    """Has what the core asked for held against the table of rights."""
    config.pluginmanager.register(Rights())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, as most tests wait more than they compute; many more would not end sooner."""
    return min((os.cpu_count() or 1) + 1, 8)
