"""Where things are in an image: a virtual environment, as PEP 405 and the posix_prefix scheme lay it out."""

import msgspec

__all__ = ["PYTHON", "VENV", "Paths"]

VENV = "opt/venv"
PYTHON = f"/{VENV}/bin/python"


class Paths(msgspec.Struct, frozen=True):
    """The paths inside the image for one Python minor version, for example "3.11"."""

    minor: str

    @property
    def site_packages(self) -> str:
        """The one directory that distributions are installed in."""
        return f"{VENV}/lib/python{self.minor}/site-packages"

    def scheme(self, name: str, distribution: str) -> str:
        """The directory of a wheel's scheme: purelib, platlib, scripts, data, headers."""
        return {
            "purelib": self.site_packages,
            "platlib": self.site_packages,
            "scripts": f"{VENV}/bin",
            "data": VENV,
            "headers": f"{VENV}/include/site/python{self.minor}/{distribution}",
        }[name]
