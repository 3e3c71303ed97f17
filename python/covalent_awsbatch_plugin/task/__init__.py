"""One task on the server's side: its call is uploaded, its job submitted and watched, its result retrieved.

Uses `environment`, `options`, `agreement` and the core.
"""
