"""`covalent-awsbatch jobs`, `logs`, `why`, `resume` and `environment`: what is under way, kept, failed or left behind.

Uses `server`, `task`, `environment` and `options`.
"""
