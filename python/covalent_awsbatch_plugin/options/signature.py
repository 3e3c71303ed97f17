"""The options as a type checker and an editor see them. Written by `scripts/options.py` from `settings.py`."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from .settings import OPTIONS


class OptionKeywords:
    """The options as attributes of an executor, and as keywords of its constructor."""

    if TYPE_CHECKING:

        def _set_options(self, given: dict[str, Any], unknown: dict[str, Any]) -> None:
            """Where a class derived from this one does what an executor does with its options."""

    credentials: str
    """Path of a shared credentials file, never the keys themselves; empty for the SDK's own, `~/.aws/credentials`."""
    profile: str
    """AWS profile; empty for `AWS_PROFILE` or `default`."""
    region: str
    """AWS region of the queue, its jobs and their logs; the bucket may be in another one."""
    s3_bucket_name: str
    """Bucket for functions and results: its name, or the alias or ARN of an access point."""
    batch_queue: str
    """Job queue, by name or ARN."""
    batch_execution_role_name: str
    """Role of the ECS agent, by name or ARN."""
    batch_job_role_name: str
    """Role of the function in its container, by name or ARN; on EKS `eks_service_account` has it."""
    batch_job_log_group_name: str
    """CloudWatch log group of the container's output."""
    vcpu: float
    """vCPUs of a job, a whole number; on Fargate also 0.25 or 0.5, on Managed Instances and EKS any multiple of 0.25.
    """
    memory: float
    """GB of memory of a job, not MiB: less than 4,096; on Fargate the next size that goes with `vcpu`."""
    num_gpus: int
    """GPUs of a job, a whole number."""
    retry_attempts: int
    """How often Batch tries a job in all, 1 (no retry) to 10."""
    time_limit: int
    """Seconds that an attempt may run, 60 or more; 0 for no limit."""
    poll_freq: float
    """Seconds that a job's end may go unnoticed, up to 86,400; it is one second at most up to 500 running jobs, and
    whatever AWS's limit of calls allows beyond 5,000.
    """
    cache_dir: str
    """Accepted for the sake of older workflows; nothing is written there."""
    container_image_uri: str
    """Container image of the jobs; empty for Python's own, `public.ecr.aws/docker/library/python:X.Y-slim` with the X.Y
    of the Python that dispatches.
    """
    batch_job_definition_name: str
    """Name under which job definitions are registered."""
    ecr_repo_name: str
    """ECR repository. If one is given and no `container_image_uri`, an image of Python's own and the server's packages
    is made there, once for the same packages, without Docker.
    """
    endpoint_url: str
    """URL of an AWS-compatible service in place of AWS."""
    environment: dict[str, str]
    """More environment variables for the container. Covalent's database and AWS Batch show them in plain text: a secret
    belongs into Secrets Manager or the SSM Parameter Store.
    """
    tags: dict[str, str]
    """Tags of the job, propagated to its ECS task; up to 50, of letters, digits, spaces and `+ - = . _ : / @`."""
    retry_on: Literal["any", "infrastructure"]
    """Which failures of an attempt are followed by another one; `infrastructure`: all but those of a container that ran
    and exited, so no exception of the function.
    """
    runnable_timeout: float
    """Seconds that a job may wait for a machine before the task gives up and says why, and that a node may take to run
    after its job does, up to 31,536,000 (a year); 0 for ever.
    """
    s3_bucket_owner: str
    """Account that the bucket has to belong to, as twelve digits, else S3 refuses each call; empty for the one of the
    credentials, `any` for no check.
    """
    s3_kms_key_id: str
    """KMS key (id, ARN or `alias/…`) for what is written to the bucket; empty for the bucket's own encryption. The
    container's program follows it if it is this package's runner.
    """
    s3_cleanup: Literal["never", "success", "always"]
    """When a task's objects are deleted: `never`, on `success`, or `always`, also after a failure or cancellation,
    unless its job may go on or its result could not be read.
    """
    platform: Literal["", "EC2", "FARGATE", "MANAGED_INSTANCES", "EKS"]
    """`EC2`, `FARGATE`, `MANAGED_INSTANCES` or `EKS`, as the compute environments behind the queue are; empty for what
    they are, which AWS is asked once for a queue.
    """
    assign_public_ip: bool
    """Whether a container on Fargate gets an address on the internet; without one it pulls images and reaches S3 by a
    NAT gateway or by endpoints only.
    """
    ephemeral_storage: int
    """GB of a container's disk on Fargate, 21 to 200; 0 for Fargate's own 20."""
    runtime: Literal["auto", "image", "bucket", "ecr"]
    """Where a job has Covalent and this package from: its own `image`; or the `bucket`, for the server's own packages,
    packed once, in an image that has nothing but the same minor version of Python; or `ecr`, for an image of both that
    is made in `ecr_repo_name`. `auto` is `image` if `container_image_uri` is given, else `ecr` if `ecr_repo_name` is
    and an image can be made, else `bucket`.
    """
    architecture: Literal["", "X86_64", "ARM64"]
    """Processor of the job's machine, `X86_64` or `ARM64` (Graviton); not given, it is the server's own, or `X86_64`
    where the server runs on macOS. On EC2 the instances of the queue have to have it; on Fargate and Managed Instances
    it is asked for.
    """
    packages: str | list[str]
    """What functions need besides `ct.DepsPip`: `sync` for what is installed where the workflow is made, a list of
    requirements, or the path of a requirements file or a `pylock.toml`, which is read there. It is fetched and packed
    once where `runtime` is not `image`.
    """
    packages_required: bool
    """Whether a task fails if its packages cannot be packed; else they are installed when its job starts."""
    checkpoint: bool
    """Whether the function has a directory that outlives an attempt: it is stored in the bucket while the function runs
    and when the job is told to end, and a later attempt finds it (`from covalent_awsbatch_plugin import checkpoint`,
    `checkpoint.directory()`). It needs this package in the container.
    """
    checkpoint_interval: float
    """Seconds between storing the checkpoint, if it has changed, and storing it again; 1 to 86,400."""
    on_server_stop: Literal["keep", "terminate"]
    """What becomes of a job when Covalent's server stops, as by `covalent stop`: `keep`: it goes on, and
    `covalent-awsbatch resume` has its dispatch go on, too; or `terminate`.
    """
    resume_on_start: bool
    """Whether Covalent's server resumes, as it starts, the dispatches that an earlier one left. It counts in the
    configuration of the server alone.
    """
    share_identifier: str
    """Share of a queue with a fair-share scheduling policy, up to 255 letters and digits: a team, a user, a project.
    Such a queue takes no job without one, and any other queue no job with one.
    """
    scheduling_priority: int
    """Priority of a job among those of the same `share_identifier`, 0 to 9,999; higher ones go first."""
    consumable_resources: dict[str, int]
    """What a job needs of consumable resources of AWS Batch, such as licences, by name or ARN: `{"licence": 1}`; 5 at
    most. It waits in the queue until all of it is there, and has it until it has ended.
    """
    retry_memory_factor: float
    """How many times as much memory the next attempt has after one that took more than it had, 1 (no growth) to 16: on
    Fargate the next size that goes with `vcpu`, and no more than the queue's machines hold, where their types tell.
    `retry_attempts` counts all attempts.
    """
    retry_queues: str | list[str]
    """Job queues for the attempts after a lost machine, one after the other: `["on-demand"]` where `batch_queue` has
    spot machines. The last one is kept. `retry_attempts` counts all attempts.
    """
    spot_notice: bool
    """Whether the runner asks EC2 every 5 seconds if its spot machine is to be taken back, which is announced two
    minutes before, and passes that on to the function (`from covalent_awsbatch_plugin import interruption`,
    `interruption.on_notice()`); a checkpoint is stored then, too. It needs this package in the container. On Fargate,
    SIGTERM is the word, with or without it.
    """
    shared_memory: float
    """GB of shared memory (`/dev/shm`), which counts as memory of the job; 0 for all of `memory` with GPUs, as
    PyTorch's loaders need it, else for Docker's 64 MiB. Not on Fargate.
    """
    volumes: dict[str, str | dict[str, Any]]
    """What is mounted where in the container: `{"/data": "/mnt/data"}` for a directory of the machine, an EFS file
    system (`"fs-0123abcd"`), an S3 Files file system (its ARN), a claim of Kubernetes (`"claim:name"`, on EKS), or `""`
    for an empty directory; `{"source": …, "root": …, "access_point": …, "iam": True, "read_only": True}` says more.
    """
    secrets: dict[str, str]
    """Environment variables whose values the execution role fetches when the job starts, by the ARN of a secret
    (Secrets Manager), or the ARN or `/name` of a parameter (SSM Parameter Store). `covalent-awsbatch policy execution`
    prints the rights that it needs.
    """
    ulimits: dict[str, int | list[int]]
    """Limits of a process, such as `{"nofile": 65536, "memlock": [-1, -1]}`: one number, or a soft and a hard one; -1
    for none. Not on Fargate.
    """
    tmpfs: dict[str, float]
    """File systems in memory, GB by path: `{"/scratch": 2}`. They count as memory of the job. Not on Fargate."""
    devices: str | list[str]
    """Devices of the machine: `["/dev/fuse"]`, or `"/dev/fuse:/dev/other:rwm"` with another path in the container and
    permissions to read, write and make nodes. Not on Fargate; GPUs come by `num_gpus`.
    """
    privileged: bool
    """Whether the container may do what root may do on the machine. Not on Fargate."""
    user: str
    """User that the container runs as, by name or number: `1000`, `1000:100`; empty for the image's own."""
    read_only_root: bool
    """Whether the container can write to nothing but its volumes and `tmpfs`, of which one has to be at `/tmp`."""
    init: bool
    """Whether a process of Docker's is the container's first one, which ends what functions leave behind."""
    stop_timeout: int
    """Seconds from SIGTERM to SIGKILL when a job is terminated or AWS takes its machine back: 2 or more, on Fargate at
    most 120; 0 for ECS's own 30.
    """
    ipc_mode: Literal["", "host", "task", "none"]
    """With whom the container shares memory and semaphores: all of the `host`, its `task`, or `none`; empty for what
    Docker does. Not on Fargate.
    """
    job_definition: str
    """Job definition of one's own, as `name`, `name:revision` or ARN, of one container (`containerProperties`) whose
    image has Covalent and this package. Nothing is registered then, and only size, environment, time limit, attempts
    and tags are said of each job.
    """
    job_definition_overrides: dict[str, Any]
    """Fields of AWS Batch's `RegisterJobDefinition` that are merged into what the executor registers, for what no
    option says. A dict goes into the dict there; of lists, an element takes the place of the one of its name; None
    takes a field away.
    """
    eks_namespace: str
    """Namespace of the pod on EKS; empty for the one of the compute environment."""
    eks_service_account: str
    """Service account of the pod on EKS, whose IAM role takes the place of `batch_job_role_name`; empty for the
    namespace's own.
    """
    nodes: int
    """Machines of a queue of on-demand instances that run the function at the same time, 1 to 1,000, each as large as
    the other options say (`from covalent_awsbatch_plugin import nodes`). The job is placed when there is room for all
    of them, and ends when node 0 has ended or another one has failed.
    """
    node_results: Literal["main", "all"]
    """Which of several nodes make the electron's result: `main` for node 0, whose return ends the job; `all` for a list
    of what each of them returns, for which node 0 waits.
    """
    efa: bool
    """Whether the container has its machine's Elastic Fabric Adapter, and may lock as much memory as that needs. The
    machine has to have one, with its driver. Not on Fargate.
    """

    def __init__(  # noqa: PLR0913, PLR0917  (the order is that of the public plugin)
        self,
        credentials: str | PathLike[str] | None = None,
        profile: str | None = None,
        region: str | None = None,
        s3_bucket_name: str | None = None,
        batch_queue: str | None = None,
        batch_execution_role_name: str | None = None,
        batch_job_role_name: str | None = None,
        batch_job_log_group_name: str | None = None,
        vcpu: float | None = None,
        memory: float | None = None,
        num_gpus: int | None = None,
        retry_attempts: int | None = None,
        time_limit: int | None = None,
        poll_freq: float | None = None,
        cache_dir: str | PathLike[str] | None = None,
        container_image_uri: str | None = None,
        *,
        batch_job_definition_name: str | None = None,
        ecr_repo_name: str | None = None,
        endpoint_url: str | None = None,
        environment: dict[str, str] | None = None,
        tags: dict[str, str] | None = None,
        retry_on: Literal["any", "infrastructure"] | None = None,
        runnable_timeout: float | None = None,
        s3_bucket_owner: str | None = None,
        s3_kms_key_id: str | None = None,
        s3_cleanup: Literal["never", "success", "always"] | None = None,
        platform: Literal["", "EC2", "FARGATE", "MANAGED_INSTANCES", "EKS"] | None = None,
        assign_public_ip: bool | None = None,
        ephemeral_storage: int | None = None,
        runtime: Literal["auto", "image", "bucket", "ecr"] | None = None,
        architecture: Literal["", "X86_64", "ARM64"] | None = None,
        packages: str | list[str] | PathLike[str] | None = None,
        packages_required: bool | None = None,
        checkpoint: bool | None = None,
        checkpoint_interval: float | None = None,
        on_server_stop: Literal["keep", "terminate"] | None = None,
        resume_on_start: bool | None = None,
        share_identifier: str | None = None,
        scheduling_priority: int | None = None,
        consumable_resources: dict[str, int] | None = None,
        retry_memory_factor: float | None = None,
        retry_queues: str | list[str] | None = None,
        spot_notice: bool | None = None,
        shared_memory: float | None = None,
        volumes: dict[str, str | dict[str, Any]] | None = None,
        secrets: dict[str, str] | None = None,
        ulimits: dict[str, int | list[int]] | None = None,
        tmpfs: dict[str, float] | None = None,
        devices: str | list[str] | None = None,
        privileged: bool | None = None,
        user: str | None = None,
        read_only_root: bool | None = None,
        init: bool | None = None,
        stop_timeout: int | None = None,
        ipc_mode: Literal["", "host", "task", "none"] | None = None,
        job_definition: str | None = None,
        job_definition_overrides: dict[str, Any] | None = None,
        eks_namespace: str | None = None,
        eks_service_account: str | None = None,
        nodes: int | None = None,
        node_results: Literal["main", "all"] | None = None,
        efa: bool | None = None,
        **unknown: Any,
    ) -> None:
        """An option that is left out, or None, gets its value where and when the task runs.

        Args:
            credentials: Path of a shared credentials file, never the keys themselves; empty for the SDK's own,
                `~/.aws/credentials`. Default: empty.
            profile: AWS profile; empty for `AWS_PROFILE` or `default`. Default: empty.
            region: AWS region of the queue, its jobs and their logs; the bucket may be in another one. Default:
                `us-east-1`.
            s3_bucket_name: Bucket for functions and results: its name, or the alias or ARN of an access point. Default:
                `covalent-batch-job-resources`.
            batch_queue: Job queue, by name or ARN. Default: `covalent-batch-queue`.
            batch_execution_role_name: Role of the ECS agent, by name or ARN. Default: `ecsTaskExecutionRole`.
            batch_job_role_name: Role of the function in its container, by name or ARN; on EKS `eks_service_account` has
                it. Default: `CovalentBatchJobRole`.
            batch_job_log_group_name: CloudWatch log group of the container's output. Default:
                `covalent-batch-job-logs`.
            vcpu: vCPUs of a job, a whole number; on Fargate also 0.25 or 0.5, on Managed Instances and EKS any multiple
                of 0.25. Default: `2`.
            memory: GB of memory of a job, not MiB: less than 4,096; on Fargate the next size that goes with `vcpu`.
                Default: `3.75`.
            num_gpus: GPUs of a job, a whole number. Default: `0`.
            retry_attempts: How often Batch tries a job in all, 1 (no retry) to 10. Default: `3`.
            time_limit: Seconds that an attempt may run, 60 or more; 0 for no limit. Default: `300`.
            poll_freq: Seconds that a job's end may go unnoticed, up to 86,400; it is one second at most up to 500
                running jobs, and whatever AWS's limit of calls allows beyond 5,000. Default: `10`.
            cache_dir: Accepted for the sake of older workflows; nothing is written there. Default: `/tmp/covalent`.
            container_image_uri: Container image of the jobs; empty for Python's own,
                `public.ecr.aws/docker/library/python:X.Y-slim` with the X.Y of the Python that dispatches. Default:
                empty.
            batch_job_definition_name: Name under which job definitions are registered. Default: `covalent-batch-jobs`.
            ecr_repo_name: ECR repository. If one is given and no `container_image_uri`, an image of Python's own and
                the server's packages is made there, once for the same packages, without Docker. Default: empty.
            endpoint_url: URL of an AWS-compatible service in place of AWS. Default: empty.
            environment: More environment variables for the container. Covalent's database and AWS Batch show them in
                plain text: a secret belongs into Secrets Manager or the SSM Parameter Store. Default: none.
            tags: Tags of the job, propagated to its ECS task; up to 50, of letters, digits, spaces and `+ - = . _ : /
                @`. Default: none.
            retry_on: Which failures of an attempt are followed by another one; `infrastructure`: all but those of a
                container that ran and exited, so no exception of the function. Default: `any`.
            runnable_timeout: Seconds that a job may wait for a machine before the task gives up and says why, and that
                a node may take to run after its job does, up to 31,536,000 (a year); 0 for ever. Default: `0`.
            s3_bucket_owner: Account that the bucket has to belong to, as twelve digits, else S3 refuses each call;
                empty for the one of the credentials, `any` for no check. Default: empty.
            s3_kms_key_id: KMS key (id, ARN or `alias/…`) for what is written to the bucket; empty for the bucket's own
                encryption. The container's program follows it if it is this package's runner. Default: empty.
            s3_cleanup: When a task's objects are deleted: `never`, on `success`, or `always`, also after a failure or
                cancellation, unless its job may go on or its result could not be read. Default: `never`.
            platform: `EC2`, `FARGATE`, `MANAGED_INSTANCES` or `EKS`, as the compute environments behind the queue are;
                empty for what they are, which AWS is asked once for a queue. Default: empty.
            assign_public_ip: Whether a container on Fargate gets an address on the internet; without one it pulls
                images and reaches S3 by a NAT gateway or by endpoints only. Default: `True`.
            ephemeral_storage: GB of a container's disk on Fargate, 21 to 200; 0 for Fargate's own 20. Default: `0`.
            runtime: Where a job has Covalent and this package from: its own `image`; or the `bucket`, for the server's
                own packages, packed once, in an image that has nothing but the same minor version of Python; or `ecr`,
                for an image of both that is made in `ecr_repo_name`. `auto` is `image` if `container_image_uri` is
                given, else `ecr` if `ecr_repo_name` is and an image can be made, else `bucket`. Default: `auto`.
            architecture: Processor of the job's machine, `X86_64` or `ARM64` (Graviton); not given, it is the server's
                own, or `X86_64` where the server runs on macOS. On EC2 the instances of the queue have to have it; on
                Fargate and Managed Instances it is asked for. Default: empty.
            packages: What functions need besides `ct.DepsPip`: `sync` for what is installed where the workflow is made,
                a list of requirements, or the path of a requirements file or a `pylock.toml`, which is read there. It
                is fetched and packed once where `runtime` is not `image`. Default: empty.
            packages_required: Whether a task fails if its packages cannot be packed; else they are installed when its
                job starts. Default: `False`.
            checkpoint: Whether the function has a directory that outlives an attempt: it is stored in the bucket while
                the function runs and when the job is told to end, and a later attempt finds it (`from
                covalent_awsbatch_plugin import checkpoint`, `checkpoint.directory()`). It needs this package in the
                container. Default: `False`.
            checkpoint_interval: Seconds between storing the checkpoint, if it has changed, and storing it again; 1 to
                86,400. Default: `60`.
            on_server_stop: What becomes of a job when Covalent's server stops, as by `covalent stop`: `keep`: it goes
                on, and `covalent-awsbatch resume` has its dispatch go on, too; or `terminate`. Default: `keep`.
            resume_on_start: Whether Covalent's server resumes, as it starts, the dispatches that an earlier one left.
                It counts in the configuration of the server alone. Default: `False`.
            share_identifier: Share of a queue with a fair-share scheduling policy, up to 255 letters and digits: a
                team, a user, a project. Such a queue takes no job without one, and any other queue no job with one.
                Default: empty.
            scheduling_priority: Priority of a job among those of the same `share_identifier`, 0 to 9,999; higher ones
                go first. Default: `0`.
            consumable_resources: What a job needs of consumable resources of AWS Batch, such as licences, by name or
                ARN: `{"licence": 1}`; 5 at most. It waits in the queue until all of it is there, and has it until it
                has ended. Default: none.
            retry_memory_factor: How many times as much memory the next attempt has after one that took more than it
                had, 1 (no growth) to 16: on Fargate the next size that goes with `vcpu`, and no more than the queue's
                machines hold, where their types tell. `retry_attempts` counts all attempts. Default: `1`.
            retry_queues: Job queues for the attempts after a lost machine, one after the other: `["on-demand"]` where
                `batch_queue` has spot machines. The last one is kept. `retry_attempts` counts all attempts. Default:
                empty.
            spot_notice: Whether the runner asks EC2 every 5 seconds if its spot machine is to be taken back, which is
                announced two minutes before, and passes that on to the function (`from covalent_awsbatch_plugin import
                interruption`, `interruption.on_notice()`); a checkpoint is stored then, too. It needs this package in
                the container. On Fargate, SIGTERM is the word, with or without it. Default: `False`.
            shared_memory: GB of shared memory (`/dev/shm`), which counts as memory of the job; 0 for all of `memory`
                with GPUs, as PyTorch's loaders need it, else for Docker's 64 MiB. Not on Fargate. Default: `0`.
            volumes: What is mounted where in the container: `{"/data": "/mnt/data"}` for a directory of the machine, an
                EFS file system (`"fs-0123abcd"`), an S3 Files file system (its ARN), a claim of Kubernetes
                (`"claim:name"`, on EKS), or `""` for an empty directory; `{"source": …, "root": …, "access_point": …,
                "iam": True, "read_only": True}` says more. Default: none.
            secrets: Environment variables whose values the execution role fetches when the job starts, by the ARN of a
                secret (Secrets Manager), or the ARN or `/name` of a parameter (SSM Parameter Store). `covalent-awsbatch
                policy execution` prints the rights that it needs. Default: none.
            ulimits: Limits of a process, such as `{"nofile": 65536, "memlock": [-1, -1]}`: one number, or a soft and a
                hard one; -1 for none. Not on Fargate. Default: none.
            tmpfs: File systems in memory, GB by path: `{"/scratch": 2}`. They count as memory of the job. Not on
                Fargate. Default: none.
            devices: Devices of the machine: `["/dev/fuse"]`, or `"/dev/fuse:/dev/other:rwm"` with another path in the
                container and permissions to read, write and make nodes. Not on Fargate; GPUs come by `num_gpus`.
                Default: empty.
            privileged: Whether the container may do what root may do on the machine. Not on Fargate. Default: `False`.
            user: User that the container runs as, by name or number: `1000`, `1000:100`; empty for the image's own.
                Default: empty.
            read_only_root: Whether the container can write to nothing but its volumes and `tmpfs`, of which one has to
                be at `/tmp`. Default: `False`.
            init: Whether a process of Docker's is the container's first one, which ends what functions leave behind.
                Default: `False`.
            stop_timeout: Seconds from SIGTERM to SIGKILL when a job is terminated or AWS takes its machine back: 2 or
                more, on Fargate at most 120; 0 for ECS's own 30. Default: `0`.
            ipc_mode: With whom the container shares memory and semaphores: all of the `host`, its `task`, or `none`;
                empty for what Docker does. Not on Fargate. Default: empty.
            job_definition: Job definition of one's own, as `name`, `name:revision` or ARN, of one container
                (`containerProperties`) whose image has Covalent and this package. Nothing is registered then, and only
                size, environment, time limit, attempts and tags are said of each job. Default: empty.
            job_definition_overrides: Fields of AWS Batch's `RegisterJobDefinition` that are merged into what the
                executor registers, for what no option says. A dict goes into the dict there; of lists, an element takes
                the place of the one of its name; None takes a field away. Default: none.
            eks_namespace: Namespace of the pod on EKS; empty for the one of the compute environment. Default: empty.
            eks_service_account: Service account of the pod on EKS, whose IAM role takes the place of
                `batch_job_role_name`; empty for the namespace's own. Default: empty.
            nodes: Machines of a queue of on-demand instances that run the function at the same time, 1 to 1,000, each
                as large as the other options say (`from covalent_awsbatch_plugin import nodes`). The job is placed when
                there is room for all of them, and ends when node 0 has ended or another one has failed. Default: `1`.
            node_results: Which of several nodes make the electron's result: `main` for node 0, whose return ends the
                job; `all` for a list of what each of them returns, for which node 0 waits. Default: `main`.
            efa: Whether the container has its machine's Elastic Fabric Adapter, and may lock as much memory as that
                needs. The machine has to have one, with its driver. Not on Fargate. Default: `False`.
            **unknown: Keys that another version left in the configuration: not used, with one warning.

        Raises:
            SettingsError: Values that AWS would refuse, all of them in one message. What comes from the configuration
                is checked when a task runs, and so is whether it goes together with what was given.
            TypeError: A keyword that is no option.
        """
        arguments = locals()  # first of all, while it holds nothing else
        super().__init__()
        self._set_options({name: arguments[name] for name in OPTIONS if arguments[name] is not None}, unknown)
