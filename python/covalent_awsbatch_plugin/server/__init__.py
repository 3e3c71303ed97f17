"""Covalent's side: how it loads the executor, its questions to a running one, and which process still waits for a job.

Uses `agreement`, `errors` and the core.
"""
