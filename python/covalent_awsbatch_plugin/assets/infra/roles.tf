# Four roles: Batch itself, the machines (none on Fargate), the agent that starts a container, and the user's code in it.

locals {
  trust = {
    for service in ["batch", "ec2", "ecs-tasks"] : service => jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Effect    = "Allow"
        Principal = { Service = "${service}.amazonaws.com" }
        Action    = "sts:AssumeRole"
      }]
    })
  }
  managed = "arn:${local.partition}:iam::aws:policy/service-role"
}

resource "aws_iam_role" "service" {
  name               = "${local.regional}-service"
  description        = "AWS Batch: starts and stops machines"
  assume_role_policy = local.trust["batch"]
  tags               = local.tags
}

resource "aws_iam_role_policy_attachment" "service" {
  role       = aws_iam_role.service.name
  policy_arn = "${local.managed}/AWSBatchServiceRole"
}

resource "aws_iam_role" "instance" {
  count              = local.fargate ? 0 : 1
  name               = "${local.regional}-instance"
  description        = "The machines of AWS Batch: join the cluster"
  assume_role_policy = local.trust["ec2"]
  tags               = local.tags
}

resource "aws_iam_role_policy_attachment" "instance" {
  count      = length(aws_iam_role.instance)
  role       = aws_iam_role.instance[count.index].name
  policy_arn = "${local.managed}/AmazonEC2ContainerServiceforEC2Role"
}

resource "aws_iam_instance_profile" "instance" {
  count = length(aws_iam_role.instance)
  name  = aws_iam_role.instance[count.index].name
  role  = aws_iam_role.instance[count.index].name
  tags  = local.tags
}

resource "aws_iam_role" "execution" {
  name               = local.execution_role
  description        = "The agent that starts a job: pulls the image, writes the log"
  assume_role_policy = local.trust["ecs-tasks"]
  tags               = local.tags
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "${local.managed}/AmazonECSTaskExecutionRolePolicy"
}

# What `covalent-awsbatch policy execution` prints.
resource "aws_iam_role_policy" "execution" {
  count = length(local.sources) > 0 ? 1 : 0
  name  = "secrets"
  role  = aws_iam_role.execution.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for action, arns in local.fetched : {
      Effect   = "Allow"
      Action   = [action]
      Resource = arns
    } if length(arns) > 0]
  })
}

resource "aws_iam_role" "job" {
  name               = local.job_role
  description        = "What a task may do: read its function and write its result"
  assume_role_policy = local.trust["ecs-tasks"]
  tags               = local.tags
}

# Nothing but this bucket's objects and unfinished uploads: what `covalent-awsbatch policy job` prints. What your functions
# need besides, attach to the role in policies of your own: they are left alone.
resource "aws_iam_role_policy" "job" {
  name = "bucket"
  role = aws_iam_role.job.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid      = "Objects"
        Effect   = "Allow"
        Action   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
        Resource = ["${aws_s3_bucket.this.arn}/*"]
      }],
      [{
        Sid      = "Bucket"
        Effect   = "Allow"
        Action   = ["s3:ListBucketMultipartUploads"]
        Resource = [aws_s3_bucket.this.arn]
      }],
      [for key in data.aws_kms_key.this : {
        Sid      = "Key"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = [key.arn]
      }],
    )
  })
}
