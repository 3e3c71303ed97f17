"""What a job leaves in the bucket, or an attacker there."""

from __future__ import annotations

import json
import pickle
from typing import Any

from covalent._workflow.transport import TransportableObject

Seeds = dict[str, bytes]

MIB = 1024 * 1024
CLASS = b"\x80\x04ccovalent._workflow.transport\nTransportableObject\n"


def parts(header: Any, content: bytes = b"") -> bytes:
    """An envelope of format 3."""
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(data).to_bytes(4, "big") + data + content


ENVELOPE = {
    "status": "succeeded",
    "output": b"\x00\xff TransportableObject",
    "stdout": "Gr\u00fc\u00dfe \U0001f40d\n",
    "stderr": "",
    "traceback": None,
    "exception": None,
    "python": "3.11.7",
    "cloudpickle": "3.1.2",
    "covalent": "0.240.0",
    "started_at": 1_700_000_000.5,
    "finished_at": 1_700_000_060.5,
    "peak_rss_bytes": 6_000_000_000,
    "job_id": "0b7c7a2e-0000-4000-8000-000000000001",
    "attempt": 2,
}


def small_parts() -> Seeds:
    """Envelopes of format 3."""
    header = {
        name: value for name, value in ENVELOPE.items() if name not in ("output", "stdout", "stderr", "traceback")
    }
    lengths = {"stdout": 3, "stderr": 3, "traceback": 4, "output": None}
    failed = {"status": "failed", "exception": "ValueError", "parts": lengths}
    return {
        "succeeded": parts(header | {"parts": {"stdout": 3, "stderr": 0, "traceback": None, "output": 4}}, b"output!"),
        "failed": parts(failed, b"\xed\xb3\xa9err\xff\xfe\n\x1b"),
        "nested": parts({"later": json.loads("[" * 100 + "]" * 100)}),
        "huge": parts({"parts": {"stdout": 2**64 - 1}}),
        "long": b"\xff\xff\xff\xff{}",
    }


def small_pickled() -> Seeds:
    """Envelopes of format 2, and what Python's unpickler would run or blow up."""
    written = {f"protocol-{protocol}": pickle.dumps(ENVELOPE, protocol) for protocol in (0, 2, 3, 4, 5)}
    return written | {
        "global": b"cos\nsystem\n(S'true'\ntR.",
        "stack-global": b"\x80\x04\x8c\x06system\x94\x8c\x02os\x94h\x01h\x00\x93.",
        "outside": b"\x80\x04\x8c\x01aQ.",
        "laughs": b"]\x94" + b"]\x94(h\x00h\x01e" * 3 + b".",
        "repeated": b"\x80\x04}(X\x00\x01\x00\x00" + b"a" * 256 + b"\x94" + b"h\x00" * 330 + b"u.",
        "number": b"\x80\x04}\x8b\x00\x01\x00\x00" + b"\x09" * 256 + b"s.",
        "wrong-kind": b"\x80\x04}\x8c\x07attemptJ\xff\xff\xff\xffs.",
    }


def small_printed() -> Seeds:
    """What the public image's program leaves beside its result."""
    return {
        "succeeded": json.dumps(["out\n", "", None, None]).encode(),
        "failed": json.dumps(["", "warning", "Traceback …\nValueError: caf\udce9", "ValueError"]).encode(),
        "numbers": b"[[104, 105], [255], null, null]",
        "nested": b"[" * 200 + b"]" * 200,
        "cut": b'["only", "three", null]',
    }


def small_archive() -> Seeds:
    """Results that our runner leaves."""

    def archive(header: bytes, text: bytes, content: bytes) -> bytes:
        start = 16 + len(header)
        return start.to_bytes(8, "big") + (start + len(text)).to_bytes(8, "big") + header + text + content

    return {
        "number": TransportableObject(7).serialize(),
        "function": TransportableObject(len).serialize(),
        "text": TransportableObject("l\u00e4ngst \U0001f40d").serialize(),
        "nested": archive(b"[" * 300 + b"]" * 300, b"", b"gA=="),
        "deep": archive(b'{"attrs": {"doc": {}}}', b"", b"gA=="),
        "digits": archive(b'{"py_version": ' + b"9" * 300 + b"}", b"7", b"gA=="),
        "surrogate": archive(rb'{"py_version": "\ud800", "cloudpickle_version": NaN}', b"7", b"gA=="),
        "no-text": archive(b"{}", b"\xed\xa0\x80", b"gA=="),
        "offsets": (2**63).to_bytes(8, "big") * 2 + b"{}",
    }


