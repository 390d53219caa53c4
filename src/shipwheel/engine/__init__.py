"""Container engines: docker, podman, nerdctl, containerd and bubblewrap behind one interface.

In: an image and a `RunSpec`. Out: a loaded image, or a container that runs. `interface` says what an engine is; each engine has a file.
Imports `oci` and below; only `cli` imports it.
"""
