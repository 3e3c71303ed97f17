resource "aws_cloudwatch_log_group" "jobs" {
  # checkov:skip=CKV_AWS_158:CloudWatch encrypts by itself; a key of one's own costs money also when idle
  # checkov:skip=CKV_AWS_338:how long logs are kept is the option log_retention_days
  name              = local.log_group
  retention_in_days = var.log_retention_days
  tags              = local.tags
}
