"""Compiling wheels for another machine or this one: Debian's compilers in a root of their own, in the sandbox.

In: a source and a target. Out: a wheel for it, and the Debian packages that its build turned out to need. `complaints` alone parses what
compilers print. The pipeline uses it.
"""
