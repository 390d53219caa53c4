"""Locks of other tools (Poetry, PDM, Pipenv), read into one common `ToolLock`.

In: the lock's content and the project's files, both already read. Out: a `ToolLock`, and the requirements that the tool would install on
Linux. To add a format, write a module with a reader and name it in `read`. Imported by `lock` alone.
"""
