"""Downloads over HTTP: resumed, retried, from several servers, and the public mirrors to download from.

In: `Download` values with their URLs and digests. Out: blobs in the store; a file with a wrong hash never gets there. `fetch` is the entry
point. For each file, `race` runs an `attempt` on one server after the other or on several, and `servers` remembers how each one behaved.
`http` tells transient from final errors, for `registry` too. `mirrors` measures and chooses mirrors. Imports only the leaves.
"""
