"""OCI images as frozen values: documents, layers, references, layouts and archives.

In: segments, and layouts or archives on disk. Out: `Layer`, `Image`, `ImageIndex`, and the files of a layout or an archive.
`read` unpacks images of other tools. `validate` checks images, and shares no code with the writers. Imports `files` and below.
"""
