"""Validation of images, independent of the code that writes them.

In: a layout, an archive, or the files of an image. Out: a `Report`, or an `ImageError` with every problem. `documents` checks the JSON
documents, `layers` each layer, and `check` compares them.
"""
