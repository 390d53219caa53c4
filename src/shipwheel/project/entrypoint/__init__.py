"""How a project starts: its production command, ports, volumes and one-time steps, found by reading.

In: `Evidence` about the project, and its source as syntax trees. Out: a `Launch` with the reason for each choice.
`find` has the order of precedence; each other module knows one kind of evidence. To add a web framework, start in `applications`.
"""
