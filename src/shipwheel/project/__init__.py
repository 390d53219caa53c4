"""The user's project, read from its directory without running any of it.

In: a directory or a single-file script, and settings. Out: a frozen `Project`, with its Python, requirements, indexes and how it starts.
`detect` is the entry point; `entrypoint` finds the command; `app_tree` lists the files that go into /app. Imported by `lock` and above.
"""
