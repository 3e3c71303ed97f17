"""What both sides of the container agree on: names of objects, variables and metadata, and how texts are unpickled.

Uses nothing of this package.
"""
