"""Registries: the client of the OCI distribution specification, with its authentication.

In: references, images and layouts. Out: manifests and blobs, pushed or pulled. `repository` reads, `push` and `upload` write, `copy` and
`pull` combine them; `transport` sends each request with `auth`'s headers to one of the `hosts`. Workarounds for single registries belong in
`upload` and `transport`. Imports `oci` and below; `base`, `pipeline` and `cli` import it.
"""
