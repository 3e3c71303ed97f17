# What Terraform would make of some variables, without an AWS: `terraform test` with a provider that invents answers.

mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-east-1a", "us-east-1b", "us-east-1c"] }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_ec2_instance_type" {
    defaults = { efa_supported = true }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::bucket" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/invented" }
  }
  mock_resource "aws_iam_instance_profile" {
    defaults = { arn = "arn:aws:iam::123456789012:instance-profile/invented" }
  }
  mock_resource "aws_batch_scheduling_policy" {
    defaults = { arn = "arn:aws:batch:us-east-1:123456789012:scheduling-policy/invented" }
  }
  mock_resource "aws_batch_compute_environment" {
    defaults = { arn = "arn:aws:batch:us-east-1:123456789012:compute-environment/invented" }
  }
  mock_resource "aws_cloudformation_stack" {
    defaults = { outputs = { Arn = "arn:aws:batch:us-east-1:123456789012:compute-environment/invented" } }
  }
  mock_data "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:us-east-1:123456789012:key/1234" }
  }
}

run "defaults" {
  command = plan

  assert {
    condition     = length(aws_subnet.public) == 2 && aws_subnet.public[0].availability_zone != aws_subnet.public[1].availability_zone
    error_message = "two subnets in two zones"
  }
  assert {
    condition     = keys(aws_batch_compute_environment.this) == ["EC2"]
    error_message = "on-demand machines alone"
  }
  assert {
    condition     = aws_batch_compute_environment.this["EC2"].compute_resources[0].min_vcpus == 0
    error_message = "nothing runs, and nothing costs, while there is no job"
  }
  assert {
    condition     = one(one(aws_launch_template.machine[0].block_device_mappings).ebs).volume_size == 100
    error_message = "room for images and jobs"
  }
  assert {
    condition     = aws_batch_job_queue.this.name == "covalent-batch-queue"
    error_message = "the executor's default queue"
  }
  assert {
    condition     = aws_s3_bucket.this.bucket == "covalent-batch-123456789012-us-east-1"
    error_message = "a name that nobody else in the world has"
  }
  assert {
    condition     = length(aws_ecr_repository.this) == 0
    error_message = "a repository only on demand"
  }
}

