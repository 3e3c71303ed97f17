# What all environments are made of, and those that CloudFormation makes: the provider knows neither a delay before idle
# machines are ended nor an order of instance types (it keeps a set). Whoever asks for neither has none of these stacks.

locals {
  # By kind of machine: what takes instance types in their order.
  # https://docs.aws.amazon.com/batch/latest/userguide/allocation-strategies.html
  ordered = { EC2 = "BEST_FIT_PROGRESSIVE_ORDERED", SPOT = "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED" }
  usual   = { EC2 = "BEST_FIT_PROGRESSIVE", SPOT = "SPOT_PRICE_CAPACITY_OPTIMIZED" }

  in_order  = contains(values(local.ordered), var.allocation_strategy)
  in_stacks = local.in_order || var.scale_down_delay > 0

  # Batch's own choices among families.
  chosen_by_batch = ["optimal", "default_x86_64", "default_arm64"]

  # Only the first environment keeps machines: the others are there for what does not fit into it.
  min_vcpus = { for kind in local.capacity : kind => kind == local.capacity[0] ? var.min_vcpus : 0 }

  # The other strategies whose name begins with SPOT are for spot machines only.
  strategy = { for kind in local.capacity : kind => (
    local.in_order ? lookup(local.ordered, kind, null)
    : var.allocation_strategy == "" || (kind == "EC2" && startswith(var.allocation_strategy, "SPOT")) ? lookup(local.usual, kind, null)
    : var.allocation_strategy
  ) }

  environments = merge(
    { for kind, environment in aws_batch_compute_environment.this : kind => environment.arn },
    { for kind, stack in aws_cloudformation_stack.environment : kind => stack.outputs["Arn"] },
  )

  # What of an environment cannot be changed while the queue has it: CloudFormation would replace the environment, and
  # could not delete the former one. A delay is among it
  # (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-batch-computeenvironment.html).
  fixed = { for kind in local.in_stacks ? local.capacity : [] : kind => merge(
    {
      Type               = kind
      AllocationStrategy = local.strategy[kind]
      InstanceTypes      = local.instance_types
      InstanceRole       = one(aws_iam_instance_profile.instance[*].arn)
      Subnets            = local.subnet_ids
    },
    { for group in [aws_security_group.jobs.id] : "SecurityGroupIds" => [group] if !var.efa },
    { for template in aws_launch_template.machine : "LaunchTemplate" => {
      LaunchTemplateId = template.id
      Version          = tostring(template.latest_version)
    } },
    { for group in aws_placement_group.this : "PlacementGroup" => group.name },
    { for delay in [var.scale_down_delay] : "ScalingPolicy" => { MinScaleDownDelayMinutes = delay } if delay > 0 },
  ) }
}

# A new one has a new id, and with it the stack a new name, so that Terraform replaces the stack: the new environment comes
# first, then the queue has it, and the former one goes. Another order of types is among it, though it would be no change to
# CloudFormation, to which the list has none.
resource "terraform_data" "stack" {
  for_each         = local.fixed
  triggers_replace = [jsonencode(each.value), local.tags, aws_iam_role.service.arn]
}

resource "aws_cloudformation_stack" "environment" {
  # checkov:skip=CKV_AWS_124:whoever applies this waits for the stack and sees how it ends; a topic would tell nobody more
  for_each = local.fixed
  name     = "${var.prefix}-${lower(each.key)}-${substr(terraform_data.stack[each.key].id, 0, 8)}"
  tags     = merge(local.tags, { Name = "${var.prefix}-${lower(each.key)}" })
  # The name of one that failed is free again.
  on_failure = "DELETE"

  template_body = jsonencode({
    Description = "A compute environment of AWS Batch"
    Resources = {
      Environment = {
        Type = "AWS::Batch::ComputeEnvironment"
        Properties = {
          Type        = "MANAGED"
          State       = "ENABLED"
          ServiceRole = aws_iam_role.service.arn
          Tags        = merge(local.tags, { Name = "${var.prefix}-${lower(each.key)}" })
          ComputeResources = merge(each.value, {
            MinvCpus = local.min_vcpus[each.key]
            MaxvCpus = var.max_vcpus
          })
        }
      }
    }
    Outputs = { Arn = { Value = { Ref = "Environment" } } }
  })

  lifecycle {
    create_before_destroy = true
  }

  # As that of the provider's own resource.
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
