"""The program; see the package."""

from __future__ import annotations

import sys

if __name__ == "__main__":  # workers of multiprocessing may import it
    from .launch import main

    sys.exit(main())
