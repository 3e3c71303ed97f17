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

# The nodes of a job have interfaces of their own (awsvpc), and those have no public address on machines: hence a private
# subnet whose way out is a NAT gateway. One, since a cluster placement group lies in one zone.
# https://docs.aws.amazon.com/batch/latest/userguide/mnp-ce.html

resource "aws_subnet" "nodes" {
  count             = local.own_nodes ? 1 : 0
  vpc_id            = aws_vpc.this[0].id
  availability_zone = aws_subnet.public[0].availability_zone
  cidr_block        = cidrsubnet(aws_vpc.this[0].cidr_block, 4, 2)
  tags              = merge(local.tags, { Name = "${var.prefix}-nodes" })
}

resource "aws_eip" "nodes" {
  count      = local.own_nodes ? 1 : 0
  domain     = "vpc"
  tags       = merge(local.tags, { Name = "${var.prefix}-nodes" })
  depends_on = [aws_internet_gateway.this]
}

resource "aws_nat_gateway" "nodes" {
  count         = local.own_nodes ? 1 : 0
  allocation_id = aws_eip.nodes[0].id
  subnet_id     = aws_subnet.public[0].id
  tags          = merge(local.tags, { Name = "${var.prefix}-nodes" })
  depends_on    = [aws_route.out]
}

resource "aws_route_table" "nodes" {
  count  = local.own_nodes ? 1 : 0
  vpc_id = aws_vpc.this[0].id
  tags   = merge(local.tags, { Name = "${var.prefix}-nodes" })
}

resource "aws_route" "out_of_nodes" {
  count                  = local.own_nodes ? 1 : 0
  route_table_id         = aws_route_table.nodes[0].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.nodes[0].id
}

resource "aws_route_table_association" "nodes" {
  count          = local.own_nodes ? 1 : 0
  subnet_id      = aws_subnet.nodes[0].id
  route_table_id = aws_route_table.nodes[0].id
}

# Costs nothing, and keeps functions and results off the internet.
resource "aws_vpc_endpoint" "s3" {
  count             = local.own_network ? 1 : 0
  vpc_id            = aws_vpc.this[0].id
  service_name      = "com.amazonaws.${local.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = concat(aws_route_table.public[*].id, aws_route_table.nodes[*].id)
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

# All protocols, and both ways by the group's own name, as an Elastic Fabric Adapter wants it.
# https://docs.aws.amazon.com/batch/latest/userguide/efa.html

resource "aws_vpc_security_group_ingress_rule" "nodes" {
  count                        = var.multi_node ? 1 : 0
  security_group_id            = aws_security_group.jobs.id
  description                  = "The nodes of a job"
  ip_protocol                  = "-1"
  referenced_security_group_id = aws_security_group.jobs.id
}

resource "aws_vpc_security_group_egress_rule" "nodes" {
  count                        = var.multi_node ? 1 : 0
  security_group_id            = aws_security_group.jobs.id
  description                  = "The nodes of a job"
  ip_protocol                  = "-1"
  referenced_security_group_id = aws_security_group.jobs.id
}
