"""Jobs on queues of EKS: pods of one container, which run, fail, are tried again and cancelled like any other job."""

from __future__ import annotations

import os
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.doctor import ask
from support.queues import add_queue
from support.task_bench import TaskBench

from covalent_awsbatch_plugin.errors import JobFailedError, ServiceError, SettingsError

CLUSTER = {"eksClusterArn": "arn:aws:eks:us-east-1:123456789012:cluster/research", "kubernetesNamespace": "jobs"}
QUEUE = "pods"


@pytest.fixture
def queue(bench: TaskBench) -> str:
    """A queue whose machines are nodes of a cluster."""
    if bench.batch.describe_job_queues(jobQueues=[QUEUE])["jobQueues"]:
        return QUEUE
    machines = bench.batch.describe_compute_environments(computeEnvironments=["covalent-batch-environment"])
    resources = machines["computeEnvironments"][0]["computeResources"]
    return add_queue(bench.aws, QUEUE, resources, eksConfiguration=CLUSTER)


def pod_of(bench: TaskBench, task: dict[str, Any]) -> dict[str, Any]:
    return dict(bench.ended(task)["eksProperties"]["podProperties"])


def test_a_task_runs_in_a_pod_of_its_queue(bench: TaskBench, queue: str) -> None:
    task, name = bench.task(), "in-pods"
    executor = bench.executor(
        batch_queue=queue,
        batch_job_definition_name=name,
        vcpu=0.75,
        memory=1.5,
        eks_namespace="research",
        eks_service_account="runner",
        tags={"team": "physics"},
        volumes={"/data": {"source": "claim:genomes", "read_only": True}, "/tmp": ""},
        tmpfs={"/scratch": 0.5},
        user="1000:100",
    )
    assert bench.run(executor, max, 1, 2, task=task) == 2
    job, pod = bench.ended(task), pod_of(bench, task)
    assert not {"container", "platformCapabilities", "propagateTags"} & job.keys()
    assert job["tags"]["team"] == "physics"
    assert (pod["metadata"]["namespace"], pod["serviceAccountName"]) == ("research", "runner")
    [container] = pod["containers"]
    assert container["resources"] == {"requests": {"cpu": "0.75"}, "limits": {"memory": "1536Mi"}}
    assert container["securityContext"] == {"runAsUser": 1000, "runAsGroup": 100}
    assert pod["volumes"] == [
        {"name": "volume-0", "persistentVolumeClaim": {"claimName": "genomes"}},
        {"name": "volume-1", "emptyDir": {}},
        {"name": "tmpfs-0", "emptyDir": {"medium": "Memory", "sizeLimit": "512Mi"}},
    ]
    assert container["volumeMounts"] == [
        {"name": "volume-0", "mountPath": "/data", "readOnly": True},
        {"name": "volume-1", "mountPath": "/tmp"},
        {"name": "tmpfs-0", "mountPath": "/scratch"},
    ]
    assert bench.run(bench.executor(batch_queue=queue, batch_job_definition_name=name), max, 1, 2) == 2
    assert bench.run(bench.executor(batch_queue=queue, batch_job_definition_name=name, vcpu=2), max, 1, 2) == 2
    assert len(bench.revisions(name)) == 2, "sizes are the jobs' own"


def test_kubernetes_puts_nothing_in_the_place_of_a_dollar(bench: TaskBench, queue: str) -> None:
    price = "$(HOME) costs $$5, and $5"
    executor = bench.executor(batch_queue=queue, environment={"PRICE": price})
    assert bench.run(executor, lambda _: os.environ["PRICE"], 0) == price


def test_a_function_that_raises_is_told_by_its_traceback(bench: TaskBench, queue: str) -> None:
    with pytest.raises(JobFailedError, match="ZeroDivisionError") as caught:
        bench.run(bench.executor(batch_queue=queue), lambda _: 1 / 0, 0)
    assert caught.value.details["cause"] == "exception"


def test_a_program_without_a_result_is_told_by_its_exit_code_and_that_there_is_no_log(
    bench: TaskBench, queue: str
) -> None:
    task = bench.task()
    with pytest.raises(JobFailedError) as caught:
        bench.run(bench.executor("echo a last word; exit 3", batch_queue=queue, retry_attempts=2), task=task)
    assert "exited with code 3 after 2 attempts" in str(caught.value)
    assert (caught.value.details["attempts"], caught.value.details["exit_code"]) == (2, 3)
    *_, attempt = bench.ended(task)["eksAttempts"]
    place = f"{attempt['podNamespace']}/{attempt['podName']}"
    assert place.startswith("jobs/aws-batch.")
    said = str(caught.value)
    assert "AWS Batch has no log of a pod: what it printed is in the log of your cluster" in said
    assert f"({place})." in said
    assert "a last word" not in str(caught.value)


ATTEMPT = '[ "$AWS_BATCH_JOB_ATTEMPT" = 1 ] && exit {}; exec "$1" -m covalent_awsbatch_plugin.runner'


