"""Explain what went wrong with a lock: conflicts, missing files, alternatives, why a package is locked, what changed.

In: the parsed failures of uv, a lock, or two locks. Out: errors with a next step, and values that the command line shows. Nothing here
changes a lock.
"""
