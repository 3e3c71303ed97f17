# The options of AWSBatchExecutor as variables, and their values as they were given. Written by scripts/options.py from
# options/settings.py.

variable "credentials" {
  type        = string
  default     = ""
  description = "Path of a shared credentials file, never the keys themselves; empty for the SDK's own, '~/.aws/credentials'."
}

variable "profile" {
  type        = string
  default     = ""
  description = "AWS profile; empty for 'AWS_PROFILE' or 'default'."
}

variable "region" {
  type        = string
  default     = "us-east-1"
  description = "AWS region."
}

variable "s3_bucket_name" {
  type        = string
  default     = ""
  description = "Name of the bucket; empty for one of prefix, account and region."
}

variable "batch_queue" {
  type        = string
  default     = ""
  description = "Name of the queue; empty for one of the prefix."
}

variable "batch_execution_role_name" {
  type        = string
  default     = ""
  description = "Name of the execution role; empty for one of the prefix."
}

variable "batch_job_role_name" {
  type        = string
  default     = ""
  description = "Name of the job role; empty for one of the prefix."
}

variable "batch_job_log_group_name" {
  type        = string
  default     = ""
  description = "Name of the log group; empty for one of the prefix."
}

variable "vcpu" {
  type        = number
  default     = 2
  description = "vCPUs of a job, a whole number; on Fargate also 0.25 or 0.5, on Managed Instances and EKS any multiple of 0.25."
}

variable "memory" {
  type        = number
  default     = 3.75
  description = "GB of memory of a job, not MiB: less than 4,096; on Fargate the next size that goes with 'vcpu'."
}

variable "num_gpus" {
  type        = number
  default     = 0
  description = "GPUs of a job, a whole number."
}

variable "retry_attempts" {
  type        = number
  default     = 3
  description = "How often Batch tries a job in all, 1 (no retry) to 10."
}

variable "time_limit" {
  type        = number
  default     = 300
  description = "Seconds that an attempt may run, 60 or more; 0 for no limit."
}

variable "poll_freq" {
  type        = number
  default     = 10
  description = "Seconds that a job's end may go unnoticed, up to 86,400; it is one second at most up to 500 running jobs, and whatever AWS's limit of calls allows beyond 5,000."
}

variable "cache_dir" {
  type        = string
  default     = "/tmp/covalent"
  description = "Accepted for the sake of older workflows; nothing is written there."
}

variable "container_image_uri" {
  type        = string
  default     = ""
  description = "Container image of the jobs; empty for Python's own, 'public.ecr.aws/docker/library/python:X.Y-slim' with the X.Y of the Python that dispatches."
}

variable "batch_job_definition_name" {
  type        = string
  default     = "covalent-batch-jobs"
  description = "Name under which job definitions are registered."
}

variable "ecr_repo_name" {
  type        = string
  default     = ""
  description = "Name of the ECR repository; empty for the prefix."
}

variable "endpoint_url" {
  type        = string
  default     = ""
  description = "URL of an AWS-compatible service in place of AWS."
}

variable "environment" {
  type        = string
  default     = ""
  description = "Environment variables of the jobs: name:value with commas between, or a JSON object."

  validation {
    condition = (
      startswith(trimspace(var.environment), "{")
      ? can({ for name, value in jsondecode(var.environment) : name => tostring(value) })
      : alltrue([for pair in compact(split(",", var.environment)) : can(regex("^[^:=]+[:=]", pair))])
    )
    error_message = "environment must be name:value with commas between, or a JSON object."
  }
}

variable "tags" {
  type        = string
  default     = ""
  description = "Tags of the jobs and of all that is created: name:value with commas between, or a JSON object."

  validation {
    condition = (
      startswith(trimspace(var.tags), "{")
      ? can({ for name, value in jsondecode(var.tags) : name => tostring(value) })
      : alltrue([for pair in compact(split(",", var.tags)) : can(regex("^[^:=]+[:=]", pair))])
    )
    error_message = "tags must be name:value with commas between, or a JSON object."
  }
}

variable "retry_on" {
  type        = string
  default     = "any"
  description = "Which failures of an attempt are followed by another one; 'infrastructure': all but those of a container that ran and exited, so no exception of the function."
}

variable "runnable_timeout" {
  type        = number
  default     = 0
  description = "Seconds that a job may wait for a machine before the task gives up and says why, and that a node may take to run after its job does, up to 31,536,000 (a year); 0 for ever."
}

variable "s3_bucket_owner" {
  type        = string
  default     = ""
  description = "Account that the bucket has to belong to, as twelve digits, else S3 refuses each call; empty for the one of the credentials, 'any' for no check."
}

