# The fields of ExecutorInfraDefaults in infra.py: the same names, defaults and descriptions, which a test compares. The
# last of them are in former_names.tf.

variable "prefix" {
  type        = string
  default     = "covalent-batch"
  description = "Begins the name of everything that is created."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}[a-z0-9]$", var.prefix))
    error_message = "prefix must be 2 to 32 lower-case letters, digits and hyphens."
  }
}

variable "region" {
  type        = string
  default     = "us-east-1"
  description = "AWS region."
}

variable "credentials" {
  type        = string
  default     = ""
  description = "Path of a shared credentials file; empty for the SDK's own."
}

variable "profile" {
  type        = string
  default     = ""
  description = "AWS profile; empty for AWS_PROFILE or 'default'."
}

variable "endpoint_url" {
  type        = string
  default     = ""
  description = "URL of an AWS-compatible service in place of AWS."
}

variable "vpc_id" {
  type        = string
  default     = ""
  description = "VPC of yours to use; empty for one of its own."
}

variable "subnet_ids" {
  type        = string
  default     = ""
  description = "Subnets in that VPC, with commas between."
}

variable "instance_types" {
  type        = string
  default     = "optimal"
  description = "Instance types or families, with commas between."
}

variable "min_vcpus" {
  type        = number
  default     = 0
  description = "vCPUs that always run, and always cost; 0 for none when idle."
}

variable "max_vcpus" {
  type        = number
  default     = 256
  description = "vCPUs that run at once at the most, in each compute environment."
}

variable "capacity" {
  type        = string
  default     = "EC2"
  description = "EC2, SPOT, FARGATE or FARGATE_SPOT; or two of one kind, in the order in which the queue uses them: SPOT,EC2."

  validation {
    condition = (
      alltrue([for kind in split(",", var.capacity) : contains(["EC2", "SPOT", "FARGATE", "FARGATE_SPOT"], trimspace(kind))])
      && length(distinct([for kind in split(",", var.capacity) : trimspace(kind)])) == length(split(",", var.capacity))
    )
    error_message = "capacity must be EC2, SPOT, FARGATE or FARGATE_SPOT, or two of one kind in the order in which the queue uses them: SPOT,EC2 or FARGATE_SPOT,FARGATE."
  }

  validation {
    condition     = length(distinct([for kind in split(",", var.capacity) : startswith(trimspace(kind), "FARGATE")])) == 1
    error_message = "capacity mixes Fargate with machines, and AWS Batch allows a queue one of them only: make two deployments with a prefix each."
  }
}

variable "allocation_strategy" {
  type        = string
  default     = ""
  description = "How Batch picks machines; empty for what suits the capacity."

  validation {
    condition     = contains(["", "BEST_FIT_PROGRESSIVE", "SPOT_CAPACITY_OPTIMIZED", "SPOT_PRICE_CAPACITY_OPTIMIZED"], var.allocation_strategy)
    error_message = "allocation_strategy must be empty, BEST_FIT_PROGRESSIVE, SPOT_CAPACITY_OPTIMIZED or SPOT_PRICE_CAPACITY_OPTIMIZED."
  }
}

variable "disk_gb" {
  type        = number
  default     = 0
  description = "GB of a machine's disk, 30 or more, which images and all its jobs share; 0 for 100. On Fargate of each job's, 21 to 200; 0 for its own 20."

  validation {
    condition     = var.disk_gb == 0 || (var.disk_gb >= 21 && var.disk_gb <= 16384)
    error_message = "disk_gb must be 0, or 21 to 16384."
  }
}

variable "log_retention_days" {
  type        = number
  default     = 30
  description = "Days that the jobs' logs are kept; 0 for ever."
}

variable "object_retention_days" {
  type        = number
  default     = 7
  description = "Days that functions and results stay in the bucket; more than any workflow runs."

  validation {
    condition     = var.object_retention_days >= 1
    error_message = "object_retention_days must be 1 or more."
  }
}

variable "create_ecr" {
  type        = bool
  default     = false
  description = "Create an ECR repository for images of your own."
}

variable "s3_bucket_name" {
  type        = string
  default     = ""
  description = "Name of the bucket; empty for one of prefix, account and region."
}

variable "s3_bucket_owner" {
  type        = string
  default     = ""
  description = "Account that the bucket must belong to; empty for the caller's, 'any' for no check."
}

variable "s3_kms_key_id" {
  type        = string
  default     = ""
  description = "KMS key for the bucket; empty for S3's own encryption."
}

variable "s3_cleanup" {
  type        = string
  default     = "never"
  description = "When a task's objects are deleted."
}

variable "batch_queue" {
  type        = string
  default     = ""
  description = "Name of the queue; empty for one of the prefix."
}

variable "batch_job_definition_name" {
  type        = string
  default     = "covalent-batch-jobs"
  description = "Name under which the executor registers job definitions."
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

variable "ecr_repo_name" {
  type        = string
  default     = ""
  description = "Name of the ECR repository; empty for the prefix."
}

variable "container_image_uri" {
  type        = string
  default     = "public.ecr.aws/covalent/covalent-executor-base:stable"
  description = "Container image of the jobs."
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

variable "vcpu" {
  type        = number
  default     = 2
  description = "vCPUs of a job."
}

variable "memory" {
  type        = number
  default     = 3.75
  description = "GB of memory of a job."
}

variable "num_gpus" {
  type        = number
  default     = 0
  description = "GPUs of a job."
}

variable "retry_attempts" {
  type        = number
  default     = 3
  description = "How often Batch tries a job in all."
}

variable "retry_on" {
  type        = string
  default     = "any"
  description = "Failures that are followed by another attempt."
}

variable "time_limit" {
  type        = number
  default     = 300
  description = "Seconds that an attempt may run; 0 for no limit."
}

variable "runnable_timeout" {
  type        = number
  default     = 0
  description = "Seconds that a job may wait for a machine; 0 for ever."
}

variable "poll_freq" {
  type        = number
  default     = 10
  description = "Seconds that a job's end may go unnoticed."
}

variable "cache_dir" {
  type        = string
  default     = "/tmp/covalent"
  description = "Accepted for the sake of older workflows."
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
    error_message = "environment must be name:value with commas between, or a JSON object of strings."
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
    error_message = "tags must be name:value with commas between, or a JSON object of strings."
  }
}
