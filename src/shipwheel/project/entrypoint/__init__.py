"""How a project starts: its production command, ports, volumes and one-time steps, found by reading.

In: `Evidence`, what is known about the project. Out: a frozen `Launch` with the reason for its command. `find.find_launch` is the entry
point, and its `_FINDERS` are the order of precedence. `scan` reads the directory once; finders receive the `Scan` and open no files.

To add:
    a web framework, or a queue with an application object: a row in `frameworks`; a worker's command in `workers`
    a production server: a function in `servers`
    a framework with a program that serves a file: a row in `file_servers`
    a kind of deployment file: a reader in `project.deployment`, and its place in `find`
    another kind of evidence: a module with a `Finder`, and its place in `find`
    a library that writes files: a row in `write_scan`

Imported by `project`, and by `pipeline` for what a `Launch` means.
"""
