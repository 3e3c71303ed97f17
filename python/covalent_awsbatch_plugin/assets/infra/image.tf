# The executor makes images of its packages here. One of your own you push here, and name it in `container_image_uri`.
resource "aws_ecr_repository" "this" {
  # checkov:skip=CKV_AWS_51:tags such as `latest` move; pin a job's image by its digest
  # checkov:skip=CKV_AWS_136:ECR encrypts by itself; a key of one's own costs money also when idle
  count                = var.create_ecr ? 1 : 0
  name                 = local.repository
  image_tag_mutability = "MUTABLE"
  tags                 = local.tags
  # Without it `down` would stop at the first image.
  force_delete = true

  image_scanning_configuration {
    scan_on_push = true
  }
}

# Every push of the same tag leaves the image before it behind, untagged. What the executor makes it makes again if it is
# gone and still needed.
resource "aws_ecr_lifecycle_policy" "this" {
  count      = var.create_ecr ? 1 : 0
  repository = aws_ecr_repository.this[0].name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Images without a tag"
      selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 14 }
      action       = { type = "expire" }
      }, {
      rulePriority = 2
      description  = "Images that the executor made"
      selection = {
        tagStatus     = "tagged"
        tagPrefixList = ["cab-"]
        countType     = "sinceImagePushed"
        countUnit     = "days"
        countNumber   = 90
      }
      action = { type = "expire" }
    }]
  })
}
