resource "aws_launch_template" "machine" {
  name_prefix = "${var.prefix}-"
  description = "The machines of AWS Batch: disk and metadata"

  # The root volume of Amazon's ECS images, which holds the images and the containers of every job on the machine.
  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = var.disk_gb
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }

  # checkov:skip=CKV_AWS_341:a job learns its region from here, and a container is one hop further than the machine
  # IMDSv2 alone: a request that a task was talked into cannot fetch the machine's credentials.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }

  tag_specifications {
    resource_type = "instance"
    tags          = merge(local.tags, { Name = var.prefix })
  }

  tag_specifications {
    resource_type = "volume"
    tags          = merge(local.tags, { Name = var.prefix })
  }

  lifecycle {
    create_before_destroy = true
  }
}

# Without a name, because the provider calls it `compute_environment_name` until 5 and `name` from 6 on. A new one for every
# replacement is needed anyhow: AWS does not delete an environment while the queue has it, hence the new one comes first.
resource "aws_batch_compute_environment" "this" {
  for_each     = toset(local.capacity)
  type         = "MANAGED"
  state        = "ENABLED"
  service_role = aws_iam_role.service.arn
  tags         = merge(local.tags, { Name = "${var.prefix}-${lower(each.key)}" })

  compute_resources {
    type = each.key
    # The strategies whose name begins with SPOT are for spot machines only.
    allocation_strategy = (
      var.allocation_strategy == "" || (each.key == "EC2" && startswith(var.allocation_strategy, "SPOT"))
      ? (each.key == "SPOT" ? "SPOT_PRICE_CAPACITY_OPTIMIZED" : "BEST_FIT_PROGRESSIVE")
      : var.allocation_strategy
    )
    # Only the first environment keeps machines: the others are there for what does not fit into it.
    min_vcpus          = each.key == local.capacity[0] ? var.min_vcpus : 0
    max_vcpus          = var.max_vcpus
    instance_type      = local.instance_types
    instance_role      = aws_iam_instance_profile.instance.arn
    subnets            = local.subnet_ids
    security_group_ids = [aws_security_group.jobs.id]

    launch_template {
      launch_template_id = aws_launch_template.machine.id
      version            = aws_launch_template.machine.latest_version
    }
  }

  lifecycle {
    create_before_destroy = true
    # Batch sets it as jobs come and go.
    ignore_changes = [compute_resources[0].desired_vcpus]
  }

  # An environment whose roles or network go first stays in DELETING for ever.
  depends_on = [
    aws_iam_role_policy_attachment.service,
    aws_iam_role_policy_attachment.instance,
    aws_route.out,
    aws_route_table_association.public,
    aws_vpc_security_group_egress_rule.out,
  ]
}

resource "aws_batch_job_queue" "this" {
  name     = local.queue
  state    = "ENABLED"
  priority = 1
  tags     = local.tags

  dynamic "compute_environment_order" {
    for_each = local.capacity
    content {
      order               = compute_environment_order.key + 1
      compute_environment = aws_batch_compute_environment.this[compute_environment_order.value].arn
    }
  }
}