@pytest.mark.parametrize(("code", "attempts"), [(143, 2), (1, 1), (137, 1), (2, 1)])
def test_only_a_pod_that_was_told_to_end_is_tried_again(bench: TaskBench, queue: str, code: int, attempts: int) -> None:
    task = bench.task()
    executor = bench.executor(
        ATTEMPT.format(code), batch_queue=queue, retry_attempts=3, retry_on="infrastructure", memory=0.5
    )
    if attempts > 1:
        assert bench.run(executor, max, 1, 2, task=task) == 2
    else:
        with pytest.raises(JobFailedError, match=f"code {code}"):
            bench.run(executor, max, 1, 2, task=task)
    assert len(bench.ended(task)["eksAttempts"]) == attempts


def test_a_pod_is_cancelled(bench: TaskBench, queue: str) -> None:
    task, executor = bench.task(), bench.executor("exec sleep 60", batch_queue=queue)
    bench.cancelled(executor, task)


def test_a_job_for_ecs_is_refused_with_what_to_do(bench: TaskBench, queue: str) -> None:
    with pytest.raises(ServiceError, match="is EKS: set `platform` to EKS"):
        bench.run(bench.executor(batch_queue=queue, platform="EC2"))


def test_what_a_pod_cannot_have_is_refused_before_anything_is_uploaded(bench: TaskBench, queue: str) -> None:
    task = bench.task()
    with pytest.raises(SettingsError, match="there is none on EKS") as caught:
        bench.run(bench.executor(batch_queue=queue, ulimits={"nofile": 100}), task=task)
    assert "the queue pods is of EKS" in str(caught.value)
    assert bench.keys(task) == []


def test_changes_of_a_pod_are_merged_into_it(bench: TaskBench, queue: str) -> None:
    task = bench.task()
    changes = {"podProperties": {"hostNetwork": False, "containers": [{"name": "default", "imagePullPolicy": "Never"}]}}
    executor = bench.executor(batch_queue=queue, job_definition_overrides={"eksProperties": changes})
    assert bench.run(executor, max, 1, 2, task=task) == 2
    pod = pod_of(bench, task)
    assert (pod["hostNetwork"], pod["containers"][0]["imagePullPolicy"]) == (False, "Never")


def test_the_doctor_says_that_a_queue_is_one_of_eks(bench: TaskBench, queue: str) -> None:
    options = {**bench.aws.options, "batch_queue": queue, "eks_service_account": "runner"}
    report = ask(options)
    assert "EC2 on EKS, up to" in report.found(f"environment {queue}")
    assert report.found("service account").startswith("runner: ")
    assert report.found("log group").startswith("AWS Batch has no log of pods")
    assert not {"execution role", "job role"} & {check["name"] for check in report.checks}
    wrong = ask({**options, "secrets": "TOKEN:/team/token"}).wrong()
    assert "there is none on EKS" in wrong["environment"]


RESOURCES = {"requests": {"cpu": "1"}, "limits": {"memory": "512Mi"}}


def pod(**container: Any) -> dict[str, Any]:
    return {"podProperties": {"containers": [{"image": "i", "resources": RESOURCES, **container}]}}


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ({"platformCapabilities": ["EC2"]}, "platformCapabilities must not be specified"),
        ({"propagateTags": True}, "propagateTags must not be specified"),
        ({"eksProperties": pod(resources={"limits": {"memory": "512Mi"}})}, "cpu must be specified"),
        ({"eksProperties": pod(resources={**RESOURCES, "requests": {"cpu": "0.3"}})}, "multiple of 0.25, not 0.3"),
        ({"eksProperties": pod(resources={**RESOURCES, "limits": {"memory": "1Gi"}})}, "whole MiB"),
        (
            {"eksProperties": pod(resources={"requests": {"cpu": "1", "memory": "4Mi"}, "limits": {"memory": "5Mi"}})},
            "of memory must be the same",
        ),
        ({"eksProperties": pod(volumeMounts=[{"name": "a", "mountPath": "/a"}])}, "not defined: a"),
        (
            {"eksProperties": {"podProperties": {**pod()["podProperties"], "metadata": {"namespace": "kube-x"}}}},
            "kube-x is not allowed",
        ),
    ],
)
def test_the_embedded_aws_refuses_what_aws_refuses(bench: TaskBench, definition: dict[str, Any], said: str) -> None:
    asked = {"jobDefinitionName": "refused", "type": "container", "eksProperties": pod(), **definition}
    with pytest.raises(ClientError, match=said):
        bench.batch.register_job_definition(**asked)


def test_an_override_of_the_other_kind_is_refused(bench: TaskBench, queue: str) -> None:
    answer = bench.batch.register_job_definition(jobDefinitionName="own", type="container", eksProperties=pod())
    job = {"jobName": "j", "jobQueue": queue, "jobDefinition": answer["jobDefinitionArn"]}
    with pytest.raises(ClientError, match="which takes eksPropertiesOverride"):
        bench.batch.submit_job(**job, containerOverrides={"command": ["true"]})
    with pytest.raises(ClientError, match="propagateTags must not be specified"):
        bench.batch.submit_job(**job, propagateTags=True)
    with pytest.raises(ClientError, match="can not run Jobs with capability EKS"):
        bench.batch.submit_job(**{**job, "jobQueue": "covalent-batch-queue"})
