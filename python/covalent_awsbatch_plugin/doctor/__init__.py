"""`covalent-awsbatch doctor` and `policy`: what is wrong with an account, and which rights are needed.

Uses `task`, `environment` and `options`, and the executor itself for a trial.
"""
