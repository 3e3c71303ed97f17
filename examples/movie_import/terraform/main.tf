# What the import needs beside the queue and the roles that `covalent-awsbatch deploy up` makes: the archive's bucket, the
# table, and the rights of the job role to both.

terraform {
  required_version = ">= 1.4"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "archive_bucket" {
  type        = string
  description = "Name of the bucket that the archive is put into."
}

variable "table" {
  type        = string
  default     = "movies"
  description = "Name of the table."
}

variable "job_role" {
  type        = string
  description = "Name of the job role, as `covalent-awsbatch deploy up` says it."
}

resource "aws_s3_bucket" "archive" {
  bucket = var.archive_bucket
}

resource "aws_s3_bucket_public_access_block" "archive" {
  bucket                  = aws_s3_bucket.archive.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_dynamodb_table" "movies" {
  name         = var.table
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"

  attribute {
    name = "id"
    type = "S"
  }
}

data "aws_iam_policy_document" "import" {
  statement {
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.archive.arn}/*"]
  }
  statement {
    actions   = ["dynamodb:BatchWriteItem"]
    resources = [aws_dynamodb_table.movies.arn]
  }
}

resource "aws_iam_role_policy" "import" {
  name   = "movie-import"
  role   = var.job_role
  policy = data.aws_iam_policy_document.import.json
}
