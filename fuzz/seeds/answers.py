"""What AWS answers, or whatever else stands behind the endpoint."""

from __future__ import annotations

import json
from typing import Any

Seeds = dict[str, bytes]

MIB = 1024 * 1024
# The first byte of an answer is the call, plus the number of calls for each step in this list. See `src/answers.rs`.
STATUS = (200, 400, 403, 404, 429, 500, 503, 301)
CALLS = {"batch": 6, "ecr": 4, "inspect": 6}


def answer(target: str, call: int, body: Any, status: int = 200) -> bytes:
    """An answer of AWS."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return bytes([call + CALLS[target] * STATUS.index(status)]) + data


def refusals(target: str, call: int) -> Seeds:
    """What AWS says instead, once in JSON and once in XML."""
    told = {"__type": "com.amazonaws#ClientException", "message": "no \u202e\u0007 such thing"}
    xml = b"<ErrorResponse><Error><Code>NoSuchEntity</Code><Message>no</Message></Error></ErrorResponse>"
    return {
        "refused": answer(target, call, told, 400),
        "throttled": answer(target, call, {"__type": "TooManyRequestsException"}, 429),
        "refused-xml": answer(target, call, xml, 404),
        "page": answer(target, call, b"<html><body>Bad gateway</body></html>", 503),
        "empty": answer(target, call, b""),
    }


def batch() -> Seeds:
    """Answers of AWS Batch."""
    attempt = {
        "container": {"exitCode": 137, "reason": "OutOfMemoryError: killed", "logStreamName": "s"},
        "startedAt": 5,
    }
    container = {
        "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/jobs:1",
        "exitCode": 1,
        "environment": [{"name": "S3_BUCKET_NAME", "value": "b"}, {"name": "RESULT_FILENAME", "value": "r"}],
    }
    job = {
        "jobId": "1",
        "jobName": "covalent-batch-d-1",
        "jobQueue": "arn:aws:batch:eu-west-1:123456789012:job-queue/q",
        "status": "FAILED",
        "statusReason": "Essential container in task exited",
        "createdAt": 1_700_000_000_000,
        "attempts": [attempt, {}],
        "container": container,
    }
    listed = {"jobSummaryList": [{"jobId": "1", "jobName": "covalent-batch-d-1", "createdAt": 2**63 - 1}, {}]}
    queue = {"state": "DISABLED", "status": "INVALID", "statusReason": "no", "computeEnvironmentOrder": [{"order": 1}]}
    resources = {"type": "SPOT", "maxvCpus": 4}
    environment = {"computeEnvironmentName": "e", "state": "ENABLED", "computeResources": resources}
    both = {"jobQueues": [queue], "computeEnvironments": [environment]}
    full = both | {"jobQueues": [queue | {"computeEnvironmentOrder": [{"computeEnvironment": "e"}]}]}
    lost = job | {"attempts": [], "statusReason": "Host EC2 terminated.", "createdAt": 2**63 - 1}
    unknown = job | {"status": "VANISHED", "jobQueue": ":::::", "statusReason": "\u0007" * 300, "container": None}
    return {
        "jobs": answer("batch", 0, {"jobs": [job, {}, lost]}),
        "unknown": answer("batch", 0, {"jobs": [unknown, None, {"later": [1e400, {"x": None}]}]}),
        "list": answer("batch", 1, listed),
        "pages": answer("batch", 1, listed | {"nextToken": "again"}),
        "queue": answer("batch", 2, both),
        "environments": answer("batch", 3, both),
        "problems": answer("batch", 4, full),
        "terminated": answer("batch", 5, {}),
        "long-reason": answer("batch", 0, {"jobs": [job | {"attempts": [], "statusReason": "y" * 6000}]}),
        "escapes": answer(
            "batch", 0, b'{"__type": "ClientException", "message": "' + "\u202e".encode() * 1300 + b'"}', 400
        ),
        "nested": answer("batch", 0, b'{"jobs":' + b"[" * 500),
    } | refusals("batch", 0)


def ecr() -> Seeds:
    """Answers of ECR."""
    manifest = json.dumps({"schemaVersion": 2, "config": {"digest": "sha256:ab"}})
    image = {"imageManifest": manifest, "imageId": {"imageTag": "1"}}
    gone = [{"__type": name, "message": "no"} for name in ("RepositoryNotFoundException", "ImageNotFoundException")]
    return {
        "image": answer("ecr", 1, {"imageDetails": [{"imagePushedAt": 1.7e9, "imageTags": ["1"]}]}),
        "dates": answer("ecr", 1, {"imageDetails": [{"imagePushedAt": -1e300}]}),
        "manifest": answer("ecr", 2, {"images": [image], "failures": []}),
        "part": answer("ecr", 3, {"downloadUrl": "https://example.com/x", "layerDigest": "sha256:ab"}),
        "no-repository": answer("ecr", 0, gone[0], 400),
        "no-image": answer("ecr", 0, gone[1], 400),
    } | refusals("ecr", 0)


def element(name: str, content: str) -> str:
    """An element of XML."""
    return f"<{name}>{content}</{name}>"


def result(name: str, content: str) -> bytes:
    """What IAM and STS answer to a call of this name."""
    return element(f"{name}Response", element(f"{name}Result", content)).encode()


def inspect() -> Seeds:
    """Answers of the other services."""
    role = element("Role", element("Arn", "a") + element("AssumeRolePolicyDocument", "%7B%7D"))
    member = element("member", element("EvalActionName", "s3:GetObject") + element("EvalDecision", "allowed"))
    caller = element("Arn", "a") + element("UserId", "u") + element("Account", "123456789012")
    default = element("SSEAlgorithm", "aws:kms") + element("KMSMasterKeyID", "k")
    rule = element("Rule", element("ApplyServerSideEncryptionByDefault", default))
    nothing = element("Error", element("Code", "ServerSideEncryptionConfigurationNotFoundError"))
    results = element("EvaluationResults", member * 2)
    more = element("IsTruncated", "true") + element("Marker", "m")
    encryption = element("ServerSideEncryptionConfiguration", rule)
    return {
        "log": answer("inspect", 0, {"events": [{"message": "line\n", "timestamp": 5}], "nextForwardToken": "f/1"}),
        "log-group": answer("inspect", 1, {"logGroups": [{"logGroupName": "g", "retentionInDays": 7}]}),
        "role": answer("inspect", 2, result("GetRole", role)),
        "simulation": answer("inspect", 3, result("SimulatePrincipalPolicy", results)),
        "pages": answer("inspect", 3, result("SimulatePrincipalPolicy", results + more)),
        "caller": answer("inspect", 4, result("GetCallerIdentity", caller)),
        "encryption": answer("inspect", 5, encryption.encode()),
        "no-encryption": answer("inspect", 5, nothing.encode(), 404),
        "nested": answer("inspect", 2, b"<a>" * 300),
        "entities": answer("inspect", 2, b'<!DOCTYPE a [<!ENTITY b "b">]><a>&b;&#x1;</a>'),
    } | refusals("inspect", 2)


def large(target: str) -> Seeds:
    """Many empty things, one thing that is deep or long. Smaller, since each pair of braces is a whole job."""
    lists = {"batch": b"jobs", "ecr": b"imageDetails", "inspect": b"events"}
    size = MIB // 16
    return {
        "empty": answer(target, 0, b'{"' + lists[target] + b'": [' + b"{}," * (size // 3) + b"{}]}"),
        "nested": answer(target, 0, b'{"later":' + b"[" * size),
        "elements": answer(target, 2, b"<a>" * (size // 3)),
        "message": answer(target, 0, {"__type": "x" * size, "message": "\x1b" * (size // 6)}, 400),
        "reason": answer(target, 0, {"jobs": [{"jobId": "1", "status": "FAILED", "statusReason": "y" * size}]}),
    }


def manifest() -> Seeds:
    """What registries tell of an image."""
    made_for = [{"platform": {"architecture": name, "os": "linux"}} for name in ("amd64", "arm64", "unknown")]
    return {
        "index": json.dumps({"schemaVersion": 2, "manifests": made_for}).encode(),
        "image": json.dumps({"schemaVersion": 2, "config": {"digest": "sha256:ab"}}).encode(),
        "no-object": b'["manifests"]',
        "wrong-kinds": b'{"manifests": [7, {"platform": []}, {"platform": {"architecture": ["a"]}}]}',
        "no-list": b'{"manifests": {"platform": 1}}',
        "nested": b"[" * 2000,
    }


def large_manifest() -> Seeds:
    """Many entries, lists in lists."""
    return {"entries": b'{"manifests": [' + b"{}," * (MIB // 3) + b"{}]}", "nested": b"[" * MIB}
