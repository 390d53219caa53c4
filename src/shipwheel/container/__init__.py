"""Facts of every container that more than one room needs: mount points, variables, signals, the virtual environment's paths.

Values and checks alone, without I/O. Imported by engines, settings, wheels and the stack; they import no room.
"""
