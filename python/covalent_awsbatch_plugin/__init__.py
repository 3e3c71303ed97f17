"""Runs the electrons of a Covalent workflow as AWS Batch jobs."""