def small_bare() -> Seeds:
    """Results that the public image's program leaves, and others that name the class that is allowed."""
    made = CLASS + b")\x81"
    within = b"}\x8c\x05attrs}\x8c\x01a" + CLASS[2:] + b"ss"
    written = {f"protocol-{protocol}": pickle.dumps(TransportableObject(7), protocol) for protocol in (2, 3, 4, 5)}
    return written | {
        "method": CLASS + b"N}\x8c\x0bdeserialize" + CLASS[2:] + b"s\x86b0K\x07.",
        "call": CLASS + b"]" + b"\x94]h\x00ah\x00a" * 5 + b"\x85R.",
        "class": CLASS + b".",
        "no-state": made + b".",
        "wrong-kind": made + b"}\x8c\x07_objectK\x01sb.",
        "twice": made + b"}\x94\x8c\x07_object\x8c\x04gA==sb\x8c\x01ah\x00sb.",
        "class-within": made + b"}(\x8c\x07_object\x8c\x02gA\x8c\x07_header" + within + b"ub.",
        "another": b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
        "old": made + b"}(\x8c\x07_object\x8c\x04gA==\x8c\x0epython_version\x8c\x033.8ub.",
    }


def small_items() -> Seeds:
    """Lists, tuples and dicts, and pickles that would take long or for ever if they were run."""
    whole: dict[str, Any] = {"a": [1]}
    whole["whole"] = [whole, whole["a"]]
    text = "again"
    values = {"list": [1, "b", b"c", None, [2.5]], "dict": whole, "tuple": (text, text, (json.dumps, len), {3})}
    written = {
        f"{name}-{protocol}": pickle.dumps(value, protocol) for name, value in values.items() for protocol in (3, 4, 5)
    }
    return written | {
        "laughs": b"\x80\x04]\x94" + b"".join(b"]\x94(h%ch%ce" % (n, n) for n in range(9)) + b".",
        "itself": b"\x80\x04)\x94h\x00\x85q\x00h\x00\x85.",
        "elsewhere": b"\x80\x04]\x94h\x00K\x01ah\x00\x86.",
        "popped": b"\x80\x04]\x94K\x01h\x00b0K\x020\x85.",
        "old": pickle.dumps([b"a"], 2),
        "outside": b"\x80\x04K\x01Q\x85.",
    }


def large_parts() -> Seeds:
    """The same with a size."""
    text = b"\xff" * MIB
    header = {"parts": {"stdout": MIB, "stderr": MIB, "traceback": None, "output": None}}
    return {"texts": parts(header, text * 2), "header": parts(b'{"status": "' + b"\x7f" * 60_000 + b'"}')}


def large_pickled() -> Seeds:
    """One text twice, a number, a name."""
    size = MIB.to_bytes(4, "little")
    return {
        "repeated": b"\x80\x04}(X" + size + b"a" * MIB + b"\x94" + b"h\x00" * 330 + b"u.",
        "number": b"\x80\x04}\x8b" + size + b"\x09" * MIB + b"s.",
        "bytes": b"\x80\x04B" + size + b"\xff" * MIB + b"s.",
        "stdout": b"\x80\x04}\x8c\x06stdoutX" + size + b"\xff" * MIB + b"s.",
        "name": b"c" + b"\x1b" * MIB + b"\nx\n.",
    }


def large_printed() -> Seeds:
    """Lists in lists, and texts that are none."""
    return {
        "nested": b"[" * MIB,
        "texts": b'["' + rb"\udce9" * (MIB // 6) + b'", "' + b"\xff" * MIB + b'", null, null]',
        "numbers": b"[[" + b"255," * (MIB // 4) + b"1], [], null, null]",
    }


def large_items() -> Seeds:
    """Many instructions, and large texts."""
    return {
        "numbers": pickle.dumps(([1], list(range(19_000))), 4),
        "texts": pickle.dumps([f"text {number}" for number in range(9_000)], 4),
        "nested": b"\x80\x04" + b"]" * 9_000 + b"a" * 8_999 + b".",
        "kept": b"\x80\x04]" + b"\x94" * 19_000 + b".",
        "text": pickle.dumps(("long " * (MIB // 5), b"\xff" * MIB), 4),
    }


def large_archive() -> Seeds:
    """Large texts, and a header of many parts."""
    header = b'{"attrs": {' + b",".join(b'"%d":0' % number for number in range(100_000)) + b"}}"
    start = 16 + len(header)
    return {
        "text": TransportableObject("long " * (MIB // 5)).serialize(),
        "header": start.to_bytes(8, "big") * 2 + header + b"gA==",
        "nested": (16 + MIB).to_bytes(8, "big") * 2 + b"[" * MIB + b"gA==",
        "digits": (16 + MIB).to_bytes(8, "big") * 2 + b"9" * MIB + b"gA==",
    }


def large_bare() -> Seeds:
    """The same as a pickle."""
    size = MIB.to_bytes(4, "little")
    return {
        "object": pickle.dumps(TransportableObject("long " * (MIB // 5)), 4),
        "repeated": CLASS + b")\x81}(X" + size + b"a" * MIB + b"\x94" + b"h\x00" * 330 + b"ub.",
        "number": CLASS + b")\x81}\x8b" + size + b"\x09" * MIB + b"sb.",
        "name": b"c" + b"\x1b" * MIB + b"\nTransportableObject\n.",
    }
