"""Programs with their children, and scratch directories: neither outlives the command that started or made it.

Both need the standard library alone, since `locking.build_hook`, which runs in other interpreters, imports them.
"""
