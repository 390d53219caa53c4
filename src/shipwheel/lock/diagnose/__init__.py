"""Explanations: conflicts, missing files, alternatives, why a package is in the lock, what changed between two locks.

In: uv's output, a lock or two locks. Out: errors with a next step, and values that the command line shows. Never changes a lock.
"""
