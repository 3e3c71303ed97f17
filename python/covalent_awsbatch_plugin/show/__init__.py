"""`covalent-awsbatch jobs`, `logs`, `resume` and `environment`: what is under way or kept, and what is left behind.

Uses `server`, `task`, `environment` and `options`.
"""
