"""Registries: the client of the OCI distribution specification, with its authentication.

In: a reference, images or layouts. Out: manifests and blobs, pushed or pulled. `repository` reads, `push` and `upload` write,
`transport` sends each request. Quirks of real registries belong in `upload` and `transport`. Imports `oci` and below.
"""
