"""The layers below an app: Debian packages, a standalone Python on Debian packages, or another image.

`model` has the types, first of all `Base`, one platform's base. The implementations of `Bases` are `DebianBases`, `StandaloneBases` and
`ImageBases`. `base_requirements` and `base_directories` tell what an image needs of the base below it. Imports `wheels`, `debian`,
`registry` and below; imported by `pipeline`.
"""
