"""Debian version numbers (Debian Policy 5.6.12, deb-version(7))."""

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["upstream", "version_key"]

_RUNS = lazy_pattern(r"(\D*)(\d*)")
_TILDE, _END, _LETTER, _OTHER = -1, 0, 0, 256

_Part = tuple[tuple[int, ...], int]


def version_key(version: str) -> tuple[int, tuple[_Part, ...], tuple[_Part, ...]]:
    """Return a sort key: the newer version has the larger one."""
    epoch, rest = version.split(":", 1) if ":" in version else ("0", version)
    body, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return int(epoch), _sortable(body), _sortable(revision or "0")


def upstream(version: str) -> str:
    """Return the upstream part, without epoch and revision: `3.11.2` for `1:3.11.2-6+deb12u6`."""
    rest = version.partition(":")[2] if ":" in version else version
    return rest.rpartition("-")[0] if "-" in rest else rest


def _sortable(text: str) -> tuple[_Part, ...]:
    """Split into alternating runs of non-digits and digits. An empty run ends it, so that a tilde sorts before the end."""
    parts = [((*map(_weight, letters), _END), int(digits or 0)) for letters, digits in _RUNS.findall(text) if letters or digits]
    return (*parts, ((_END,), 0))


def _weight(character: str) -> int:
    """Order characters: a tilde before the end of a part, then letters, then everything else."""
    if character == "~":
        return _TILDE
    return ord(character) + (_LETTER if character.isalpha() else _OTHER)
