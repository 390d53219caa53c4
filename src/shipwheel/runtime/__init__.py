"""Files that are copied into images and run there, with the standard library alone.

The rest of shipwheel reads these files as text. Only `trial.running` imports one, to ask as the observer asks.
"""
