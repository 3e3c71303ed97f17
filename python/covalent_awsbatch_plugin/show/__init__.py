"""`covalent-awsbatch jobs`: what is under way, and what is left behind.

Uses `server`, `task` and `options`.
"""
