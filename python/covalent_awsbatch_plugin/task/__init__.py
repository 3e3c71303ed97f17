"""The way of one task on the server's side: its call is uploaded, its job submitted and watched, its result brought.

Uses `options`, `agreement` and the core.
"""
