"""Downloads: HTTP with resume and retry, one file from several servers, and public mirrors.

In: `Download` values, each with its URLs and the digest it must have. Out: blobs in the store; nothing that fails its hash gets there.
`fetch` is the entry point, `race` completes one file from several servers, `servers` remembers how each one behaved, `mirrors` measures
and chooses public mirrors. Imported by every room above; imports only the leaves.
"""
