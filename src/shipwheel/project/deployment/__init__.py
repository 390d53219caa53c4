"""The deployment files of a repository: Dockerfiles, Procfiles and the scripts that they start, read into values without running anything.

In: the files of a repository. Out: a frozen `Deployment`. `read.read_deployment` is the entry point. Syntax is parsed by libraries
(tree-sitter), which are imported only if there is such a file; `shell` follows a script as a shell would that runs no program.

Imported by `project.read` for the Python version and what is installed, and by `project.entrypoint` for commands, ports and volumes.
"""
