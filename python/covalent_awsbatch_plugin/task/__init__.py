"""The way of one task on the server's side: its call is pickled into the bucket, its result brought and explained.

Uses `options`, `agreement` and the core.
"""
