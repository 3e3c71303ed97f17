# Covalent hands neither HOME nor any AWS_… variable to Terraform, hence account and region are variables. Where they are
# empty, the provider looks where every AWS SDK does.
provider "aws" {
  region                   = local.region
  profile                  = var.profile == "" ? null : var.profile
  shared_credentials_files = var.credentials == "" ? null : [pathexpand(var.credentials)]

  # An AWS-compatible service in place of AWS, such as `covalent-awsbatch local`, knows buckets by path only.
  s3_use_path_style = var.endpoint_url != ""

  dynamic "endpoints" {
    for_each = var.endpoint_url == "" ? [] : [var.endpoint_url]
    content {
      batch          = endpoints.value
      cloudformation = endpoints.value
      ec2            = endpoints.value
      ecr            = endpoints.value
      iam            = endpoints.value
      kms            = endpoints.value
      logs           = endpoints.value
      s3             = endpoints.value
      sts            = endpoints.value
    }
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
