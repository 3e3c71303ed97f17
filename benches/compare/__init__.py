"""This plugin and the public one side by side, against the same stand-in for AWS: `make bench`.

`python -m benches.compare --help` has single figures, a short run, and other interpreters.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "tests"))  # for `lab`, the stand-in
