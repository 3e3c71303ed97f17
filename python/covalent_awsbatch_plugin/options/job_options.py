"""The options of a job: where it runs, how large it is, what is in it, how often it is tried."""

from __future__ import annotations

from typing import Literal

from . import limits
from .definition import OptionGroup, Variable, option

_ROLE_RULE = "must be the name of an IAM role (up to 64 letters, digits and _+=,.@-, after its path if any) or its ARN"


class JobOptions(OptionGroup):
    """The first sixteen are positional, and have the order of version 0.42.0."""

    credentials: limits.Credentials = option(
        "",
        rule="must be the path of a credentials file, or empty for the SDK's own",
        doc="Path of a shared credentials file, never the keys themselves; empty for the SDK's own, "
        "`~/.aws/credentials`.",
        command_line=True,
        repr=False,
    )
    profile: limits.Text = option(
        "",
        rule="must be the name of an AWS profile, or empty for AWS_PROFILE or 'default'",
        doc="AWS profile; empty for `AWS_PROFILE` or `default`.",
        command_line=True,
    )
    region: limits.Region = option(
        "us-east-1",
        rule="must be the name of an AWS region, such as 'eu-central-1'",
        doc="AWS region of the queue, its jobs and their logs; the bucket may be in another one.",
        command_line=True,
        deploy=Variable("AWS region."),
    )
    s3_bucket_name: limits.Bucket = option(
        "covalent-batch-job-resources",
        rule="must be the name of an S3 bucket (3 to 63 lower-case letters, digits, dots and hyphens), or the alias or "
        "ARN of an access point",
        doc="Bucket for functions and results: its name, or the alias or ARN of an access point.",
        command_line=True,
        deploy=Variable("Name of the bucket; empty for one of prefix, account and region.", default=""),
    )
    batch_queue: limits.Queue = option(
        "covalent-batch-queue",
        rule="must be the name of a job queue (up to 128 letters, digits, hyphens and underscores) or its ARN",
        doc="Job queue, by name or ARN.",
        command_line=True,
        deploy=Variable("Name of the queue; empty for one of the prefix.", default=""),
    )
    batch_execution_role_name: limits.Role = option(
        "ecsTaskExecutionRole",
        rule=_ROLE_RULE,
        doc="Role of the ECS agent, by name or ARN.",
        command_line=True,
        deploy=Variable("Name of the execution role; empty for one of the prefix.", default=""),
    )
    batch_job_role_name: limits.Role = option(
        "CovalentBatchJobRole",
        rule=_ROLE_RULE,
        doc="Role of the function in its container, by name or ARN; on EKS `eks_service_account` has it.",
        command_line=True,
        deploy=Variable("Name of the job role; empty for one of the prefix.", default=""),
    )
    batch_job_log_group_name: limits.LogGroup = option(
        "covalent-batch-job-logs",
        rule="must be the name of a log group (up to 512 letters, digits and ._-/#)",
        doc="CloudWatch log group of the container's output.",
        command_line=True,
        deploy=Variable("Name of the log group; empty for one of the prefix.", default=""),
    )
    vcpu: limits.Vcpu = option(
        2,
        ge=0.25,
        le=limits.LARGEST,
        rule="must be a whole number of vCPUs, 1 or more; on Fargate also 0.25 or 0.5, on Managed Instances and EKS "
        "any multiple of 0.25",
        doc="vCPUs of a job, a whole number; on Fargate also 0.25 or 0.5, on Managed Instances and EKS any multiple of "
        "0.25.",
        command_line=True,
    )
    memory: limits.Memory = option(
        3.75,
        ge=limits.SMALLEST_MEMORY,
        rule="must be a number of GB, such as 4; at least 0.00390625 (4 MiB) and less than 4,096",
        doc="GB of memory of a job, not MiB: less than 4,096; on Fargate the next size that goes with `vcpu`.",
        command_line=True,
    )
    num_gpus: limits.Whole = option(
        0,
        ge=0,
        le=limits.LARGEST,
        rule="must be a whole number of GPUs, 0 for none",
        doc="GPUs of a job, a whole number.",
        command_line=True,
    )
    retry_attempts: limits.Whole = option(
        3,
        ge=1,
        le=10,
        rule="must be a whole number from 1 (no retry) to 10",
        doc="How often Batch tries a job in all, 1 (no retry) to 10.",
    )
    time_limit: limits.TimeLimit = option(
        300,
        rule="must be whole seconds, 60 or more, or 0 for no limit",
        doc="Seconds that an attempt may run, 60 or more; 0 for no limit.",
    )
    poll_freq: limits.Number = option(
        10,
        gt=0,
        le=limits.LONGEST_POLL,
        rule="must be the seconds that a job's end may go unnoticed, more than 0 and at most 86,400 (a day)",
        doc="Seconds that a job's end may go unnoticed, up to 86,400; it is one second at most up to 500 running jobs, "
        "and whatever AWS's limit of calls allows beyond 5,000.",
    )
    cache_dir: limits.Path = option(
        "/tmp/covalent",  # noqa: S108
        rule="must be the path of a directory",
        doc="Accepted for the sake of older workflows; nothing is written there.",
    )
    container_image_uri: limits.Image = option(
        "",
        rule="must be the address of a container image (up to 255 characters, no spaces), or empty for Python's own",
        doc="Container image of the jobs; empty for Python's own, `public.ecr.aws/docker/library/python:X.Y-slim` with "
        "the X.Y of the Python that dispatches.",
        command_line=True,
    )
    batch_job_definition_name: limits.DefinitionName = option(
        "covalent-batch-jobs",
        rule="must be the name of a job definition (up to 128 letters, digits, hyphens and underscores)",
        doc="Name under which job definitions are registered.",
        command_line=True,
    )
    ecr_repo_name: limits.Repository = option(
        "",
        rule="must be empty or the name of an ECR repository (2 to 256 lower-case letters and digits, with single "
        ". _ - / between them)",
        doc="ECR repository. If one is given and no `container_image_uri`, an image of Python's own and the server's "
        "packages is made there, once for the same packages, without Docker.",
        command_line=True,
        deploy=Variable("Name of the ECR repository; empty for the prefix."),
    )
    endpoint_url: limits.Endpoint = option(
        "",
        rule="must be a URL that starts with http:// or https://, without user and password, or empty for AWS itself",
        doc="URL of an AWS-compatible service in place of AWS.",
        command_line=True,
    )
    environment: limits.Environment = option(
        {},
        repr=False,
        rule="must be a dict of strings: the names and values of environment variables",
        doc="More environment variables for the container. Covalent's database and AWS Batch show them in plain text: "
        "a secret belongs into Secrets Manager or the SSM Parameter Store.",
        deploy=Variable("Environment variables of the jobs: name:value with commas between, or a JSON object."),
    )
    tags: limits.Tags = option(
        {},
        rule="must be a dict of strings: up to 50 tags, keys of 1 to 128 characters that do not start with 'aws:', "
        "values of up to 256 characters, all of them letters, digits, spaces and + - = . _ : / @",
        doc="Tags of the job, propagated to its ECS task; up to 50, of letters, digits, spaces and `+ - = . _ : / @`.",
        deploy=Variable(
            "Tags of the jobs and of all that is created: name:value with commas between, or a JSON object."
        ),
    )
    retry_on: Literal["any", "infrastructure"] = option(
        "any",
        rule="must be 'any' (an attempt that failed is followed by another, whatever happened) or 'infrastructure' "
        "(unless a container ran and exited, so not after an exception)",
        doc="Which failures of an attempt are followed by another one; `infrastructure`: all but those of a container "
        "that ran and exited, so no exception of the function.",
    )
    runnable_timeout: limits.Number = option(
        0,
        ge=0,
        le=limits.LONGEST_WAIT,
        rule="must be the seconds that a job may wait for a machine, at most 31,536,000 (a year), or 0 to wait for "
        "ever",
        doc="Seconds that a job may wait for a machine before the task gives up and says why, and that a node may take "
        "to run after its job does, up to 31,536,000 (a year); 0 for ever.",
    )
    s3_bucket_owner: limits.BucketOwner = option(
        "",
        rule="must be the account that the bucket belongs to (twelve digits), empty for the one of the credentials, or "
        "'any' not to check it",
        doc="Account that the bucket has to belong to, as twelve digits, else S3 refuses each call; empty for the one "
        "of the credentials, `any` for no check.",
        command_line=True,
    )
    s3_kms_key_id: limits.KmsKey = option(
        "",
        rule="must be the id, the ARN or the alias (alias/…) of a KMS key, or empty for the bucket's own encryption",
        doc="KMS key (id, ARN or `alias/…`) for what is written to the bucket; empty for the bucket's own encryption. "
        "The container's program follows it if it is this package's runner.",
        command_line=True,
        deploy=Variable("KMS key for the bucket; empty for S3's own encryption."),
    )
    s3_cleanup: Literal["never", "success", "always"] = option(
        "never",
        rule="must be 'never', 'success' (delete the objects of a task that succeeded) or 'always'",
        doc="When a task's objects are deleted: `never`, on `success`, or `always`, also after a failure or "
        "cancellation, unless its job may go on or its result could not be read.",
        command_line=True,
    )
    platform: limits.Platform = option(
        "",
        rule="must be 'EC2', 'FARGATE', 'MANAGED_INSTANCES' or 'EKS', as the compute environments behind the queue "
        "are, or empty for what they are; Fargate has no GPUs, and memory that goes with vcpu",
        doc="`EC2`, `FARGATE`, `MANAGED_INSTANCES` or `EKS`, as the compute environments behind the queue are; empty "
        "for what they are, which AWS is asked once for a queue.",
        command_line=True,
        deploy=Variable("EC2 or FARGATE, as capacity says already; empty for that.", default=""),
    )
    assign_public_ip: limits.Flag = option(
        True,
        rule="must be True or False: whether a container on Fargate gets an address on the internet",
        doc="Whether a container on Fargate gets an address on the internet; without one it pulls images and reaches "
        "S3 by a NAT gateway or by endpoints only.",
        deploy=Variable(
            "Whether a job on Fargate gets a public address in subnets of yours; it always does in those made here."
        ),
    )
    ephemeral_storage: limits.Disk = option(
        0,
        rule="must be GB of a container's disk on Fargate, 21 to 200, or 0 for Fargate's own 20",
        doc="GB of a container's disk on Fargate, 21 to 200; 0 for Fargate's own 20.",
        deploy=Variable("GiB of disk of a job on Fargate, 21 to 200; 0 for disk_gb."),
    )

    runtime: limits.Runtime = option(
        "auto",
        rule="must be 'auto', 'image' (the image of container_image_uri has Covalent and this package, and starts the "
        "runner), 'bucket' (the server's own packages reach the job through the bucket, and the image has Python) or "
        "'ecr' (an image of both is made in the repository ecr_repo_name)",
        doc="Where a job has Covalent and this package from: its own `image`; or the `bucket`, for the server's own "
        "packages, packed once, in an image that has nothing but the same minor version of Python; or `ecr`, for an "
        "image of both that is made in `ecr_repo_name`. `auto` is `image` if `container_image_uri` is given, else "
        "`ecr` if `ecr_repo_name` is and an image can be made, else `bucket`.",
        command_line=True,
    )
    architecture: Literal["", "X86_64", "ARM64"] = option(
        "",
        rule="must be 'X86_64' or 'ARM64'; empty for the server's own, or X86_64 where that is no Linux",
        doc="Processor of the job's machine, `X86_64` or `ARM64` (Graviton); not given, it is the server's own, or "
        "`X86_64` where the server runs on macOS. On EC2 the instances of the queue have to have it; on Fargate and "
        "Managed Instances it is asked for.",
        command_line=True,
    )
    packages: limits.Packages = option(
        "",
        rule="must be 'sync' (what is installed where the workflow is made), a list of requirements such as "
        "['numpy>=2'], or the path of a requirements file or of a pylock.toml; empty for what DepsPip says",
        doc="What functions need besides `ct.DepsPip`: `sync` for what is installed where the workflow is made, a list "
        "of requirements, or the path of a requirements file or a `pylock.toml`, which is read there. It is fetched "
        "and packed once where `runtime` is not `image`.",
        deploy=Variable(
            "What functions need: sync, the path of a requirements file or a pylock.toml, or a JSON list of "
            "requirements."
        ),
    )
    packages_required: limits.Flag = option(
        False,
        rule="must be True (a task fails if its packages cannot be packed) or False (they are then installed in its "
        "job)",
        doc="Whether a task fails if its packages cannot be packed; else they are installed when its job starts.",
    )
    checkpoint: limits.Flag = option(
        False,
        rule="must be True (what the function writes into `checkpoint.directory()` is there in a later attempt) or "
        "False",
        doc="Whether the function has a directory that outlives an attempt: it is stored in the bucket while the "
        "function runs and when the job is told to end, and a later attempt finds it (`from covalent_awsbatch_plugin "
        "import checkpoint`, `checkpoint.directory()`). It needs this package in the container.",
    )
    checkpoint_interval: limits.Number = option(
        60,
        ge=1,
        le=limits.LONGEST_POLL,
        rule="must be seconds, 1 to 86,400 (a day)",
        doc="Seconds between storing the checkpoint, if it has changed, and storing it again; 1 to 86,400.",
    )
    on_server_stop: Literal["keep", "terminate"] = option(
        "keep",
        rule="must be 'keep' (jobs go on when Covalent's server stops) or 'terminate' (they are terminated)",
        doc="What becomes of a job when Covalent's server stops, as by `covalent stop`: `keep`: it goes on, and "
        "`covalent-awsbatch resume` has its dispatch go on, too; or `terminate`.",
    )
    resume_on_start: limits.Flag = option(
        False,
        rule="must be True (a server that starts resumes what an earlier one left) or False "
        "(`covalent-awsbatch resume` does)",
        doc="Whether Covalent's server resumes, as it starts, the dispatches that an earlier one left. It counts in "
        "the configuration of the server alone.",
    )
