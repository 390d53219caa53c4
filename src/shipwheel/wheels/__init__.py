"""Wheels as sources of file entries: checked zip archives, installation without unpacking, bytecode, wheels built from source.

In: locked distributions in the store. Out: `WheelSource` and `BytecodeSource` values, and `BuiltWheel` for what was built here.
Imports `lock` and `files`; imported by `base` and `pipeline`.
"""
