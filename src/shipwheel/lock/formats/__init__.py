"""Other tools' locks: Poetry, PDM and Pipenv, read into one common `ToolLock`.

In: the lock's path and the chosen extras and groups. Out: a `ToolLock`, whose active lines are what the tool itself would install.
To add a format, add a module with one reader and name it in `read`.
"""
