terraform {
  # `terraform_data` appeared in 1.4. Nothing here needs more, and Covalent 0.240 itself refuses 1.10 and newer.
  required_version = ">= 1.4"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # A range, so that a module cache or mirror of a company serves; `compute_environment_order` came with 5.31.
      version = ">= 5.31, < 7"
    }
  }
}
