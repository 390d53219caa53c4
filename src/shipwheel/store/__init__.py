"""The store: blobs by their digests, small records by keys, and directories that are unpacked once.

`store` is the cache that every build reads and fills. `contents` lists what is in it, `prune` removes what nobody needs, and `sessions`
says which processes use it now. `directory_cache` keeps unpacked trees; `file_lock` is the lock below both. Imports only leaves.
"""
