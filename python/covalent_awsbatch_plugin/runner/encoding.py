"""Encodes an envelope: a header, and the long parts.

The length of the header in four bytes, big-endian; the header, a JSON object with the lengths of the parts in `parts`;
and the parts. Decoding it executes nothing (`src/envelope/`).
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import Any

from covalent_awsbatch_plugin.agreement.naming import (
    ENVELOPE_FORMAT,
    FORMAT_METADATA,
    SIGNATURE_METADATA,
    USAGE_METADATA,
)

PARTS = ("stdout", "stderr", "traceback", "output")
"""The parts in their order: texts in UTF-8, and bytes. A part that is None is left out."""


def encode(fields: Mapping[str, Any]) -> bytes:
    """Encode an envelope.

    Args:
        fields: Plain values by name, and among them the parts.
    """
    parts = {name: _bytes(fields[name]) for name in PARTS}
    header = {name: value for name, value in fields.items() if name not in PARTS}
    header["parts"] = {name: None if part is None else len(part) for name, part in parts.items()}
    encoded = json.dumps(header).encode("ascii")
    return b"".join([len(encoded).to_bytes(4, "big"), encoded, *(part for part in parts.values() if part)])


def metadata(content: bytes, key: str, usage: Mapping[str, Any]) -> dict[str, str]:
    """User metadata of the envelope's object.

    Args:
        content: What `encode` returned.
        key: Hexadecimal digits of the key that the job was given; empty for none, and then nothing is signed.
        usage: What `USAGE_METADATA` says; who only wants that need not read the content.
    """
    described = {FORMAT_METADATA: ENVELOPE_FORMAT, USAGE_METADATA: json.dumps(usage)}
    if key:
        described[SIGNATURE_METADATA] = hmac.new(bytes.fromhex(key), content, "sha256").hexdigest()
    return described


def _bytes(part: str | bytes | None) -> bytes | None:
    return part.encode("utf-8", "backslashreplace") if isinstance(part, str) else part
