# EventBridge starts a small job once a day, which dispatches the workflow. Without `dispatcher_image` nothing of it is made.

variable "dispatcher_image" {
  type        = string
  default     = ""
  description = "Image with Covalent, this package and workflow.py in its working directory; empty for no schedule."
}

variable "dispatcher_address" {
  type        = string
  default     = ""
  description = "Address of Covalent's server, as the job's subnet reaches it."
}

variable "queue_arn" {
  type        = string
  default     = ""
  description = "ARN of the queue on Fargate."
}

variable "execution_role_arn" {
  type        = string
  default     = ""
  description = "ARN of the execution role that `covalent-awsbatch deploy up` has made."
}

locals {
  scheduled = var.dispatcher_image == "" ? 0 : 1
}

resource "aws_batch_job_definition" "dispatch" {
  count                 = local.scheduled
  name                  = "movie-import-dispatch"
  type                  = "container"
  platform_capabilities = ["FARGATE"]

  container_properties = jsonencode({
    image            = var.dispatcher_image
    command          = ["python", "workflow.py"]
    executionRoleArn = var.execution_role_arn
    networkConfiguration = {
      assignPublicIp = "ENABLED"
    }
    resourceRequirements = [
      { type = "VCPU", value = "0.25" },
      { type = "MEMORY", value = "512" },
    ]
    environment = [
      { name = "COVALENT_DISPATCHER_ADDR", value = var.dispatcher_address },
      { name = "MOVIE_BUCKET", value = aws_s3_bucket.archive.bucket },
      { name = "MOVIE_KEY", value = "movies.zip" },
      { name = "MOVIE_TABLE", value = aws_dynamodb_table.movies.name },
    ]
  })
}

data "aws_iam_policy_document" "scheduler" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "submit" {
  count = local.scheduled
  statement {
    actions   = ["batch:SubmitJob"]
    resources = [var.queue_arn, aws_batch_job_definition.dispatch[0].arn]
  }
}

resource "aws_iam_role" "scheduler" {
  count              = local.scheduled
  name               = "movie-import-scheduler"
  assume_role_policy = data.aws_iam_policy_document.scheduler.json
}

resource "aws_iam_role_policy" "submit" {
  count  = local.scheduled
  name   = "submit"
  role   = aws_iam_role.scheduler[0].name
  policy = data.aws_iam_policy_document.submit[0].json
}

resource "aws_scheduler_schedule" "daily" {
  count               = local.scheduled
  name                = "movie-import"
  schedule_expression = "rate(1 day)"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = "arn:aws:scheduler:::aws-sdk:batch:submitJob"
    role_arn = aws_iam_role.scheduler[0].arn
    input = jsonencode({
      JobName       = "movie-import-dispatch"
      JobQueue      = var.queue_arn
      JobDefinition = aws_batch_job_definition.dispatch[0].arn
    })
  }
}
