"""The independent validator: recomputes every digest, size, diff_id, media type and platform of a layout or archive.

In: a path. Out: a `Report`, or an `ImageError` that lists every problem. It shares no code with the modules that write images.
"""
