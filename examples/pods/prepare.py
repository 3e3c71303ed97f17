"""Makes on the embedded AWS the queue that the README makes on an account, of the same two files."""

import json
import os
from pathlib import Path

HERE = Path(__file__).parent


def prepare(aws):
    """Makes it, and says what the executor has to know."""
    batch = aws.client("batch")
    files = ("environment.json", "queue.json")
    asked, queue = (json.loads((HERE / name).read_text(encoding="utf-8")) for name in files)
    # Network and role are those of the machines that are there; no cluster is, so that a pod is a process.
    [there] = batch.describe_compute_environments()["computeEnvironments"]
    own = {name: there["computeResources"][name] for name in ("subnets", "securityGroupIds", "instanceRole")}
    resources = {**asked["computeResources"], **own}
    batch.create_compute_environment(**{**asked, "computeResources": resources, "serviceRole": there["serviceRole"]})
    batch.create_job_queue(**queue)
    os.environ["POD_QUEUE"] = queue["jobQueueName"]
    return {}
