"""Signs that a program in a container gives of what it needs, and what they mean.

`output` searches logs for what is lacking, `tracebacks` for the error that it ended with, `endings` for what its last words tell,
`outgrown` for a program older than its packages. `companions` tells a server by its address, `open_calls` a file that is made from one that
is read. `placeholder` invents values for variables, to see how much further a program comes. Used by `trial` and `pipeline`; imports no
room.
"""