variable "s3_kms_key_id" {
  type        = string
  default     = ""
  description = "KMS key for the bucket; empty for S3's own encryption."
}

variable "s3_cleanup" {
  type        = string
  default     = "never"
  description = "When a task's objects are deleted: 'never', on 'success', or 'always', also after a failure or cancellation, unless its job may go on or its result could not be read."
}

variable "platform" {
  type        = string
  default     = ""
  description = "EC2 or FARGATE, as capacity says already; empty for that."
}

variable "assign_public_ip" {
  type        = bool
  default     = true
  description = "Whether a job on Fargate gets a public address in subnets of yours; it always does in those made here."
}

variable "ephemeral_storage" {
  type        = number
  default     = 0
  description = "GiB of disk of a job on Fargate, 21 to 200; 0 for disk_gb."
}

variable "runtime" {
  type        = string
  default     = "auto"
  description = "Where a job has Covalent and this package from: its own 'image'; or the 'bucket', for the server's own packages, packed once, in an image that has nothing but the same minor version of Python; or 'ecr', for an image of both that is made in 'ecr_repo_name'. 'auto' is 'image' if 'container_image_uri' is given, else 'ecr' if 'ecr_repo_name' is and an image can be made, else 'bucket'."
}

variable "architecture" {
  type        = string
  default     = ""
  description = "Processor of the job's machine, 'X86_64' or 'ARM64' (Graviton); not given, it is the server's own, or 'X86_64' where the server runs on macOS. On EC2 the instances of the queue have to have it; on Fargate and Managed Instances it is asked for."
}

variable "packages" {
  type        = string
  default     = ""
  description = "What functions need: sync, the path of a requirements file or a pylock.toml, or a JSON list of requirements."
}

variable "packages_required" {
  type        = bool
  default     = false
  description = "Whether a task fails if its packages cannot be packed; else they are installed when its job starts."
}

variable "checkpoint" {
  type        = bool
  default     = false
  description = "Whether the function has a directory that outlives an attempt: it is stored in the bucket while the function runs and when the job is told to end, and a later attempt finds it ('from covalent_awsbatch_plugin import checkpoint', 'checkpoint.directory()'). It needs this package in the container."
}

variable "checkpoint_interval" {
  type        = number
  default     = 60
  description = "Seconds between storing the checkpoint, if it has changed, and storing it again; 1 to 86,400."
}

variable "on_server_stop" {
  type        = string
  default     = "keep"
  description = "What becomes of a job when Covalent's server stops, as by 'covalent stop': 'keep': it goes on, and 'covalent-awsbatch resume' has its dispatch go on, too; or 'terminate'."
}

variable "resume_on_start" {
  type        = bool
  default     = false
  description = "Whether Covalent's server resumes, as it starts, the dispatches that an earlier one left. It counts in the configuration of the server alone."
}

variable "share_identifier" {
  type        = string
  default     = ""
  description = "Share of a queue with a fair-share scheduling policy, up to 255 letters and digits: a team, a user, a project. Such a queue takes no job without one, and any other queue no job with one."
}

variable "scheduling_priority" {
  type        = number
  default     = 0
  description = "Priority of a job among those of the same 'share_identifier', 0 to 9,999; higher ones go first."
}

variable "consumable_resources" {
  type        = string
  default     = ""
  description = "What a job needs of consumable resources of AWS Batch, such as licences, by name or ARN: '{\"licence\": 1}'; 5 at most. It waits in the queue until all of it is there, and has it until it has ended."

  validation {
    condition = (
      startswith(trimspace(var.consumable_resources), "{")
      ? can(jsondecode(var.consumable_resources))
      : alltrue([for pair in compact(split(",", var.consumable_resources)) : can(regex("^[^:=]+[:=]", pair))])
    )
    error_message = "consumable_resources must be name:value with commas between, or a JSON object."
  }
}

variable "retry_memory_factor" {
  type        = number
  default     = 1
  description = "How many times as much memory the next attempt has after one that took more than it had, 1 (no growth) to 16: on Fargate the next size that goes with 'vcpu', and no more than the queue's machines hold, where their types tell. 'retry_attempts' counts all attempts."
}

variable "retry_queues" {
  type        = string
  default     = ""
  description = "Job queues for the attempts after a lost machine, one after the other: '[\"on-demand\"]' where 'batch_queue' has spot machines. The last one is kept. 'retry_attempts' counts all attempts."
}

