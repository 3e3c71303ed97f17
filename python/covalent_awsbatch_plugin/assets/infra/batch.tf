resource "aws_launch_template" "machine" {
  count       = local.fargate ? 0 : 1
  name_prefix = "${var.prefix}-"
  description = "The machines of AWS Batch: disk and metadata"

  # The root volume of Amazon's ECS images, which holds the images and the containers of every job on the machine.
  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = var.disk_gb == 0 ? 100 : var.disk_gb
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }

  # IMDSv2 alone, so that no request which a program passes on for somebody else reaches it. A job itself does: it has the
  # network of its machine (https://docs.aws.amazon.com/batch/latest/userguide/networking-modes-jobs.html), whose role
  # has no more rights than the ECS agent needs. A job of several nodes has one of its own, a hop further.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  # An interface that is the machine's first, with the groups that an environment has otherwise.
  dynamic "network_interfaces" {
    for_each = var.efa ? [aws_security_group.jobs.id] : []
    content {
      device_index          = 0
      interface_type        = "efa"
      security_groups       = [network_interfaces.value]
      delete_on_termination = true
    }
  }

  user_data = var.efa ? base64encode(local.driver) : null

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

# A new version of the template needs new environments: Batch does not update those with a service role of the user's. The
# provider learns of it only once the version is made, and then no longer keeps to its plan. Hence this, which also exists
# where there is no template to refer to.
resource "terraform_data" "template" {
  input = aws_launch_template.machine[*].latest_version

  # Here, since it is there whichever resource makes the environments.
  lifecycle {
    precondition {
      condition     = !local.fargate || var.num_gpus == 0
      error_message = "num_gpus must be 0 with Fargate, which has no GPUs: use the capacity EC2 or SPOT."
    }
    precondition {
      condition     = !local.fargate || (var.min_vcpus == 0 && var.instance_types == "optimal" && var.allocation_strategy == "" && var.scale_down_delay == 0)
      error_message = "min_vcpus, instance_types, allocation_strategy and scale_down_delay are about machines, and Fargate has none: leave them out."
    }
    precondition {
      condition     = !local.fargate || !var.placement_group
      error_message = "placement_group is about machines, and Fargate has none: leave it out."
    }
    precondition {
      condition     = !var.multi_node || local.capacity == ["EC2"]
      error_message = "multi_node is for EC2 alone: AWS Batch runs jobs of several nodes on on-demand machines only."
    }
    precondition {
      condition     = !var.efa || var.multi_node
      error_message = "efa makes machines with an adapter for jobs of several nodes: add multi_node, or leave efa out."
    }
    precondition {
      condition     = !var.efa || length(local.with_adapter) == length(local.instance_types)
      error_message = "efa needs instance_types with their sizes, such as c5n.18xlarge: of a family not all have an adapter."
    }
    precondition {
      condition     = var.disk_gb == 0 || (local.fargate ? var.disk_gb <= 200 : var.disk_gb >= 30)
      error_message = "disk_gb must be 30 or more for machines, as Amazon's ECS image does not fit into less, and 21 to 200 for a job on Fargate; 0 for 100 and for Fargate's own 20."
    }
    precondition {
      condition     = contains(["", local.platform], var.platform)
      error_message = "platform contradicts capacity, which says it already: leave platform out."
    }
    precondition {
      condition     = !local.in_order || length(setintersection(local.instance_types, local.chosen_by_batch)) == 0
      error_message = "allocation_strategy goes through instance_types in their order: name them."
    }
  }
}

resource "aws_placement_group" "this" {
  count    = var.placement_group || var.multi_node ? 1 : 0
  name     = var.prefix
  strategy = "cluster"
  tags     = local.tags
}

# Without a name, because the provider calls it `compute_environment_name` until 5 and `name` from 6 on. A new one for every
# replacement is needed anyhow: AWS does not delete an environment while the queue has it, hence the new one comes first.
resource "aws_batch_compute_environment" "this" {
  for_each     = toset(local.in_stacks ? [] : local.capacity)
  type         = "MANAGED"
  state        = "ENABLED"
  service_role = aws_iam_role.service.arn
  tags         = merge(local.tags, { Name = "${var.prefix}-${lower(each.key)}" })

  compute_resources {
    type               = each.key
    max_vcpus          = var.max_vcpus
    subnets            = local.subnet_ids
    security_group_ids = var.efa ? null : [aws_security_group.jobs.id]

    # What says something of machines is refused where Fargate has none.
    instance_type       = local.fargate ? null : local.instance_types
    instance_role       = one(aws_iam_instance_profile.instance[*].arn)
    placement_group     = one(aws_placement_group.this[*].name)
    min_vcpus           = local.fargate ? null : local.min_vcpus[each.key]
    allocation_strategy = local.fargate ? null : local.strategy[each.key]

    dynamic "launch_template" {
      for_each = aws_launch_template.machine
      content {
        launch_template_id = launch_template.value.id
        version            = launch_template.value.latest_version
      }
    }
  }

  lifecycle {
    create_before_destroy = true
    replace_triggered_by  = [terraform_data.template]
    # Batch sets it as jobs come and go.
    ignore_changes = [compute_resources[0].desired_vcpus]
  }

  # An environment whose roles or network go first stays in DELETING for ever.
  depends_on = [
    aws_iam_role_policy_attachment.service,
    aws_iam_role_policy_attachment.instance,
    aws_route.out,
    aws_route.out_of_nodes,
    aws_route_table_association.public,
    aws_route_table_association.nodes,
    aws_vpc_security_group_egress_rule.out,
  ]
}

# All shares weigh the same, and what they used in the last ten minutes counts.
resource "aws_batch_scheduling_policy" "this" {
  count = var.fair_share ? 1 : 0
  name  = var.prefix
  tags  = local.tags

  fair_share_policy {
    share_decay_seconds = 600
  }
}

resource "aws_batch_job_queue" "this" {
  name                  = local.queue
  state                 = "ENABLED"
  priority              = 1
  scheduling_policy_arn = one(aws_batch_scheduling_policy.this[*].arn)
  tags                  = local.tags

  dynamic "compute_environment_order" {
    for_each = local.capacity
    content {
      order               = compute_environment_order.key + 1
      compute_environment = local.environments[compute_environment_order.value]
    }
  }

  # The reasons that AWS Batch acts upon: no machine is large enough, the environment is not, or AWS has none.
  dynamic "job_state_time_limit_action" {
    for_each = var.runnable_limit == 0 ? [] : [
      "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
      "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
      "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
    ]
    content {
      action           = "CANCEL"
      max_time_seconds = var.runnable_limit
      reason           = job_state_time_limit_action.value
      state            = "RUNNABLE"
    }
  }

  lifecycle {
    precondition {
      condition     = var.fair_share || var.share_identifier == ""
      error_message = "share_identifier is for a queue with a scheduling policy: add fair_share, or leave it out."
    }
  }
}
