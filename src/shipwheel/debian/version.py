"""Debian version numbers: which of two is newer (Debian policy 5.6.12, deb-version(7))."""

import re

__all__ = ["upstream", "version_key"]

_PARTS = re.compile(r"(\D*)(\d*)")
_TILDE, _END, _LETTER, _OTHER = -1, 0, 0, 256

Part = tuple[tuple[int, ...], int]


def version_key(version: str) -> tuple[int, tuple[Part, ...], tuple[Part, ...]]:
    """A sort key: the newer version has the larger one."""
    epoch, rest = version.split(":", 1) if ":" in version else ("0", version)
    body, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return int(epoch), _comparable(body), _comparable(revision or "0")


def upstream(version: str) -> str:
    """The upstream part, without epoch and revision: `1:3.11.2-6+deb12u6` gives `3.11.2`."""
    rest = version.partition(":")[2] if ":" in version else version
    return rest.rpartition("-")[0] if "-" in rest else rest


def _comparable(text: str) -> tuple[Part, ...]:
    """Runs of non-digits and of digits in turn, ended by an empty run, so that a tilde sorts before the end."""
    parts = [((*map(_weight, letters), _END), int(digits or 0)) for letters, digits in _PARTS.findall(text) if letters or digits]
    return (*parts, ((_END,), 0))


def _weight(character: str) -> int:
    """A tilde sorts before the end of a part, letters after that, everything else after letters."""
    if character == "~":
        return _TILDE
    return ord(character) + (_LETTER if character.isalpha() else _OTHER)
