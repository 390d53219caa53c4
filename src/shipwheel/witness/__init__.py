"""Notes of all that a build looked at in the file system, by which a later one can tell whether anything changed.

`witness` notes what this process opens and lists, `looks` is that as a value, and `file_states` has the states that are compared. But for
the value, they need the standard library alone: the build hook imports them, and so does the fastest path of the command line.
"""
