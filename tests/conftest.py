"""Everything below runs with a private home: Covalent creates its configuration, logs and database while imported."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile

_HOME = tempfile.mkdtemp(prefix="covalent-awsbatch-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)

# What builds and installs keeps its caches where they are.
for _name, _place in {"CARGO_HOME": "~/.cargo", "RUSTUP_HOME": "~/.rustup", "PIP_CACHE_DIR": "~/.cache/pip"}.items():
    os.environ.setdefault(_name, os.path.expanduser(_place))  # noqa: PTH111

for _name in [name for name in os.environ if name.startswith(("COVALENT_", "XDG_", "AWS_"))]:
    del os.environ[_name]
os.environ["HOME"] = _HOME

# A shell's background job, such as a test run may be, inherits SIGINT ignored, and so would every program started here.
signal.signal(signal.SIGINT, signal.default_int_handler)
