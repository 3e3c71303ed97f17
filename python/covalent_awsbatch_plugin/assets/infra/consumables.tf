# Licences and other things that only so many jobs can have at once. The provider knows no such resource, and
# CloudFormation does.
resource "aws_cloudformation_stack" "consumable" {
  # checkov:skip=CKV_AWS_124:whoever applies this waits for the stack and sees how it ends; a topic would tell nobody more
  for_each = {
    for pair in compact(split(",", var.consumable)) :
    trimspace(regex("^([^:=]+)[:=]", pair)[0]) => tonumber(trimspace(regex("^[^:=]+[:=](.*)$", pair)[0]))
  }
  name = "${var.prefix}-consumable-${replace(each.key, "_", "-")}"
  tags = local.tags

  template_body = jsonencode({
    Description = "A consumable resource of AWS Batch"
    Resources = {
      Consumable = {
        Type = "AWS::Batch::ConsumableResource"
        Properties = {
          ConsumableResourceName = each.key
          ResourceType           = "REPLENISHABLE"
          TotalQuantity          = each.value
        }
      }
    }
  })
}
