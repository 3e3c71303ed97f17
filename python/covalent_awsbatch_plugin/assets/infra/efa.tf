# Machines with an Elastic Fabric Adapter, for jobs of several nodes. What it takes:
# https://docs.aws.amazon.com/batch/latest/userguide/efa.html. The placement group and the rules of the security group are
# those of multi_node.

locals {
  # Types with their sizes: of most families only the largest have an adapter.
  with_adapter = var.efa ? [for type in local.instance_types : type if length(split(".", type)) == 2] : []

  # The driver, where the machine's image lacks it. It is there before the machine takes jobs, as the ECS agent starts after
  # cloud-init. Batch wants user data in several parts: https://docs.aws.amazon.com/batch/latest/userguide/launch-templates.html
  driver = <<-EOT
    MIME-Version: 1.0
    Content-Type: multipart/mixed; boundary="==PARTS=="

    --==PARTS==
    Content-Type: text/x-shellscript; charset="us-ascii"

    #!/bin/bash
    modprobe efa 2>/dev/null
    [ -e /dev/infiniband/uverbs0 ] && exit 0
    directory=$(mktemp --directory) && cd "$directory" || exit 1
    curl --fail --silent --show-error --location --connect-timeout 20 --max-time 600 --retry 5 --retry-all-errors \
      --output efa.tar.gz https://efa-installer.amazonaws.com/aws-efa-installer-latest.tar.gz &&
      tar --extract --gzip --file efa.tar.gz && cd aws-efa-installer && ./efa_installer.sh --yes --minimal && modprobe efa
    [ -e /dev/infiniband/uverbs0 ] || { echo "The driver of the Elastic Fabric Adapter could not be installed" >/dev/console; exit 1; }
    --==PARTS==--
  EOT
}

# Whether they have one AWS knows.
data "aws_ec2_instance_type" "with_adapter" {
  for_each      = toset(local.with_adapter)
  instance_type = each.value

  lifecycle {
    postcondition {
      condition     = self.efa_supported
      error_message = "instance_types has ${each.value}, which has no Elastic Fabric Adapter: choose another one, or leave efa out."
    }
  }
}
