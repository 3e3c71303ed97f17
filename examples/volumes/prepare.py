"""Puts three texts into a directory of this machine, in place of a file system that an account has."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

TEXTS = {
    "queue.txt": "a job waits in a queue and the queue waits for a machine",
    "spot.txt": "a spot machine is a machine that somebody else may want back",
    "end.txt": "a job that ends leaves the machine to a job that waits",
}


def prepare(_aws):
    """Makes it; the executor needs no more than it always does."""
    directory = Path(tempfile.mkdtemp(prefix="texts-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    for name, text in TEXTS.items():
        (directory / name).write_text(text, encoding="utf-8")
    # A job of the embedded AWS is a process of this machine: it finds the directory at the path that it has here.
    os.environ.update(CORPUS=str(directory), CORPUS_SOURCE=str(directory))
    return {}
