"""The bare result of the public image, read from S3."""

from __future__ import annotations

import contextlib
import os
import pickle
from typing import Any

import pytest
from covalent._workflow.transport import TransportableObject
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.bucket import PART, data_of
from support.recorded_s3 import BUCKET, KEY, S3

from covalent_awsbatch_plugin.errors import ResultError
from covalent_awsbatch_plugin.task.transfer import load_bare


class Evil:
    """Pickled, it is a call of `os.system`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


@pytest.mark.parametrize(
    ("content", "refused"),
    [
        (pickle.dumps(Evil()), "posix.system"),
        (pickle.dumps({"deep": Evil()}), "posix.system"),
        (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        (b"(ios\nsystem\n.", "os.system"),
        (b"cbuiltins\neval\n(S'1'\ntR.", "builtins.eval"),
        # The allowed class by a path that leads through it to other things.
        (b"\x80\x04\x8c\x1ccovalent._workflow.transport\x8c\x1fTransportableObject.deserialize\x93.", "deserialize"),
        (b"Pname\n.", "outside of the pickle"),
        (b"\x80\x04NQ.", "outside of the pickle"),
        (b"\x80\x02\x84\x00\xff\xff\x7f.", "outside of the pickle"),  # an extension code
    ],
)
def test_a_result_that_refers_to_code_is_refused(s3: S3, content: bytes, refused: str) -> None:
    s3.put(content)
    with pytest.raises(ResultError, match=f"refused.*{refused}"):
        load_bare(s3.client, BUCKET, KEY)


def whole() -> bytes:
    return pickle.dumps(TransportableObject([1, 2, 3]))


@pytest.mark.parametrize("end", [0, 1, 2, 20, 60, len(whole()) // 2, len(whole()) - 1])
def test_a_result_that_is_cut_off_is_corrupt(s3: S3, end: int) -> None:
    s3.put(whole()[:end])
    with pytest.raises(ResultError, match="corrupt") as caught:
        load_bare(s3.client, BUCKET, KEY)
    assert (caught.value.details["bucket"], caught.value.details["key"]) == (BUCKET, KEY)


@given(junk=st.binary(max_size=200))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_junk_is_corrupt_or_plain(s3: S3, junk: bytes) -> None:
    s3.put(junk)
    with contextlib.suppress(ResultError):
        load_bare(s3.client, BUCKET, KEY)


@pytest.mark.parametrize(
    "module", ["covalent", "covalent._workflow.transport", "covalent._workflow.transportable_object"]
)
def test_a_transportable_object_is_accepted(s3: S3, module: str) -> None:
    named = f"c{TransportableObject.__module__}\n".encode()
    content = pickle.dumps(TransportableObject({"ça": "va"}), protocol=2)
    assert content.startswith(pickle.PROTO + b"\x02" + named)
    s3.put(content.replace(named, f"c{module}\n".encode()))
    result = load_bare(s3.client, BUCKET, KEY)
    assert isinstance(result, TransportableObject)
    assert result.get_deserialized() == {"ça": "va"}


@pytest.mark.parametrize("value", [None, 0, "text", b"", {"a": 1}, {}, TransportableObject, [TransportableObject(1)]])
def test_what_is_no_result_is_corrupt(s3: S3, value: Any) -> None:
    s3.put(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
    with pytest.raises(ResultError, match=r"corrupt: .*TransportableObject"):
        load_bare(s3.client, BUCKET, KEY)


def test_a_large_result_is_accepted(s3: S3) -> None:
    value = TransportableObject(data_of(2 * PART))
    s3.put(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
    assert load_bare(s3.client, BUCKET, KEY) == value
