# What some variables were called in version 0.42.0. Covalent's own command passes names on as they are typed;
# infra.py has refused by then what was given by both names with different values.

variable "aws_region" {
  type        = string
  default     = null
  description = "What region was called in 0.42.0."
}

variable "subnet_id" {
  type        = string
  default     = null
  description = "What subnet_ids was called in 0.42.0."
}

variable "aws_s3_bucket" {
  type        = string
  default     = null
  description = "What s3_bucket_name was called in 0.42.0."
}

variable "aws_batch_queue" {
  type        = string
  default     = null
  description = "What batch_queue was called in 0.42.0."
}

variable "aws_batch_job_definition" {
  type        = string
  default     = null
  description = "What batch_job_definition_name was called in 0.42.0."
}

variable "vcpus" {
  type        = number
  default     = null
  description = "What vcpu was called in 0.42.0."
}

# Not by `coalesce`, which takes an empty text for none.
locals {
  region                    = var.aws_region == null ? var.region : var.aws_region
  asked_subnets             = var.subnet_id == null ? var.subnet_ids : var.subnet_id
  asked_bucket              = var.aws_s3_bucket == null ? var.s3_bucket_name : var.aws_s3_bucket
  asked_queue               = var.aws_batch_queue == null ? var.batch_queue : var.aws_batch_queue
  batch_job_definition_name = var.aws_batch_job_definition == null ? var.batch_job_definition_name : var.aws_batch_job_definition
  vcpu                      = var.vcpus == null ? var.vcpu : var.vcpus
}
