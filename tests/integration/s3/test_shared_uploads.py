"""Objects that several machines may write at the same time, and those that one task has for itself."""

from __future__ import annotations

import pytest
from support.recorded_s3 import BUCKET, CREATE, KEY, S3, call
from support.servers import Answer

PART = 16 * 1024 * 1024


@pytest.mark.parametrize("shared", [True, False])
def test_an_upload_whose_id_was_lost_is_aborted_unless_it_may_be_another_machines(s3: S3, shared: bool) -> None:
    """S3 does not tell whose upload it is, and the other machine's would fail."""
    others = s3.s3.create_multipart_upload(Bucket=BUCKET, Key=KEY)["UploadId"]
    lost = iter([Answer(status=503)])
    s3.before = lambda request: next(lost, None) if call(request) == CREATE else None
    with s3.client.writer(BUCKET, KEY, shared=shared) as writer:
        writer.write(bytes(PART + 1))
    assert s3.is_there()
    assert [upload["UploadId"] for upload in s3.uploads()] == [others] * shared
    if shared:
        s3.s3.abort_multipart_upload(Bucket=BUCKET, Key=KEY, UploadId=others)
