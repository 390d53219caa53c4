"""Container engines: docker, podman, nerdctl, containerd and bubblewrap behind one interface.

In: an image and a `RunSpec`. Out: a loaded image, or a running container. `interface` defines what an engine is. Each engine has a file:
those with docker's command line derive from `dockerlike`, those without a network and volumes of their own from `local`. Imports
`oci` and below; only `cli` imports it.
"""
