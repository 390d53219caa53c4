"""Facts of every container that more than one room needs: mount points, variables, signals, devices, the virtual environment's paths.

Values and checks, without I/O but for `devices`, which copies this machine's. Imported by engines, settings, wheels and the stack; they
import no room.
"""
