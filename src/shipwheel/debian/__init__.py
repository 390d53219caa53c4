"""Debian's signed archive: releases, package tables, packages as sources, and the closure over shared libraries.

In: a suite, package names and ELF facts. Out: `DebianPackage` and `DebSource` values; every file is checked against the signed hashes.
Packages are unpacked and never run. Imports `files` and below.
"""
