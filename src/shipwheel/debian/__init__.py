"""Debian's signed archive, its packages as sources, and the packages that a base needs.

`session` gives a build access to the archive, `archive` reads its signed releases into a `PackageIndex`; `seed`, `closure`, `depends` and
`optional_libraries` choose packages; `downloads` fetches them. `DebSource` and `GeneratedBase` are sources of file entries. Packages are
unpacked and never run, and every file is checked against a signed hash. Imports `files` and below; imported by `base` and `pipeline`.
"""
