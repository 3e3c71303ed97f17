"""`watch`: a dispatch as it goes on, in a terminal, a notebook or a file.

`states` says how it is with each electron, `session` looks again and again, `ending` says how it ended, and `terminal`,
`notebook` and `plain` show it. Uses `show`.
"""
