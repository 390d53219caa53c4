"""Signs in a program's output that it is older than the packages or the Python that it got."""

import re

__all__ = ["is_outgrown"]

_OUTGROWN = (
    r"ImportError: cannot import name",
    r"ModuleNotFoundError: No module named '\w+\.[\w.]+'",
    r"AttributeError: (?:module|type object|'(?!NoneType)\w+' object has no attribute)",
    r"ModuleNotFoundError: No module named '(?:imp|cgi|distutils|asynchat|asyncore|smtpd|pipes|telnetlib|[\w.]+\.six\.moves)",
    r"RuntimeError: There is no current event loop",
    r"RuntimeError: __class__ not set defining",
    r"RuntimeError: Working outside of application context",
    r"PydanticUserError: |PydanticImportError: ",
    r"TypeError: .*(?:unexpected keyword argument|positional argument|unhashable type)",
    r"(?s)site-packages[^\n]*\n(?:[^\n]*\n){0,3}[^\n]*(?:AttributeError|ImportError|TypeError|SyntaxError)",
)
"""Errors of programs that are older than the packages or the Python that they got."""


def is_outgrown(log: str) -> bool:
    """Return whether a program failed inside a package, or by what newer versions no longer have: it is older than they are."""
    return any(re.search(pattern, log) is not None for pattern in _OUTGROWN)
