"""The executor's options: names, defaults, limits and where each value comes from; and sizes that AWS has for them.

Uses `agreement`, `server` (what hangs on an executor while it runs) and `errors`.
"""
