"""`covalent-awsbatch jobs`, `logs`, `watch`, `why`, `report` and more: what is under way, kept, failed or left behind.

Uses `server`, `task`, `environment` and `options`.
"""
