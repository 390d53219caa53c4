"""The user's files: opened once, found where the system keeps them, or still to be made from an example.

`files` reads text and TOML, `directories` follows the XDG specification, `example_files` knows a template by its name. Imports only errors.
"""
