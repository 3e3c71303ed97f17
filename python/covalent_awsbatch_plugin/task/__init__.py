"""One task on the server's side: its call is uploaded, its job submitted and watched, its result retrieved.

Uses `options`, `agreement` and the core.
"""
