"""Shared by both sides of the container: names of objects, variables and metadata, and unpickling of large texts.

Uses nothing of this package.
"""
