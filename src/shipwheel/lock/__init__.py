"""The lock: resolve a project's requirements through uv, keep them as pylock.toml (PEP 751), select files for each target.

In: a `LockRequest`. Out: a `Lock`, and for each `Target` a `Selection` of `LockedDistribution` values.
`uv` is the only module that runs uv; `formats` reads other tools' locks; `diagnose` explains what went wrong and what would work instead.
"""
