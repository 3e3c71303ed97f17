"""Shared by both sides of the container: names, references to contents, and unpickling of large texts.

Uses nothing of this package.
"""
