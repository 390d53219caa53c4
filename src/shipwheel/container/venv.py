"""The paths of the virtual environment in an image (PEP 405, sysconfig's posix_prefix scheme)."""

import msgspec

__all__ = ["PYTHON", "VENV", "Paths", "module_of"]

VENV = "opt/venv"
"""The root of the virtual environment, without a leading slash, as file entries have it."""

PYTHON = f"/{VENV}/bin/python"
"""The absolute path of the interpreter in the virtual environment."""


class Paths(msgspec.Struct, frozen=True):
    """The directories of the virtual environment for one Python minor version, for example "3.11"."""

    minor: str

    @property
    def site_packages(self) -> str:
        """The directory into which Python packages are installed."""
        return f"{VENV}/lib/python{self.minor}/site-packages"

    def scheme(self, name: str, distribution: str) -> str:
        """Return the directory for a wheel's scheme: purelib, platlib, scripts, data or headers."""
        return {
            "purelib": self.site_packages,
            "platlib": self.site_packages,
            "scripts": f"{VENV}/bin",
            "data": VENV,
            "headers": f"{VENV}/include/site/python{self.minor}/{distribution}",
        }[name]


def module_of(path: str) -> str:
    """Return the name of the module in a file, from its path below site-packages.

    A package has the same name whether it is one file or a directory, so that a list of names outlives new versions.
    """
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
