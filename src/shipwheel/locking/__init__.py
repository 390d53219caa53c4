"""The lock: resolve a project's requirements through uv, store them as pylock.toml (PEP 751), select files for each target.

In: a `LockRequest`, made of a project's values. Out: a `Lock`, and for each `Target` a `Selection` of `LockedDistribution` values.
`make` is the entry point: it resolves through uv (`resolve`) or takes the versions of another tool's lock (`other_locks`). `uv` alone runs
uv, and `uv_output` alone parses its messages; `formats` reads the locks of other tools; `diagnose` explains failures and finds
alternatives. Imported by `wheels`, `base`, `pipeline` and `cli`.
"""
