"""Files that are copied into images and run there, with the standard library alone.

The rest of shipwheel imports nothing from here: `pipeline` reads these files as text.
"""
