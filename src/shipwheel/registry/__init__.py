"""Registries: the client of the OCI distribution specification, with its authentication.

In: references, images and layouts. Out: manifests and blobs, pushed or pulled. `repository` reads and puts manifests, `referrers` lists
what refers to them, `push` and `upload` write, `copy` and `pull` combine them; `transport` sends each request with `auth`'s headers to one
of the `hosts`. Workarounds for single registries belong in `upload`, `referrers` and `transport`. Imports `oci` and below; `base`,
`pipeline` and `cli` import it.
"""
