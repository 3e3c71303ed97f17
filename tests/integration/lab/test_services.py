"""The laboratory's stand-in answers as the services do, to boto3 and to plain HTTP."""

from __future__ import annotations

import base64
import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from botocore.exceptions import ClientError
from covalent._workflow.transport import TransportableObject
from lab import BUCKET, Bucket, Lab, results
from lab.plain import ask
from support.bench import decoded
from support.boto import code

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def running() -> Iterator[Lab]:
    with Lab(
        seed=7,
        buckets={
            BUCKET: Bucket(),
            "denied-bucket": Bucket(denied=True),
            "secret-bucket": Bucket(listable=False),
            "foreign-bucket": Bucket(owner="210987654321"),
        },
        images={"team/jobs": ["v1"]},
    ) as lab:
        yield lab


def test_an_object_goes_in_and_comes_out(lab: Lab, s3: Any) -> None:
    key, data = "a key/with ümlaut & <more>", Random(1).randbytes(100_000)
    s3.put_object(Bucket=BUCKET, Key=key, Body=data, Metadata={"format": "2"}, ServerSideEncryption="aws:kms")
    got = s3.get_object(Bucket=BUCKET, Key=key)
    assert got["Body"].read() == data
    assert got["Metadata"] == {"format": "2"}
    assert got["ServerSideEncryption"] == "aws:kms"
    assert got["ChecksumCRC32"] == base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
    part = s3.get_object(Bucket=BUCKET, Key=key, Range="bytes=10-19", IfMatch=got["ETag"])
    assert part["Body"].read() == data[10:20]
    assert part["ContentRange"] == "bytes 10-19/100000"
    assert s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == len(data)
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == [key]
    assert lab.objects()[key].headers["x-amz-server-side-encryption"] == "aws:kms"
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key}]})
    assert lab.objects() == {}


def test_a_file_goes_in_parts(lab: Lab, s3: Any, tmp_path: Path) -> None:
    data = Random(2).randbytes(20 * MIB)
    (tmp_path / "up").write_bytes(data)
    s3.upload_file(str(tmp_path / "up"), BUCKET, "large", ExtraArgs={"Metadata": {"a": "b"}})
    s3.download_file(BUCKET, "large", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == data
    assert lab.counts["UploadPart"] == 3
    assert lab.uploads() == []
    assert lab.objects()["large"].metadata == {"a": "b"}


def test_an_upload_that_is_not_finished_shows(lab: Lab, s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="large")["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(Bucket=BUCKET, Key="large", UploadId=upload, PartNumber=number, Body=b"x")["ETag"],
        }
        for number in (1, 2)
    ]
    assert [(found.key, found.parts) for found in lab.uploads()] == [("large", {1: 1, 2: 1})]
    assert [found["UploadId"] for found in s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]] == [upload]
    place = {"Bucket": BUCKET, "Key": "large", "UploadId": upload}
    with pytest.raises(ClientError) as small:
        s3.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
    assert code(small) == ("EntityTooSmall", 400)
    with pytest.raises(ClientError) as order:
        s3.complete_multipart_upload(**place, MultipartUpload={"Parts": parts[::-1]})
    assert code(order) == ("InvalidPartOrder", 400)
    s3.abort_multipart_upload(**place)
    with pytest.raises(ClientError) as gone:
        s3.upload_part(**place, PartNumber=1, Body=b"x")
    assert code(gone) == ("NoSuchUpload", 404)
    assert lab.uploads() == []


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"Key": "absent"}, ("NoSuchKey", 404)),
        ({"Key": "empty", "Range": "bytes=0-99"}, ("InvalidRange", 416)),
        ({"Key": "empty", "IfMatch": '"other"'}, ("PreconditionFailed", 412)),
        ({"Key": "empty", "ExpectedBucketOwner": "210987654321"}, ("AccessDenied", 403)),
        ({"Bucket": "foreign-bucket", "Key": "x", "ExpectedBucketOwner": "123456789012"}, ("AccessDenied", 403)),
        ({"Bucket": "foreign-bucket", "Key": "x", "ExpectedBucketOwner": "210987654321"}, ("NoSuchKey", 404)),
        ({"Bucket": "no-bucket", "Key": "empty"}, ("NoSuchBucket", 404)),
        ({"Bucket": "denied-bucket", "Key": "empty"}, ("AccessDenied", 403)),
        # Who may not list a bucket must not learn what is not in it.
        ({"Bucket": "secret-bucket", "Key": "absent"}, ("AccessDenied", 403)),
    ],
)
def test_s3_refuses(lab: Lab, s3: Any, request_: dict[str, str], expected: tuple[str, int]) -> None:
    lab.plant("empty", b"")
    with pytest.raises(ClientError) as error:
        s3.get_object(**{"Bucket": BUCKET, **request_})
    assert code(error) == expected
    assert error.value.response["ResponseMetadata"]["RequestId"]
    assert lab.calls("GetObject")[-1].code == expected[0]


