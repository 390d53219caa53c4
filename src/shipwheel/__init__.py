"""From a Python project to production container images for every architecture."""

__all__ = ["__version__"]

__version__ = "0.1.0"
