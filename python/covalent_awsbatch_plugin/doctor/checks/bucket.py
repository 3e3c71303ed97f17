"""Checks the bucket: existence, access, and encryption."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.doctor import policy
from covalent_awsbatch_plugin.errors import AccessError, AWSBatchError

from .base import Case, Check, State, failed, from_error, passed

PROBE = "covalent-awsbatch-doctor.probe"
"""Key of the test object. It is always the same, because it stays in a bucket where deleting is not allowed."""

# Each step with the right that it needs on the object, and on the KMS key.
_STEPS = (
    ("put", "s3:PutObject", "kms:GenerateDataKey"),
    ("get", "s3:GetObject", "kms:Decrypt"),
    ("delete", "s3:DeleteObject", ""),
)

_PROBE_CONTENT = b"covalent-awsbatch doctor\n"


async def bucket(case: Case) -> Sequence[Check]:
    """Whether the bucket is there, in which region, can be used, and how it encrypts."""
    name, here = case.settings.s3_bucket_name, case.settings.region
    try:
        answer = json.loads(await case.inspector.bucket(name))
    except AWSBatchError as error:
        return [from_error("bucket", error)]
    there = answer["region"]
    if answer["state"] == "missing":
        create = f"create it: `aws s3 mb s3://{name} --region {here}`"
        if case.settings.has_access_point:
            create = f"look for it: `aws s3control list-access-points --account-id {case.known.account}`"
        fix = f"{create}, or set `s3_bucket_name` to one that you have"
        return [failed("bucket", f"there is no bucket {name}", fix)]
    fix = f"set `s3_bucket_name` to a bucket in {here}, or `region`, which moves the queue as well"
    if answer["state"] == "elsewhere":
        there = there or "another region, and S3 does not say in which"
        return [failed("bucket", f"{name} is in {there}, and cannot be reached from {here}", fix)]
    listed = name if answer["state"] == "found" else f"{name}, which may not be listed,"
    if there and there != here:
        # It works, but is rarely intended.
        found = f"{listed} is in {there}, queue in {here}: transfer between regions costs"
        return [Check("bucket", State.PASSED, found, fix), await _objects(case), await _encryption(case)]
    found = f"{name} in {there or here}" if answer["state"] == "found" else f"{name}, which may not be listed"
    return [passed("bucket", found), await _objects(case), await _encryption(case)]


async def _objects(case: Case) -> Check:
    """Writes, reads and deletes an object."""
    name, place = case.settings.s3_bucket_name, f"s3://{case.settings.s3_bucket_name}"
    objects = policy.resources(case.settings, case.known)["objects"][0]
    done = []
    for verb, action, key_action in _STEPS:
        try:
            await _try(case.connection, verb, name)
        except AWSBatchError as error:
            if verb == "delete" and case.settings.s3_cleanup == "never":
                return passed("objects", f"put and get work in {place}; delete is not needed, and {PROBE} stays there")
            code = str(error.details.get("code", ""))
            if code.startswith("KMS.") or re.search(r"\bkms:[A-Z]", error.message):
                fix = f"set `s3_kms_key_id` to a key that is enabled and that {case.arn} may use"
                return failed("objects", error.message, fix)
            if not isinstance(error, AccessError):
                return from_error("objects", error)
            fix = f"allow {action} on {objects} to {case.arn}; a bucket of another account needs `s3_bucket_owner`"
            return failed("objects", error.message, fix)
        done.append(verb)
        case.allowed_actions |= {action, key_action} if case.settings.s3_kms_key_id else {action}
    return passed("objects", f"{', '.join(done)} work in {place}")


async def _try(connection: Client, verb: str, bucket_name: str) -> None:
    if verb == "put":
        writer = connection.writer(bucket_name, PROBE)
        writer.write(_PROBE_CONTENT)
        await writer.finish()
    elif verb == "get":
        await connection.read(bucket_name, PROBE)
    else:
        await connection.delete(bucket_name, [PROBE])


async def _encryption(case: Case) -> Check:
    if case.settings.s3_kms_key_id:
        return passed("encryption", f"by {case.settings.s3_kms_key_id}, as `s3_kms_key_id` says")
    if case.settings.has_access_point:
        return passed("encryption", "as its bucket says, which S3 does not tell through an access point")
    try:
        answer = json.loads(await case.inspector.encryption(case.settings.s3_bucket_name))
    except AWSBatchError as error:
        return from_error("encryption", error)
    if answer is None:
        return passed("encryption", "by S3 itself (the bucket has no rule)")
    return passed("encryption", f"{answer['algorithm']}" + (f" by {answer['key']}" if answer["key"] else ""))