def test_checksums_are_checked(lab: Lab) -> None:
    wrong = base64.b64encode(bytes(4)).decode()
    status, _, body = ask(lab, "PUT", f"/{BUCKET}/key", b"data", x_amz_checksum_crc32=wrong)
    assert (status, b"<Code>BadDigest</Code>" in body) == (400, True)
    trailer = b"4;chunk-signature=0\r\ndata\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n"
    right = base64.b64encode(zlib.crc32(b"data").to_bytes(4, "big"))
    chunked = {"content_encoding": "aws-chunked", "x_amz_decoded_content_length": "4"}
    assert ask(lab, "PUT", f"/{BUCKET}/key", trailer % wrong.encode(), **chunked)[0] == 400
    assert lab.objects() == {}
    assert ask(lab, "PUT", f"/{BUCKET}/key", trailer % right, **chunked)[0] == 200
    assert lab.object("key") == b"data"
    assert ask(lab, "PUT", f"/{BUCKET}/key", (trailer % right)[:9], **chunked)[0] == 400


def test_who_does_not_sign_is_refused(lab: Lab) -> None:
    assert ask(lab, "GET", f"/{BUCKET}/key", authorization="")[0] == 403


@pytest.mark.parametrize("value", [None, 1, "text ü", [1, {"a": b"\x00"}]])
def test_results_are_what_covalent_makes(value: Any) -> None:
    made = TransportableObject(value)
    container = results.Container({"RESULT_FILENAME": "result-1.pkl"}, "job", "id", 1)
    envelope = decoded(results.Envelope(value)(container)["result-1.pkl"].data)
    assert pickle.loads(results.Envelope(value, pickled=True)(container)["result-1.pkl"].data) == envelope
    legacy = pickle.loads(results.Legacy(value)(container)["result-1.pkl"].data)
    for found in (TransportableObject.deserialize(envelope["output"]), legacy):
        assert found.get_deserialized() == value
        assert found.attrs == made.attrs
        assert found.object_string == made.object_string


# --- others ---


@pytest.mark.parametrize(
    ("repository", "tag", "expected"),
    [
        ("team/jobs", "v1", None),
        ("team/jobs", "v2", "ImageNotFoundException"),
        ("other", "v1", "RepositoryNotFoundException"),
    ],
)
def test_images(lab: Lab, repository: str, tag: str, expected: str | None) -> None:
    def ask() -> Any:
        return lab.boto3("ecr").describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])

    if expected is None:
        assert ask()["imageDetails"][0]["imageTags"] == [tag]
        return
    with pytest.raises(ClientError) as error:
        ask()
    assert code(error) == (expected, 400)


def test_the_keys_of_a_role_expire(lab: Lab) -> None:
    sts = lab.boto3("sts")
    keys = sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/r", RoleSessionName="session")["Credentials"]
    signed = {"authorization": f"AWS4-HMAC-SHA256 Credential={keys['AccessKeyId']}/20250101/us-east-1/s3/aws4_request"}
    assert ask(lab, "GET", f"/{BUCKET}", **signed)[0] == 200
    lab.advance(3601)
    status, _, body = ask(lab, "GET", f"/{BUCKET}", **signed)
    assert (status, b"<Code>ExpiredToken</Code>" in body) == (400, True)
    assert sts.get_caller_identity()["Account"] == "123456789012"
