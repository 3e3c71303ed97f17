"""Which operation of which service a request asks for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from .messages import AwsError, Request

BATCH = {
    "/v1/canceljob": "CancelJob",
    "/v1/deregisterjobdefinition": "DeregisterJobDefinition",
    "/v1/describecomputeenvironments": "DescribeComputeEnvironments",
    "/v1/describejobdefinitions": "DescribeJobDefinitions",
    "/v1/describejobqueues": "DescribeJobQueues",
    "/v1/describejobs": "DescribeJobs",
    "/v1/listjobs": "ListJobs",
    "/v1/registerjobdefinition": "RegisterJobDefinition",
    "/v1/submitjob": "SubmitJob",
    "/v1/terminatejob": "TerminateJob",
    "/v1/terminatejobs": "TerminateJobs",
}
_TARGETS = {"Logs_20140328": "logs", "AmazonEC2ContainerRegistry_V20150921": "ecr"}

# Parameters that tell calls apart in the record.
_FACTS = (
    "jobName",
    "jobId",
    "jobQueue",
    "jobDefinition",
    "jobDefinitionName",
    "logGroupName",
    "logStreamName",
    "reason",
)
_SUBRESOURCES = ("uploads", "delete", "encryption")
_LISTS = ("jobs", "jobQueues", "computeEnvironments", "jobDefinitions")


@dataclass
class Asked:
    """A request as a call of an operation.

    Attributes:
        parameters: Of the JSON or form in the body; for S3, the bucket, the key and the query.
        facts: What the record of calls shows.
    """

    service: str
    operation: str
    request: Request
    parameters: dict[str, Any]
    facts: dict[str, str] = field(default_factory=dict)


def asked(request: Request) -> Asked:
    """Reads a request.

    Raises:
        AwsError: It is none that the stand-in knows.
    """
    call = _asked(request)
    call.facts["accessKey"] = request.access_key
    call.facts["region"] = request.region
    call.facts["agent"] = request.headers.get("user-agent", "").partition("/")[0]
    if call.service == "s3":
        for name in ("Bucket", "Key", "partNumber", "uploadId"):
            if call.parameters.get(name):
                call.facts[name[0].upper() + name[1:]] = call.parameters[name]
        return call
    for name, value in call.parameters.items():
        if name in _FACTS:
            call.facts[name] = str(value)
        elif name in _LISTS and isinstance(value, list):
            call.facts[name] = str(len(value))
    return call


def _asked(request: Request) -> Asked:
    if request.path.startswith("/v1/"):
        if request.path.startswith("/v1/tags/"):
            parameters = {"resourceArn": request.path.removeprefix("/v1/tags/"), **_json(request)}
            return Asked("batch", "TagResource", request, parameters)
        if request.path not in BATCH:
            raise AwsError("UnknownOperationException", request.path, 404)
        return Asked("batch", BATCH[request.path], request, _json(request))
    target = request.headers.get("x-amz-target", "")
    if target:
        api, _, operation = target.partition(".")
        if api not in _TARGETS:
            raise AwsError("UnknownOperationException", target, 400)
        return Asked(_TARGETS[api], operation, request, _json(request))
    if request.method == "POST" and request.path == "/" and not request.query:
        form = dict(parse_qsl(request.body.decode()))
        return Asked("sts", form.get("Action", ""), request, form)
    _, bucket, key = [*request.path.split("/", 2), ""][:3]
    parameters = {**request.query, "Bucket": bucket, "Key": key}
    return Asked("s3", _s3_operation(request, bool(bucket), bool(key)), request, parameters)


def _json(request: Request) -> dict[str, Any]:
    try:
        content = json.loads(request.body or b"{}")
    except ValueError as error:
        raise AwsError("SerializationException", str(error)) from error
    if not isinstance(content, dict):
        raise AwsError("SerializationException", "Start of structure or map found where not expected")
    return content


def _s3_operation(request: Request, bucket: bool, key: bool) -> str:
    query = request.query
    if not bucket:
        return "ListBuckets"
    part = "part" if "uploadId" in query else next((name for name in _SUBRESOURCES if name in query), "")
    of_object = {
        ("PUT", ""): "PutObject",
        ("PUT", "part"): "UploadPart",
        ("GET", ""): "GetObject",
        ("GET", "part"): "ListParts",
        ("HEAD", ""): "HeadObject",
        ("DELETE", ""): "DeleteObject",
        ("DELETE", "part"): "AbortMultipartUpload",
        ("POST", "uploads"): "CreateMultipartUpload",
        ("POST", "part"): "CompleteMultipartUpload",
    }
    of_bucket = {
        ("PUT", ""): "CreateBucket",
        ("HEAD", ""): "HeadBucket",
        ("GET", ""): "ListObjectsV2",
        ("GET", "uploads"): "ListMultipartUploads",
        ("GET", "encryption"): "GetBucketEncryption",
        ("POST", "delete"): "DeleteObjects",
    }
    return (of_object if key else of_bucket).get((request.method, part), "Unknown")
