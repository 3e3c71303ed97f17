"""The environment of a job in an image that has nothing but Python: packed once, found by content, fetched by each job.

Uses `options`, `errors` and the core. `bootstrap` runs in the job's container and uses nothing of this package.
"""