run "bucket" {
  # Invented, too; what depends on an ARN is known only now.
  command = apply

  assert {
    condition = jsondecode(aws_s3_bucket_policy.this[0].policy).Statement == [{
      Sid       = "OnlyTLS"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = ["arn:aws:s3:::bucket", "arn:aws:s3:::bucket/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
    error_message = "TLS only"
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.job.policy).Statement[0].Resource == ["arn:aws:s3:::bucket/*"]
    error_message = "this bucket's objects, nothing else"
  }
}

run "without_tls" {
  command = plan

  variables {
    endpoint_url = "http://127.0.0.1:5000"
  }

  assert {
    condition     = length(aws_s3_bucket_policy.this) == 0
    error_message = "no policy that would lock everybody out"
  }
}

run "former_names" {
  command = apply

  variables {
    aws_region               = "eu-west-1"
    aws_s3_bucket            = "mine"
    aws_batch_queue          = "line"
    aws_batch_job_definition = "mine"
    vcpus                    = 4
    vpc_id                   = "vpc-1"
    subnet_id                = "subnet-1"
  }

  assert {
    condition     = aws_s3_bucket.this.bucket == "mine" && aws_batch_job_queue.this.name == "line"
    error_message = "what is created has the names that were given"
  }
  assert {
    condition     = aws_batch_compute_environment.this["EC2"].compute_resources[0].subnets == toset(["subnet-1"])
    error_message = "the subnet that was given"
  }
  assert {
    condition     = [for name in ["region", "batch_job_definition_name", "vcpu"] : tostring(output.executor[name])] == ["eu-west-1", "mine", "4"]
    error_message = "the executor's options"
  }
}

run "spot_first" {
  command = plan

  variables {
    capacity  = "SPOT, EC2"
    min_vcpus = 4
  }

  assert {
    condition     = [for order in aws_batch_job_queue.this.compute_environment_order : order.order] == [1, 2]
    error_message = "one order for each environment"
  }
  assert {
    condition     = aws_batch_compute_environment.this["SPOT"].compute_resources[0].allocation_strategy == "SPOT_PRICE_CAPACITY_OPTIMIZED"
    error_message = "a strategy for spot"
  }
  assert {
    condition     = aws_batch_compute_environment.this["EC2"].compute_resources[0].allocation_strategy == "BEST_FIT_PROGRESSIVE"
    error_message = "a strategy for on-demand machines"
  }
  assert {
    condition     = [for kind in ["SPOT", "EC2"] : aws_batch_compute_environment.this[kind].compute_resources[0].min_vcpus] == [4, 0]
    error_message = "only the first environment keeps machines"
  }
}

run "network_of_the_user" {
  command = plan

  variables {
    vpc_id     = "vpc-1"
    subnet_ids = "subnet-1,subnet-2"
  }

  assert {
    condition     = length(aws_vpc.this) + length(aws_subnet.public) + length(aws_default_security_group.this) == 0
    error_message = "nothing of the user's network is touched"
  }
  assert {
    condition     = aws_batch_compute_environment.this["EC2"].compute_resources[0].subnets == toset(["subnet-1", "subnet-2"])
    error_message = "the user's subnets"
  }
}

run "half_a_network" {
  command = plan

  variables {
    subnet_ids = "subnet-1"
  }

  expect_failures = [aws_security_group.jobs]
}

run "fargate" {
  command = apply

  variables {
    capacity = "FARGATE_SPOT,FARGATE"
    disk_gb  = 50
  }

  assert {
    condition = (
      [for order in aws_batch_job_queue.this.compute_environment_order : order.order] == [1, 2]
      && sort([for environment in aws_batch_compute_environment.this : environment.compute_resources[0].type]) == tolist(["FARGATE", "FARGATE_SPOT"])
    )
    error_message = "an environment for each kind"
  }
  assert {
    condition = alltrue([
      for environment in aws_batch_compute_environment.this :
      environment.compute_resources[0].instance_role == null && length(environment.compute_resources[0].launch_template) == 0
    ])
    error_message = "nothing that says something of machines"
  }
  assert {
    condition     = length(aws_launch_template.machine) + length(aws_iam_role.instance) + length(aws_iam_instance_profile.instance) == 0
    error_message = "nothing that only machines need"
  }
  assert {
    condition     = [output.executor.platform, output.executor.assign_public_ip, output.executor.ephemeral_storage] == ["FARGATE", true, 50]
    error_message = "an executor that registers its jobs for Fargate"
  }
}

run "fargate_in_private_subnets" {
  command = apply

  variables {
    capacity          = "FARGATE"
    vpc_id            = "vpc-1"
    subnet_ids        = "subnet-1"
    assign_public_ip  = false
    ephemeral_storage = 30
    environment       = "MODE:fast,URL=http://proxy:80"
    tags              = "{\"team\": \"a,b\", \"paid by\": \"50 %\"}"
  }

  assert {
    condition     = [output.executor.assign_public_ip, output.executor.ephemeral_storage] == [false, 30]
    error_message = "what the user says of subnets and disk"
  }
  assert {
    condition     = jsondecode(output.executor.environment) == { MODE = "fast", URL = "http://proxy:80" }
    error_message = "short pairs"
  }
  assert {
    condition     = jsondecode(output.executor.tags) == { team = "a,b", "paid by" = "50 %" }
    error_message = "pairs in JSON"
  }
  assert {
    condition     = aws_s3_bucket.this.tags == tomap({ team = "a,b", "paid by" = "50 %", "covalent-awsbatch" = "covalent-batch" })
    error_message = "tags on what is created, too"
  }
}

run "refused" {
  command = plan

  variables {
    capacity    = "FARGATE_SPOT,SPOT"
    environment = "MODE"
    tags        = "[1]"
  }

  expect_failures = [var.capacity, var.environment, var.tags]
}

run "machines_on_fargate" {
  command = plan

  variables {
    capacity = "FARGATE"
    num_gpus = 1
  }

  expect_failures = [terraform_data.template]
}

run "key_and_repository" {
  command = plan

  variables {
    s3_kms_key_id = "alias/mine"
    create_ecr    = true
    prefix        = "lab"
  }

  assert {
    condition     = aws_ecr_repository.this[0].name == "lab"
    error_message = "a repository with the prefix's name"
  }
  assert {
    condition = alltrue([
      for rule in aws_s3_bucket_server_side_encryption_configuration.this.rule :
      rule.apply_server_side_encryption_by_default[0].kms_master_key_id == "arn:aws:kms:us-east-1:123456789012:key/1234"
    ])
    error_message = "the user's key"
  }
}

run "fair_share" {
  command = apply

  variables {
    fair_share = true
  }

  assert {
    condition     = aws_batch_job_queue.this.scheduling_policy_arn == aws_batch_scheduling_policy.this[0].arn
    error_message = "a queue with a policy"
  }
  assert {
    condition     = output.executor.share_identifier == "covalentbatch"
    error_message = "without a share no job would be taken"
  }
}

run "share_without_policy" {
  command = plan

  variables {
    share_identifier = "blue"
  }

  expect_failures = [aws_batch_job_queue.this]
}

run "secrets" {
  command = plan

  variables {
    region  = "us-east-1"
    secrets = "TOKEN:arn:aws:secretsmanager:us-east-1:123456789012:secret:t-AbCdEf:key::,WORD:/team/word"
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.execution[0].policy).Statement == [
      {
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:t-AbCdEf"]
      },
      { Effect = "Allow", Action = ["ssm:GetParameters"], Resource = ["arn:aws:ssm:us-east-1:123456789012:parameter/team/word"] },
    ]
    error_message = "the execution role fetches what secrets names, and nothing else"
  }
}

run "consumables" {
  command = plan

  variables {
    consumable = "licence=5, seat:2"
  }

  assert {
    condition = {
      for name, stack in aws_cloudformation_stack.consumable :
      name => jsondecode(stack.template_body).Resources.Consumable.Properties.TotalQuantity
    } == { licence = 5, seat = 2 }
    error_message = "as many of each as were asked for"
  }
}

run "near_and_not_for_ever" {
  command = plan

  variables {
    placement_group = true
    runnable_limit  = 3600
  }

  assert {
    condition     = aws_batch_compute_environment.this["EC2"].compute_resources[0].placement_group == "covalent-batch"
    error_message = "machines close to each other"
  }
  assert {
    condition     = [for action in aws_batch_job_queue.this.job_state_time_limit_action : "${action.action} ${action.max_time_seconds}"] == ["CANCEL 3600", "CANCEL 3600", "CANCEL 3600"]
    error_message = "a job that finds no machine blocks the queue for an hour"
  }
}

run "no_machines_near_each_other" {
  command = plan

  variables {
    capacity        = "FARGATE"
    placement_group = true
  }

  expect_failures = [terraform_data.template]
}

run "nodes_that_talk_to_each_other" {
  command = apply

  variables {
    multi_node = true
  }

  assert {
    condition     = aws_batch_compute_environment.this["EC2"].compute_resources[0].placement_group == "covalent-batch"
    error_message = "machines close to each other"
  }
  assert {
    condition     = aws_batch_compute_environment.this["EC2"].compute_resources[0].subnets == toset([aws_subnet.nodes[0].id])
    error_message = "in the subnet whose way out is the NAT gateway alone"
  }
  assert {
    condition     = aws_route.out_of_nodes[0].nat_gateway_id == aws_nat_gateway.nodes[0].id && aws_nat_gateway.nodes[0].subnet_id == aws_subnet.public[0].id
    error_message = "a way out, as an interface of a node has no public address"
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.nodes[0].referenced_security_group_id == aws_security_group.jobs.id
    error_message = "what comes in comes from other nodes alone"
  }
}

run "nodes_in_a_network_of_ones_own" {
  command = plan

  variables {
    multi_node = true
    vpc_id     = "vpc-1"
    subnet_ids = "subnet-1"
  }

  assert {
    condition     = length(aws_nat_gateway.nodes) == 0 && length(aws_vpc_security_group_ingress_rule.nodes) == 1
    error_message = "its way out is the owner's, and the security group is ours"
  }
}

run "no_nodes_on_spot_machines" {
  command = plan

  variables {
    multi_node = true
    capacity   = "SPOT,EC2"
  }

  expect_failures = [terraform_data.template]
}

run "machines_that_wait" {
  command = apply

  variables {
    capacity         = "SPOT,EC2"
    min_vcpus        = 4
    scale_down_delay = 30
  }

  assert {
    condition     = length(aws_batch_compute_environment.this) == 0 && keys(aws_cloudformation_stack.environment) == ["EC2", "SPOT"]
    error_message = "what the provider does not know CloudFormation does"
  }
  assert {
    condition = [for kind in ["SPOT", "EC2"] : [for value in [jsondecode(aws_cloudformation_stack.environment[kind].template_body).Resources.Environment.Properties.ComputeResources] : [
      value.Type, value.AllocationStrategy, value.MinvCpus, value.MaxvCpus, value.ScalingPolicy.MinScaleDownDelayMinutes
      ]][0]] == [
      ["SPOT", "SPOT_PRICE_CAPACITY_OPTIMIZED", 4, 256, 30],
      ["EC2", "BEST_FIT_PROGRESSIVE", 0, 256, 30],
    ]
    error_message = "the same machines as without a delay"
  }
}

run "types_in_their_order" {
  command = apply

  variables {
    capacity            = "SPOT,EC2"
    instance_types      = "m6i.large, c6i.large, m5"
    allocation_strategy = "BEST_FIT_PROGRESSIVE_ORDERED"
  }

  assert {
    condition = [for kind in ["SPOT", "EC2"] : [for value in [jsondecode(aws_cloudformation_stack.environment[kind].template_body).Resources.Environment.Properties.ComputeResources] : {
      strategy = value.AllocationStrategy, types = value.InstanceTypes, delay = can(value.ScalingPolicy)
      }][0]] == [
      { strategy = "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED", types = ["m6i.large", "c6i.large", "m5"], delay = false },
      { strategy = "BEST_FIT_PROGRESSIVE_ORDERED", types = ["m6i.large", "c6i.large", "m5"], delay = false },
    ]
    error_message = "in the order in which they were given, by the strategy of each kind"
  }
}

run "an_order_of_nothing" {
  command = plan

  variables {
    allocation_strategy = "BEST_FIT_PROGRESSIVE_ORDERED"
  }

  expect_failures = [terraform_data.template]
}

run "no_machines_that_wait_on_fargate" {
  command = plan

  variables {
    capacity         = "FARGATE"
    scale_down_delay = 30
  }

  expect_failures = [terraform_data.template]
}

run "too_short_a_delay" {
  command = plan

  variables {
    scale_down_delay = 19
  }

  expect_failures = [var.scale_down_delay]
}

run "nodes_with_an_adapter" {
  command = apply

  variables {
    multi_node     = true
    efa            = true
    instance_types = "c5n.18xlarge"
  }

  assert {
    condition = [for interface in aws_launch_template.machine[0].network_interfaces : [
      interface.device_index, interface.interface_type, interface.security_groups == toset([aws_security_group.jobs.id])
    ]] == [[0, "efa", true]]
    error_message = "the machine's interface is an adapter, in the group that lets nodes talk"
  }
  assert {
    condition     = aws_batch_compute_environment.this["EC2"].compute_resources[0].security_group_ids == null
    error_message = "AWS takes the groups of one place, and those of an environment make EC2 refuse the interface"
  }
  assert {
    condition     = strcontains(base64decode(aws_launch_template.machine[0].user_data), "efa_installer.sh --yes --minimal")
    error_message = "a driver where the image has none"
  }
  assert {
    condition     = output.executor.efa && aws_vpc_security_group_egress_rule.nodes[0].referenced_security_group_id == aws_security_group.jobs.id
    error_message = "jobs that get the adapter, and may leave by it to the other nodes"
  }
}

run "nodes_with_an_adapter_that_wait" {
  command = apply

  variables {
    multi_node       = true
    efa              = true
    instance_types   = "c5n.18xlarge"
    scale_down_delay = 20
  }

  assert {
    condition = [for value in [jsondecode(aws_cloudformation_stack.environment["EC2"].template_body).Resources.Environment.Properties.ComputeResources] : [
      can(value.SecurityGroupIds), value.PlacementGroup, length(value.Subnets)
    ]][0] == [false, "covalent-batch", 1]
    error_message = "a stack leaves the groups to the launch template, too"
  }
}

run "an_adapter_without_nodes" {
  command = plan

  variables {
    efa            = true
    instance_types = "c5n.18xlarge"
  }

  expect_failures = [terraform_data.template]
}

run "an_adapter_of_some_size" {
  command = plan

  variables {
    multi_node     = true
    efa            = true
    instance_types = "c5n.18xlarge,c6in"
  }

  expect_failures = [terraform_data.template]
}

run "no_adapter" {
  command = plan

  variables {
    multi_node     = true
    efa            = true
    instance_types = "c5n.large"
  }

  override_data {
    target = data.aws_ec2_instance_type.with_adapter
    values = { efa_supported = false }
  }

  expect_failures = [data.aws_ec2_instance_type.with_adapter]
}
