"""Development: the image's environment with the project's own directory in place of its copy, and a restart when a file is saved.

`variant` has what the image of a developer has beyond the one for production, `developer` as whom a container runs, so that what it writes
belongs to the person, `container` how the container runs, and `changes` which saved files matter. The command line puts them together.
"""
