"""Images that somebody else made: their files on disk, their layers unpacked, their merged file tree, a root file system.

In: a layout, an archive or an image's layers, all untrusted. Out: `Opened`, `Tree`, `Rootfs`, or an `ArchiveError` that names the file.
"""
