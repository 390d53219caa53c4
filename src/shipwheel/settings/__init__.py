"""The user's settings, read and checked: `[tool.shipwheel]`, shipwheel.toml, and the tables below them.

In: TOML of a person. Out: a frozen `Settings`, or one error with all problems. `values` converts and checks single values, `build` and
`services` have the tables with keys of their own. Imports `container`, `user` and the modules at the top.
"""
