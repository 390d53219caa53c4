"""Wheels as sources of file entries: checked zip archives, installation without unpacking, bytecode, and wheels built from source.

`WheelSource` and `BytecodeSource` yield the entries of locked wheels in the store; `source_builds` turns sdists, repositories and the
user's project into a `BuiltWheel`. Imports `lock` and `files`; imported by `base` and `pipeline`.
"""