variable "spot_notice" {
  type        = bool
  default     = false
  description = "Whether the runner asks EC2 every 5 seconds if its spot machine is to be taken back, which is announced two minutes before, and passes that on to the function ('from covalent_awsbatch_plugin import interruption', 'interruption.on_notice()'); a checkpoint is stored then, too. It needs this package in the container. On Fargate, SIGTERM is the word, with or without it."
}

variable "shared_memory" {
  type        = number
  default     = 0
  description = "GB of shared memory ('/dev/shm'), which counts as memory of the job; 0 for all of 'memory' with GPUs, as PyTorch's loaders need it, else for Docker's 64 MiB. Not on Fargate."
}

variable "volumes" {
  type        = string
  default     = ""
  description = "What is mounted where in the container: '{\"/data\": \"/mnt/data\"}' for a directory of the machine, an EFS file system ('\"fs-0123abcd\"'), an S3 Files file system (its ARN), a claim of Kubernetes ('\"claim:name\"', on EKS), or '\"\"' for an empty directory; '{\"source\": …, \"root\": …, \"access_point\": …, \"iam\": True, \"read_only\": True}' says more."

  validation {
    condition = (
      startswith(trimspace(var.volumes), "{")
      ? can(jsondecode(var.volumes))
      : alltrue([for pair in compact(split(",", var.volumes)) : can(regex("^[^:=]+[:=]", pair))])
    )
    error_message = "volumes must be name:value with commas between, or a JSON object."
  }
}

variable "secrets" {
  type        = string
  default     = ""
  description = "Environment variables whose values the execution role fetches when the job starts, by the ARN of a secret (Secrets Manager), or the ARN or '/name' of a parameter (SSM Parameter Store). 'covalent-awsbatch policy execution' prints the rights that it needs."

  validation {
    condition = (
      startswith(trimspace(var.secrets), "{")
      ? can({ for name, value in jsondecode(var.secrets) : name => tostring(value) })
      : alltrue([for pair in compact(split(",", var.secrets)) : can(regex("^[^:=]+[:=]", pair))])
    )
    error_message = "secrets must be name:value with commas between, or a JSON object."
  }
}

variable "ulimits" {
  type        = string
  default     = ""
  description = "Limits of a process, such as '{\"nofile\": 65536, \"memlock\": [-1, -1]}': one number, or a soft and a hard one; -1 for none. Not on Fargate."

  validation {
    condition = (
      startswith(trimspace(var.ulimits), "{")
      ? can(jsondecode(var.ulimits))
      : alltrue([for pair in compact(split(",", var.ulimits)) : can(regex("^[^:=]+[:=]", pair))])
    )
    error_message = "ulimits must be name:value with commas between, or a JSON object."
  }
}

variable "tmpfs" {
  type        = string
  default     = ""
  description = "File systems in memory, GB by path: '{\"/scratch\": 2}'. They count as memory of the job. Not on Fargate."

  validation {
    condition = (
      startswith(trimspace(var.tmpfs), "{")
      ? can(jsondecode(var.tmpfs))
      : alltrue([for pair in compact(split(",", var.tmpfs)) : can(regex("^[^:=]+[:=]", pair))])
    )
    error_message = "tmpfs must be name:value with commas between, or a JSON object."
  }
}

variable "devices" {
  type        = string
  default     = ""
  description = "Devices of the machine: '[\"/dev/fuse\"]', or '\"/dev/fuse:/dev/other:rwm\"' with another path in the container and permissions to read, write and make nodes. Not on Fargate; GPUs come by 'num_gpus'."
}

variable "privileged" {
  type        = bool
  default     = false
  description = "Whether the container may do what root may do on the machine. Not on Fargate."
}

variable "user" {
  type        = string
  default     = ""
  description = "User that the container runs as, by name or number: '1000', '1000:100'; empty for the image's own."
}

variable "read_only_root" {
  type        = bool
  default     = false
  description = "Whether the container can write to nothing but its volumes and 'tmpfs', of which one has to be at '/tmp'."
}

variable "init" {
  type        = bool
  default     = false
  description = "Whether a process of Docker's is the container's first one, which ends what functions leave behind."
}

variable "stop_timeout" {
  type        = number
  default     = 0
  description = "Seconds from SIGTERM to SIGKILL when a job is terminated or AWS takes its machine back: 2 or more, on Fargate at most 120; 0 for ECS's own 30."
}

variable "ipc_mode" {
  type        = string
  default     = ""
  description = "With whom the container shares memory and semaphores: all of the 'host', its 'task', or 'none'; empty for what Docker does. Not on Fargate."
}

