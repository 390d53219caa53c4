"""What lies below an app: Debian packages, a standalone Python on top of them, or another image.

In: a project, its lock and the platforms. Out: a `Base` for each platform, from one of the `Bases` implementations.
`base` has the types; `standalone` and `image` are the two other kinds of base. Imports `wheels`, `debian` and `registry`.
"""
