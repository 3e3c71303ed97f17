"""Fuzzes a decoder in Python, with atheris: `fuzz.py TARGET [CORPUS …] [-LIBFUZZER_OPTION=VALUE …]`."""

from __future__ import annotations

import sys
import tracemalloc

import atheris

with atheris.instrument_imports(include=["covalent_awsbatch_plugin"]):
    import decoders

_NAME = b"TransportableObject"
_MADE = b"\x80\x04ccovalent._workflow.transport\n" + _NAME + b"\n)\x81"


def keep_class(data: bytes, longest: int, _seed: int) -> bytes:
    """Changes a pickle, and puts the class that is allowed back where that took it away.

    Most changes would else end as a refusal of another name.
    """
    changed: bytes = atheris.Mutate(data, longest)
    return changed if _NAME in changed else (_MADE + changed)[:longest]


def keep_offsets(data: bytes, longest: int, seed: int) -> bytes:
    """Changes header, text or content of an archive, and makes the offsets right; at times any byte.

    Most changes of a header's length would else end as an archive that breaks off.
    """
    text_at, data_at = (int.from_bytes(data[place : place + 8], "big") for place in (0, 8))
    if seed % 4 == 3 or not 16 <= text_at <= data_at <= len(data):
        return bytes(atheris.Mutate(data, longest))
    parts = [data[16:text_at], data[text_at:data_at], data[data_at:]]
    number = seed % 4
    parts[number] = bytes(atheris.Mutate(parts[number], max(1, longest - len(data) + len(parts[number]))))
    text_at = 16 + len(parts[0])
    return b"".join([text_at.to_bytes(8, "big"), (text_at + len(parts[1])).to_bytes(8, "big"), *parts])[:longest]


if __name__ == "__main__":
    target = sys.argv.pop(1)
    tracemalloc.start()
    mutators = {"archive": keep_offsets, "bare": keep_class}
    options = {"custom_mutator": mutators[target]} if target in mutators else {}
    atheris.Setup(sys.argv, decoders.TARGETS[target], **options)
    atheris.Fuzz()
