"""Make room for the image's own `sitecustomize`: a part of the programs that run in its place in each interpreter of a trial.

Standard library only, and the syntax of Python 3.7.
"""

import sys

__all__ = ["step_aside"]


def step_aside(directory: str) -> None:
    """Import the `sitecustomize` that the process would have without this one."""
    own = sys.modules.pop("sitecustomize")
    sys.path[:] = [folder for folder in sys.path if folder != directory]
    sys.path_importer_cache.pop(directory, None)
    try:
        __import__("sitecustomize")
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        # The import of this module expects one there.
        sys.modules.setdefault("sitecustomize", own)
