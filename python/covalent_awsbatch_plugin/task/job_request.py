"""The job of a task, as the core submits it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from covalent_awsbatch_plugin.agreement.naming import (
    BUCKET_OWNER,
    FUNC_FILENAME,
    JOB_NAME,
    KMS_KEY,
    RESULT_FILENAME,
    SIGNING_KEY,
)

if TYPE_CHECKING:
    from covalent_awsbatch_plugin.options.settings import Settings


def job_request(settings: Settings, dispatch_id: str, node_id: int, account: str) -> dict[str, Any]:
    """Describes the job of a task.

    Args:
        settings: The executor's options.
        dispatch_id: The task's dispatch.
        node_id: Its number there.
        account: Account that the bucket has to belong to; empty for no check.

    Returns:
        What `Client.submit` takes, as JSON.
    """
    return {
        "name": JOB_NAME.format(dispatch_id=dispatch_id, node_id=node_id),
        "family": JOB_NAME.format(dispatch_id=dispatch_id, node_id=""),
        "queue": settings.batch_queue,
        "definition": {
            "name": settings.batch_job_definition_name,
            "image": settings.container_image_uri,
            "job_role": settings.batch_job_role_name,
            "execution_role": settings.batch_execution_role_name,
            "log_group": settings.batch_job_log_group_name,
            "fargate": {"public_ip": settings.assign_public_ip, "disk_gib": settings.ephemeral_storage}
            if settings.platform == "FARGATE"
            else None,
        },
        "vcpu": settings.vcpu,
        "memory_mib": settings.memory_mib,
        "gpus": settings.num_gpus,
        "retry_attempts": settings.retry_attempts,
        "retry_on": settings.retry_on,
        "time_limit": settings.time_limit,
        "environment": _environment(settings, dispatch_id, node_id, account),
        "tags": settings.tags,
    }


def _environment(settings: Settings, dispatch_id: str, node_id: int, account: str) -> dict[str, str]:
    """The container's variables: the user's, and what tells it what to run and what to demand of the bucket."""
    demands = {BUCKET_OWNER: account, KMS_KEY: settings.s3_kms_key_id}
    return {
        # Nothing else tells a container on EC2 its region. Our runner's S3 client needs one, and so does the boto3 of a
        # function, which knows the older name alone.
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        **settings.environment,
        "S3_BUCKET_NAME": settings.s3_bucket_name,
        "COVALENT_TASK_FUNC_FILENAME": FUNC_FILENAME.format(dispatch_id=dispatch_id, node_id=node_id),
        "RESULT_FILENAME": RESULT_FILENAME.format(dispatch_id=dispatch_id, node_id=node_id),
        SIGNING_KEY: secrets.token_hex(32),
        **{name: value for name, value in demands.items() if value},
    }
