# Functions on their way to a job and results on their way back. They are of no use once the task has ended, hence neither
# versions nor copies, and `down` deletes what is left.

resource "aws_s3_bucket" "this" {
  # checkov:skip=CKV_AWS_18:access logs would need a bucket of their own; CloudTrail has the same where it is wanted
  # checkov:skip=CKV_AWS_19:it is encrypted, below; checkov does not follow the choice between AES256 and a key
  # checkov:skip=CKV_AWS_21:objects are written once and expire
  # checkov:skip=CKV_AWS_144:objects live for days
  # checkov:skip=CKV_AWS_145:a key of one's own is the option s3_kms_key_id; without it S3's own encryption costs nothing
  # checkov:skip=CKV2_AWS_62:nobody waits for events of this bucket
  bucket        = local.bucket
  force_destroy = true
  tags          = local.tags
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

data "aws_kms_key" "this" {
  count  = var.s3_kms_key_id == "" ? 0 : 1
  key_id = var.s3_kms_key_id
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    bucket_key_enabled = var.s3_kms_key_id != ""

    apply_server_side_encryption_by_default {
      sse_algorithm     = var.s3_kms_key_id == "" ? "AES256" : "aws:kms"
      kms_master_key_id = one(data.aws_kms_key.this[*].arn)
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "expire"
    status = "Enabled"

    filter {}

    expiration {
      days = var.object_retention_days
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  # A service that is spoken to without TLS, such as `covalent-awsbatch local`, would refuse everything.
  count  = startswith(var.endpoint_url, "http://") ? 0 : 1
  bucket = aws_s3_bucket.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OnlyTLS"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  # S3 refuses two changes of one bucket's access at the same time.
  depends_on = [aws_s3_bucket_public_access_block.this]
}
