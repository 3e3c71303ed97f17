"""The options of a pod, for queues of EKS."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from . import limits
from .definition import option
from .job_definition_options import JobDefinitionOptions


def _of_a_pod(name: str, info: ValidationInfo) -> str:
    if name and info.data.get("platform") not in ("", "EKS", None):
        raise ValueError(f"it is for EKS, and platform={info.data['platform']!r}")
    return name


def _namespace(name: str) -> str:
    if name == "default" or name.startswith("kube"):
        raise ValueError("AWS Batch puts no pod there")
    return name


class PodOptions(JobDefinitionOptions):
    """They follow all others, which say where the job runs."""

    eks_namespace: Annotated[
        str,
        limits.matching(r"|[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"),
        AfterValidator(_namespace),
        AfterValidator(_of_a_pod),
    ] = option(
        "",
        rule="must be a namespace of Kubernetes on EKS (up to 63 lower-case letters, digits and hyphens), not "
        "'default' and none that begins with 'kube'; empty for the one of the compute environment",
        doc="Namespace of the pod on EKS; empty for the one of the compute environment.",
        command_line=True,
    )
    eks_service_account: Annotated[
        str, limits.matching(r"|[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?"), AfterValidator(_of_a_pod)
    ] = option(
        "",
        rule="must be a service account of Kubernetes on EKS (up to 253 lower-case letters, digits, hyphens and dots), "
        "whose IAM role the function has; empty for the namespace's own",
        doc="Service account of the pod on EKS, whose IAM role takes the place of `batch_job_role_name`; empty for the "
        "namespace's own.",
        command_line=True,
    )
