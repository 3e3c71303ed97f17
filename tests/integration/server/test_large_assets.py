"""Covalent's own store with large results in files: what is stored and loaded is the same, but not in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import io, json, pickle, signal, sys, tracemalloc
from pathlib import Path

from covalent_awsbatch_plugin import awsbatch  # imports Covalent in the right order
import cloudpickle
from covalent import TransportableObject
from covalent_dispatcher._object_store.local import local_store
from covalent_awsbatch_plugin.errors import ResultError
from covalent_awsbatch_plugin.server import large_assets, presence, shutdown
from covalent_awsbatch_plugin.server.stored_object import StoredObject
from covalent_awsbatch_plugin.task import archive

class Server:  # as uvicorn's, to which the handler of SIGINT belongs
    should_exit = False

    def handle_exit(self, *_):
        pass

class Blob:
    def __init__(self, size):
        self.content = bytes(size)

class Sized(io.BytesIO):
    size = property(lambda self: len(self.getvalue()))

def copied(value, name):
    first = local_store.store_file(place, f"{name}.tobj", value)
    found = local_store.load_file(place, f"{name}.tobj")
    return first, found, local_store.store_file(place, f"{name}-again.tobj", found)

place = sys.argv[1]
large, small = TransportableObject(Blob(12_000_000)), TransportableObject([1, "ä"])
large._object_string = "ä"
digest = local_store.store_file(place, "before.tobj", large)
assert not large_assets.are_in_files()
large_assets.keep_in_files()
assert not large_assets.are_in_files(), "no server"
signal.signal(signal.SIGINT, Server().handle_exit)
large_assets.keep_in_files()
assert large_assets.are_in_files()

first, found, again = copied(large, "large")
assert (first, again) == (digest, digest)
assert Path(place, "large-again.tobj").read_bytes() == large.serialize() == found.serialize()
assert type(found) is StoredObject and "_object" not in vars(found)
assert (found == large, large == found._plain(), found.object_string, found.header) == (True, True, "ä", large.header)
pickled = pickle.loads(cloudpickle.dumps([found]))[0]
assert (type(pickled), pickled) == (TransportableObject, large)
assert TransportableObject.from_dict(found.to_dict()) == large
assert len(found.get_deserialized().content) == 12_000_000

_, plain, _ = copied(small, "small")
assert (type(plain), plain) == (TransportableObject, small)

fetched = archive.load(Sized(large.serialize()), into_file=True)
assert fetched == large
assert len(list((presence.directory() / "results").iterdir())) == 1
tracemalloc.start()
assert local_store.store_file(place, "fetched.tobj", fetched) == digest
local_store.store_file(place, "copy.tobj", local_store.load_file(place, "fetched.tobj"))
peak = tracemalloc.get_traced_memory()[1]
del fetched
assert not list((presence.directory() / "results").iterdir())

results = presence.directory() / "results"
results.rmdir()
results.write_text("no directory")
try:
    archive.load(Sized(large.serialize()), into_file=True)
    raise AssertionError("it has no place")
except ResultError as error:
    assert str(results) in error.message

Path(place, "broken.tobj").write_bytes(b"\\xff" * 9_000_000)
try:
    local_store.load_file(place, "broken.tobj")
except Exception as error:
    print(json.dumps([peak, type(error).__name__]))
"""


def test_a_large_result_is_stored_and_loaded_without_being_in_memory(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    peak, broken = json.loads(done.stdout.splitlines()[-1])
    assert peak < 2_000_000
    assert broken.endswith("Error"), "as Covalent says it"
