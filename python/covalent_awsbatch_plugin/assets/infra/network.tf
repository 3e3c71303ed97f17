# A network of our own, unless `vpc_id` and `subnet_ids` name one. Its subnets are public, because what makes a private
# one work, a NAT gateway or interface endpoints, costs money by the hour also while no job runs.

data "aws_availability_zones" "available" {
  # checkov:skip=CKV_AWS_394:the subnets keep their zones when AWS adds one, see below
  count = local.own_network ? 1 : 0
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

resource "aws_vpc" "this" {
  # checkov:skip=CKV2_AWS_11:flow logs cost money by the gigabyte and say nothing of jobs that only call out
  count                = local.own_network ? 1 : 0
  cidr_block           = "10.0.0.0/16"
  enable_dns_hostnames = true
  tags                 = merge(local.tags, { Name = var.prefix })
}

# Adopted without a rule, so that nothing can use it by mistake.
resource "aws_default_security_group" "this" {
  count  = local.own_network ? 1 : 0
  vpc_id = aws_vpc.this[0].id
}

resource "aws_internet_gateway" "this" {
  count  = local.own_network ? 1 : 0
  vpc_id = aws_vpc.this[0].id
  tags   = merge(local.tags, { Name = var.prefix })
}

resource "aws_subnet" "public" {
  # checkov:skip=CKV_AWS_130:without a NAT gateway a public address is the way to ECR and CloudWatch; nothing comes in
  count                   = local.own_network ? 2 : 0
  vpc_id                  = aws_vpc.this[0].id
  availability_zone       = data.aws_availability_zones.available[0].names[count.index]
  cidr_block              = cidrsubnet(aws_vpc.this[0].cidr_block, 4, count.index)
  map_public_ip_on_launch = true
  tags                    = merge(local.tags, { Name = "${var.prefix}-${count.index}" })

  lifecycle {
    # A zone that AWS adds would move the others on, and the subnets with all that runs in them.
    ignore_changes = [availability_zone]
  }
}

resource "aws_route_table" "public" {
  count  = local.own_network ? 1 : 0
  vpc_id = aws_vpc.this[0].id
  tags   = merge(local.tags, { Name = var.prefix })
}

resource "aws_route" "out" {
  count                  = local.own_network ? 1 : 0
  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_route_table_association" "public" {
  count          = length(aws_subnet.public)
  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public[0].id
}

# Costs nothing, and keeps functions and results off the internet.
resource "aws_vpc_endpoint" "s3" {
  count             = local.own_network ? 1 : 0
  vpc_id            = aws_vpc.this[0].id
  service_name      = "com.amazonaws.${local.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.public[0].id]
  tags              = merge(local.tags, { Name = var.prefix })
}

resource "aws_security_group" "jobs" {
  # checkov:skip=CKV2_AWS_5:the launch template attaches it
  name_prefix = "${var.prefix}-"
  description = "Covalent's jobs: calls out, nothing comes in"
  vpc_id      = local.vpc_id
  tags        = local.tags

  lifecycle {
    create_before_destroy = true

    precondition {
      condition     = (var.vpc_id == "") == (local.asked_subnets == "")
      error_message = "vpc_id and subnet_ids belong together: give both, or neither for a network of its own."
    }
  }
}

resource "aws_vpc_security_group_egress_rule" "out" {
  # checkov:skip=CKV_AWS_382:a task may call whatever its author wants
  security_group_id = aws_security_group.jobs.id
  description       = "Everywhere"
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}
