locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition

  # IAM's names are the account's and S3's the whole world's, while everything else belongs to a region: with these, one
  # prefix serves in every region.
  regional = "${var.prefix}-${local.region}"
  bucket   = coalesce(local.asked_bucket, "${var.prefix}-${local.account}-${local.region}")

  # What a bill can be split by, over what the user wants.
  tags = merge(local.pairs.tags, { "covalent-awsbatch" = var.prefix })

  queue          = coalesce(local.asked_queue, "${var.prefix}-queue")
  log_group      = coalesce(var.batch_job_log_group_name, "${var.prefix}-job-logs")
  job_role       = coalesce(var.batch_job_role_name, "${local.regional}-job")
  execution_role = coalesce(var.batch_execution_role_name, "${local.regional}-execution")
  repository     = var.create_ecr ? coalesce(var.ecr_repo_name, var.prefix) : var.ecr_repo_name

  # Covalent writes every option that a user passes as a string, so that lists are strings with commas.
  instance_types = [for type in split(",", var.instance_types) : trimspace(type)]
  capacity       = [for kind in split(",", var.capacity) : trimspace(kind)]
  fargate        = startswith(local.capacity[0], "FARGATE")
  platform       = local.fargate ? "FARGATE" : "EC2"
  given_subnets  = local.asked_subnets == "" ? [] : [for subnet in split(",", local.asked_subnets) : trimspace(subnet)]

  own_network = var.vpc_id == "" && local.asked_subnets == ""
  vpc_id      = local.own_network ? aws_vpc.this[0].id : var.vpc_id
  own_nodes   = local.own_network && var.multi_node
  subnet_ids  = local.own_nodes ? aws_subnet.nodes[*].id : local.own_network ? aws_subnet.public[*].id : local.given_subnets

  # What the values of secrets are fetched from: a secret with all its keys, or a parameter.
  sources = [for source in values(local.pairs.secrets) : startswith(source, "arn:") ? source : "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${source}"]
  fetched = {
    "secretsmanager:GetSecretValue" = distinct([for arn in local.sources : join(":", slice(split(":", arn), 0, 7)) if split(":", arn)[2] == "secretsmanager"])
    "ssm:GetParameters"             = distinct([for arn in local.sources : arn if split(":", arn)[2] == "ssm"])
  }

  # Pairs come as a JSON object or as name:value with commas between: Covalent lets neither a second "=" nor a quotation
  # mark through, hence the colon, while everywhere else people write "=".
  pairs = {
    for option, text in { environment = var.environment, tags = var.tags, secrets = var.secrets } : option => (
      startswith(trimspace(text), "{")
      ? { for name, value in jsondecode(text) : name => tostring(value) }
      : {
        for pair in compact(split(",", text)) :
        trimspace(regex("^([^:=]+)[:=]", pair)[0]) => trimspace(regex("^[^:=]+[:=](.*)$", pair)[0])
      }
    )
  }
}
