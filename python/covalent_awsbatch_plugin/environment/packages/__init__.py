"""What the function of a job needs besides: packages from an index, as objects beside those of the runner.

`wanted` says what a task asks for, `locked` which wheels that is, and `layers` makes objects of them. Uses `options`,
`errors`, the core and the modules beside it that pack; nothing of the user's is run, and nothing is installed here.
"""
