locals {
  # Options of AWSBatchExecutor: the section [executors.awsbatch] of Covalent's configuration. Most are as they were given.
  executor = merge(local.options, {
    region                    = local.region
    s3_bucket_name            = aws_s3_bucket.this.id
    s3_kms_key_id             = join("", data.aws_kms_key.this[*].arn) # of an alias nobody can tell which key it means
    batch_queue               = aws_batch_job_queue.this.name
    batch_execution_role_name = aws_iam_role.execution.name
    batch_job_role_name       = aws_iam_role.job.name
    batch_job_log_group_name  = aws_cloudwatch_log_group.jobs.name
    batch_job_definition_name = local.batch_job_definition_name
    ecr_repo_name             = local.repository
    platform                  = local.platform
    # The subnets made here are public: without an address of its own, a job on Fargate reaches nothing from them.
    assign_public_ip  = local.own_network || var.assign_public_ip
    ephemeral_storage = local.fargate && var.ephemeral_storage == 0 ? var.disk_gb : var.ephemeral_storage
    vcpu              = local.vcpu
    share_identifier  = var.fair_share && var.share_identifier == "" ? replace(var.prefix, "-", "") : var.share_identifier
    environment       = length(local.pairs.environment) == 0 ? "" : jsonencode(local.pairs.environment)
    secrets           = length(local.pairs.secrets) == 0 ? "" : jsonencode(local.pairs.secrets)
    tags              = length(local.pairs.tags) == 0 ? "" : jsonencode(local.pairs.tags)
  })

  # A percent sign is special to who reads it, Python's configparser.
  configuration = join("", concat(
    ["[awsbatch]\n"], [for name, value in local.executor : "${name} = ${replace(value, "%", "%%")}\n"]
  ))
}

# The file that `covalent deploy up` reads. It depends on everything that a job needs, hence is written last and goes first.
resource "terraform_data" "configuration" {
  input            = "${path.module}/awsbatch.conf"
  triggers_replace = [local.configuration]

  provisioner "local-exec" {
    command     = "printf '%s' \"$CONTENT\" > \"$FILE\""
    environment = { CONTENT = local.configuration, FILE = self.input }
  }

  provisioner "local-exec" {
    when        = destroy
    command     = "rm -f \"$FILE\""
    environment = { FILE = self.input }
  }

  depends_on = [
    aws_iam_role_policy.job,
    aws_iam_role_policy.execution,
    aws_iam_role_policy_attachment.execution,
    aws_s3_bucket_lifecycle_configuration.this,
    aws_s3_bucket_policy.this,
    aws_s3_bucket_server_side_encryption_configuration.this,
  ]
}

output "executor" {
  description = "The section [executors.awsbatch] of Covalent's configuration."
  value       = local.executor
}

output "repository_url" {
  description = "Where to push an image of your own; empty without create_ecr."
  value       = join("", aws_ecr_repository.this[*].repository_url)
}

output "compute_environments" {
  description = "The ARNs of the compute environments, by kind of capacity."
  value       = local.environments
}
