"""Images that other tools made: their files on disk, their layers, their file tree, their root file system.

In: a layout, an archive or an image's layers, all untrusted. Out: `ImageFiles`, `FileTree`, `Rootfs`, or an error that names the file.
Imported by `validate` and every room above `oci`.
"""
