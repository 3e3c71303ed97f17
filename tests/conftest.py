"""Everything below runs with a private home: Covalent creates its configuration, logs and database while imported."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

_HOME = tempfile.mkdtemp(prefix="covalent-awsbatch-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)

for _name in [name for name in os.environ if name.startswith(("COVALENT_", "XDG_", "AWS_"))]:
    del os.environ[_name]
os.environ["HOME"] = _HOME
