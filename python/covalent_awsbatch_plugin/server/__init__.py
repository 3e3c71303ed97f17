"""Covalent's side: how it loads the executor, requests to the dispatcher, and which process still waits for a job.

Uses `agreement`, `errors` and the core.
"""
