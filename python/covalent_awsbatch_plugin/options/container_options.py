"""The options of a job's container: what is mounted, which secrets and limits it has, and how it is isolated."""

from __future__ import annotations

from typing import Annotated, Literal

from . import container_limits, limits
from .container_limits import MachinesOnly, NotInPods
from .definition import option
from .retry_options import RetryOptions


class ContainerOptions(RetryOptions):
    """They follow those of the job and of its place in the queue, which they are checked against."""

    shared_memory: Annotated[limits.Number, MachinesOnly] = option(
        0,
        ge=0,
        lt=limits.TOO_MUCH_MEMORY,
        rule="must be GB of shared memory (/dev/shm) of a container on a machine, less than 4,096; 0 for all of memory "
        "with GPUs, else for Docker's 64 MiB",
        doc="GB of shared memory (`/dev/shm`), which counts as memory of the job; 0 for all of `memory` with GPUs, as "
        "PyTorch's loaders need it, else for Docker's 64 MiB. Not on Fargate.",
    )
    volumes: container_limits.Volumes = option(
        {},
        rule="must be a dict of what is mounted at which path of the container: the path of a directory of the "
        "machine, the id of an EFS file system, the ARN of an S3 Files file system, claim: and a name on EKS, or empty "
        "for a directory of the job's own; or a dict with that as source and root, access_point, iam or read_only",
        doc='What is mounted where in the container: `{"/data": "/mnt/data"}` for a directory of the machine, an EFS '
        'file system (`"fs-0123abcd"`), an S3 Files file system (its ARN), a claim of Kubernetes (`"claim:name"`, on '
        'EKS), or `""` for an empty directory; '
        '`{"source": …, "root": …, "access_point": …, "iam": True, "read_only": True}` says more.',
    )
    secrets: container_limits.Secrets = option(
        {},
        rule="must be a dict of environment variables and where their values are: the ARN of a secret of Secrets "
        "Manager, or the ARN or /name of a parameter of the SSM Parameter Store",
        doc="Environment variables whose values the execution role fetches when the job starts, by the ARN of a secret "
        "(Secrets Manager), or the ARN or `/name` of a parameter (SSM Parameter Store). `covalent-awsbatch policy "
        "execution` prints the rights that it needs.",
        command_line=True,
        repr=False,
    )
    ulimits: container_limits.Ulimits = option(
        {},
        rule="must be a dict of limits of a process on a machine by their names, such as nofile or memlock: a whole "
        "number, or a soft and a hard one; -1 for none",
        doc='Limits of a process, such as `{"nofile": 65536, "memlock": [-1, -1]}`: one number, or a soft and a hard '
        "one; -1 for none. Not on Fargate.",
    )
    tmpfs: container_limits.Tmpfs = option(
        {},
        rule="must be a dict of GB by paths of a container on a machine, of which none stands in volumes, too",
        doc='File systems in memory, GB by path: `{"/scratch": 2}`. They count as memory of the job. Not on Fargate.',
    )
    devices: container_limits.Devices = option(
        "",
        rule="must be a list of devices of a machine, or a text with commas between them: '/dev/fuse', or "
        "'/dev/fuse:/dev/other:rwm' with another path in the container and permissions",
        doc='Devices of the machine: `["/dev/fuse"]`, or `"/dev/fuse:/dev/other:rwm"` with another path in the '
        "container and permissions to read, write and make nodes. Not on Fargate; GPUs come by `num_gpus`.",
    )
    privileged: Annotated[limits.Flag, MachinesOnly] = option(
        False,
        rule="must be True or False: whether the container may do what root may do on the machine",
        doc="Whether the container may do what root may do on the machine. Not on Fargate.",
    )
    user: container_limits.User = option(
        "",
        rule="must be a user of the container, by name or number, with a group behind a colon if need be; empty for "
        "the image's own",
        doc="User that the container runs as, by name or number: `1000`, `1000:100`; empty for the image's own.",
    )
    read_only_root: container_limits.ReadOnlyRoot = option(
        False,
        rule="must be True or False: whether the container's own files cannot be written to; something writable has to "
        "be mounted at /tmp",
        doc="Whether the container can write to nothing but its volumes and `tmpfs`, of which one has to be at `/tmp`.",
    )
    init: Annotated[limits.Flag, NotInPods] = option(
        False,
        rule="must be True or False: whether a process of Docker's is the first one in the container",
        doc="Whether a process of Docker's is the container's first one, which ends what functions leave behind.",
    )
    stop_timeout: container_limits.StopTimeout = option(
        0,
        ge=0,
        le=limits.LARGEST,
        rule="must be whole seconds from SIGTERM to SIGKILL, 2 or more, on Fargate at most 120; 0 for ECS's own 30",
        doc="Seconds from SIGTERM to SIGKILL when a job is terminated or AWS takes its machine back: 2 or more, on "
        "Fargate at most 120; 0 for ECS's own 30.",
    )
    ipc_mode: Annotated[Literal["", "host", "task", "none"], MachinesOnly, NotInPods] = option(
        "",
        rule="must be 'host', 'task' or 'none': with whom a container on a machine shares memory and semaphores; empty "
        "for Docker's own",
        doc="With whom the container shares memory and semaphores: all of the `host`, its `task`, or `none`; empty for "
        "what Docker does. Not on Fargate.",
    )
