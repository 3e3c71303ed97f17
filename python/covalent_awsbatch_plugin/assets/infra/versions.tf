terraform {
  # `terraform_data` appeared in 1.4. Nothing here needs more, and Covalent 0.240 itself refuses 1.10 and newer.
  required_version = ">= 1.4"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # A range, so that a module cache or mirror of a company serves; 5.83 surely has `job_state_time_limit_action`.
      version = ">= 5.83, < 7"
    }
  }
}
