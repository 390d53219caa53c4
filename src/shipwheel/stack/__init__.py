"""Several services and processes that run together: a stack.

In: the settings `services` and `processes` of a project (`read.py`), and the images that others built for it. Out: a frozen `Stack`
(`model.py`), containers in an engine, and the files that `export` writes: for compose, Kubernetes, Helm, BuildKit and CI. Nothing here
builds, pulls or prints.
Imports the project, oci and engine; only the command line imports it.
"""
