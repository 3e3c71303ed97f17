"""Covalent's side: its questions to a running executor, and which process still waits for a job.

Uses `agreement`, `errors` and the core.
"""
