"""Counts the words of texts on a file system that all jobs share, each text in a job of its own."""

import os
import sys
from collections import Counter
from pathlib import Path

import covalent as ct

from covalent_awsbatch_plugin import AWSBatchExecutor

CORPUS = os.environ.get("CORPUS", "/mnt/texts")
"""Where the texts are in the container."""

SOURCE = os.environ.get("CORPUS_SOURCE", "/mnt/texts")
"""A directory of the machine, or an EFS file system (`fs-…`), of which `/texts` is mounted."""

volume = {"source": SOURCE, "read_only": True}
if SOURCE.startswith("fs-"):
    volume["root"] = "/texts"

executor = AWSBatchExecutor(vcpu=1, memory=1, time_limit=600, volumes={CORPUS: volume})


@ct.electron(executor=executor)
def count(name):
    """How often each word stands in a text."""
    text = (Path(CORPUS) / name).read_text(encoding="utf-8")
    print(f"{name}: {len(text.split())} words")
    return Counter(text.split())


@ct.electron(executor=executor)
def most_common(counts):
    """The words that are found most often in all texts."""
    return sum(counts, Counter()).most_common(2)


@ct.lattice
def words(names):
    """One job for each text, and one for the sum."""
    return most_common([count(name) for name in names])


if __name__ == "__main__":
    names = sys.argv[1:] or sorted(path.name for path in Path(CORPUS).iterdir())
    dispatch_id = ct.dispatch(words)(names)
    found = ct.get_result(dispatch_id, wait=True).result
    print("most common: " + ", ".join(f"{word} {times}" for word, times in found))
