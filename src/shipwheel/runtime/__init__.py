"""Files that are copied into images and run there, with the standard library alone.

Nothing here is imported by the rest of shipwheel: `pipeline` reads these files as text.
"""
