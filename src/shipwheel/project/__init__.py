"""The user's project, read from its directory without running any of it.

In: a directory or a single-file script, and settings. Out: a frozen `Project`, with its Python, requirements, indexes and how it starts.
`read.read_project` is the entry point: it opens each file once, and nothing else opens them again except for private copies and the files
of /app (`app_tree`). `entrypoint` finds the command; `lock_inputs` holds what the lock wants. Imported by `lock` and above.
"""