variable "job_definition" {
  type        = string
  default     = ""
  description = "Job definition of one's own, as 'name', 'name:revision' or ARN, of one container ('containerProperties') whose image has Covalent and this package. Nothing is registered then, and only size, environment, time limit, attempts and tags are said of each job."
}

variable "job_definition_overrides" {
  type        = string
  default     = ""
  description = "Fields of AWS Batch's 'RegisterJobDefinition' that are merged into what the executor registers, for what no option says. A dict goes into the dict there; of lists, an element takes the place of the one of its name; None takes a field away."

  validation {
    condition = (
      startswith(trimspace(var.job_definition_overrides), "{")
      ? can(jsondecode(var.job_definition_overrides))
      : alltrue([for pair in compact(split(",", var.job_definition_overrides)) : can(regex("^[^:=]+[:=]", pair))])
    )
    error_message = "job_definition_overrides must be name:value with commas between, or a JSON object."
  }
}

variable "eks_namespace" {
  type        = string
  default     = ""
  description = "Namespace of the pod on EKS; empty for the one of the compute environment."
}

variable "eks_service_account" {
  type        = string
  default     = ""
  description = "Service account of the pod on EKS, whose IAM role takes the place of 'batch_job_role_name'; empty for the namespace's own."
}

variable "nodes" {
  type        = number
  default     = 1
  description = "Machines of a queue of on-demand instances that run the function at the same time, 1 to 1,000, each as large as the other options say ('from covalent_awsbatch_plugin import nodes'). The job is placed when there is room for all of them, and ends when node 0 has ended or another one has failed."
}

variable "node_results" {
  type        = string
  default     = "main"
  description = "Which of several nodes make the electron's result: 'main' for node 0, whose return ends the job; 'all' for a list of what each of them returns, for which node 0 waits."
}

variable "efa" {
  type        = bool
  default     = false
  description = "Create machines with an Elastic Fabric Adapter and its driver, and give it to the jobs; with multi_node, and with instance_types that have one."
}

locals {
  options = {
    credentials               = var.credentials
    profile                   = var.profile
    region                    = var.region
    s3_bucket_name            = var.s3_bucket_name
    batch_queue               = var.batch_queue
    batch_execution_role_name = var.batch_execution_role_name
    batch_job_role_name       = var.batch_job_role_name
    batch_job_log_group_name  = var.batch_job_log_group_name
    vcpu                      = var.vcpu
    memory                    = var.memory
    num_gpus                  = var.num_gpus
    retry_attempts            = var.retry_attempts
    time_limit                = var.time_limit
    poll_freq                 = var.poll_freq
    cache_dir                 = var.cache_dir
    container_image_uri       = var.container_image_uri
    batch_job_definition_name = var.batch_job_definition_name
    ecr_repo_name             = var.ecr_repo_name
    endpoint_url              = var.endpoint_url
    environment               = var.environment
    tags                      = var.tags
    retry_on                  = var.retry_on
    runnable_timeout          = var.runnable_timeout
    s3_bucket_owner           = var.s3_bucket_owner
    s3_kms_key_id             = var.s3_kms_key_id
    s3_cleanup                = var.s3_cleanup
    platform                  = var.platform
    assign_public_ip          = var.assign_public_ip
    ephemeral_storage         = var.ephemeral_storage
    runtime                   = var.runtime
    architecture              = var.architecture
    packages                  = var.packages
    packages_required         = var.packages_required
    checkpoint                = var.checkpoint
    checkpoint_interval       = var.checkpoint_interval
    on_server_stop            = var.on_server_stop
    resume_on_start           = var.resume_on_start
    share_identifier          = var.share_identifier
    scheduling_priority       = var.scheduling_priority
    consumable_resources      = var.consumable_resources
    retry_memory_factor       = var.retry_memory_factor
    retry_queues              = var.retry_queues
    spot_notice               = var.spot_notice
    shared_memory             = var.shared_memory
    volumes                   = var.volumes
    secrets                   = var.secrets
    ulimits                   = var.ulimits
    tmpfs                     = var.tmpfs
    devices                   = var.devices
    privileged                = var.privileged
    user                      = var.user
    read_only_root            = var.read_only_root
    init                      = var.init
    stop_timeout              = var.stop_timeout
    ipc_mode                  = var.ipc_mode
    job_definition            = var.job_definition
    job_definition_overrides  = var.job_definition_overrides
    eks_namespace             = var.eks_namespace
    eks_service_account       = var.eks_service_account
    nodes                     = var.nodes
    node_results              = var.node_results
    efa                       = var.efa
  }
}
