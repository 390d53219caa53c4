"""OCI images: documents, layers, references, layouts and archives, as frozen values.

In: segments, and layouts or archives on disk. Out: `Layer`, `Image`, `ImageIndex`, and the files of a layout or an archive.
`read` unpacks images that others made; `validate` checks images and shares no code with the writers. Imports `files` and below.
"""
