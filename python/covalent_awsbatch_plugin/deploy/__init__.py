"""`covalent-awsbatch deploy`, and what Covalent's own `covalent deploy` needs: the infrastructure as Terraform has it.

Uses `options`, and of `local` the editing of Covalent's configuration.
"""
