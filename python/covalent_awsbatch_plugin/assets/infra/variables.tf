# Those of the fields of ExecutorInfraDefaults in infra.py that are about the account: the same names, defaults and
# descriptions, which a test compares. The executor's options are in options.tf, and former names in former_names.tf.

variable "prefix" {
  type        = string
  default     = "covalent-batch"
  description = "Begins the name of everything that is created."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}[a-z0-9]$", var.prefix))
    error_message = "prefix must be 2 to 32 lower-case letters, digits and hyphens."
  }
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
    condition     = contains(["", "BEST_FIT_PROGRESSIVE", "BEST_FIT_PROGRESSIVE_ORDERED", "SPOT_CAPACITY_OPTIMIZED", "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED", "SPOT_PRICE_CAPACITY_OPTIMIZED"], var.allocation_strategy)
    error_message = "allocation_strategy must be empty, BEST_FIT_PROGRESSIVE, BEST_FIT_PROGRESSIVE_ORDERED, SPOT_CAPACITY_OPTIMIZED, SPOT_CAPACITY_OPTIMIZED_PRIORITIZED or SPOT_PRICE_CAPACITY_OPTIMIZED."
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

variable "fair_share" {
  type        = bool
  default     = false
  description = "Create the queue with a fair-share scheduling policy, in which each job takes a share: share_identifier, else the prefix without hyphens."
}

variable "consumable" {
  type        = string
  default     = ""
  description = "Consumable resources to create, such as licence=5: how many of each there are, with commas between."

  validation {
    condition     = can(regex("^(|\\s*[A-Za-z0-9_-]{1,128}\\s*[:=]\\s*[0-9]+\\s*(,\\s*[A-Za-z0-9_-]{1,128}\\s*[:=]\\s*[0-9]+\\s*)*)$", var.consumable))
    error_message = "consumable must be name=number with commas between."
  }
}

variable "placement_group" {
  type        = bool
  default     = false
  description = "Keep the machines close to each other in the network, in a cluster placement group; not with Fargate."
}

variable "multi_node" {
  type        = bool
  default     = false
  description = "Create what jobs of several nodes need: machines that may talk to each other, in a cluster placement group, and in a network of its own a subnet with a NAT gateway, which always costs. For EC2 alone."
}

variable "runnable_limit" {
  type        = number
  default     = 0
  description = "Seconds after which AWS cancels the first job in the queue if it finds no machine, 600 to 86400; 0 for never."

  validation {
    condition     = var.runnable_limit == 0 || (var.runnable_limit >= 600 && var.runnable_limit <= 86400)
    error_message = "runnable_limit must be 0, or 600 to 86400."
  }
}

variable "scale_down_delay" {
  type        = number
  default     = 0
  description = "Minutes for which a machine waits for its next job, at its usual price, 20 to 10080; 0 for Batch's own, shorter."

  validation {
    condition     = var.scale_down_delay == 0 || (var.scale_down_delay >= 20 && var.scale_down_delay <= 10080)
    error_message = "scale_down_delay must be 0, or 20 to 10080."
  }
}
