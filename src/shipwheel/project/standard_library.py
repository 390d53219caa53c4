"""The modules of Python's standard library."""

import sys

__all__ = ["EVERY_STANDARD_MODULE", "standard_library"]

_REMOVED = {
    12: "asynchat asyncore distutils imp smtpd",
    13: (
        "aifc audioop cgi cgitb chunk crypt imghdr lib2to3 mailcap msilib nis nntplib ossaudiodev pipes sndhdr spwd sunau telnetlib uu "
        "xdrlib"
    ),
}
"""Minor version -> the modules of the standard library that it no longer has (What's New in Python)."""

_PACKAGED_APART = ("tkinter", "turtle", "idlelib", "ensurepip", "venv", "distutils", "lib2to3")
"""Modules that Debian has in packages of their own."""

EVERY_STANDARD_MODULE = sys.stdlib_module_names | {name for names in _REMOVED.values() for name in names.split()}
"""The modules that some version of Python 3 has."""


def standard_library(minor: str) -> frozenset[str]:
    """Return the modules that every Python of a minor version has, as far as the running one knows; others are found by their files."""
    version = int(minor.partition(".")[2])
    removed = (name for since, names in _REMOVED.items() if since <= version for name in names.split())
    return sys.stdlib_module_names - {*removed, *_PACKAGED_APART}
