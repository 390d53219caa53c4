"""Libraries that pure Python packages open by name and that the image lacks: nothing fails before they are used, so it is said.

Only a package without any object of its own is asked: one that has objects mostly brings what it opens, or can do without. And only what
the suite has a package for is worth a word: what is not in Debian is a driver's, or another system's.
"""

import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from shipwheel.events import Warned
from shipwheel.files.ctypes_libraries import stem
from shipwheel.files.segment import Segment

if TYPE_CHECKING:
    from shipwheel.debian.archive import PackageIndex

__all__ = ["lacking", "notes"]


_MARK = "opened:"


def lacking(base: Sequence[Segment], others: Sequence[Segment]) -> dict[str, tuple[str, ...]]:
    """`opened:` and the name as it is opened -> the labels of those `others` that open it, for what nothing in the image is called.

    The mark tells it from a soname that is needed, where both are noted as absent.
    """
    there = {
        stem(posixpath.basename(name)) for segment in (*base, *others) for item in segment.elf for name in (item.path, item.soname) if name
    }
    found: dict[str, list[str]] = {}
    for segment in others:
        for name in segment.opens if not segment.elf else ():
            if stem(name) not in there:
                found.setdefault(f"{_MARK}{name}", []).append(segment.label)
    return {name: tuple(labels) for name, labels in sorted(found.items())}


def notes(lacked: Mapping[str, Collection[str]], index: "PackageIndex") -> Iterator[Warned]:
    """For each that opens something the suite has: what to add, if it is used."""
    found: dict[str, dict[str, str]] = {}
    for marked, labels in lacked.items():
        name = marked.removeprefix(_MARK)
        soname = name if ".so" in name else next(iter(index.sonames(name)), "")
        package = next(iter(index.providers(soname)), "")
        for label in labels if package else ():
            found.setdefault(label, {})[soname] = package
    for label, libraries in found.items():
        packages = ", ".join(f'"{package}"' for package in sorted(set(libraries.values())))
        them = "it" if len(libraries) == 1 else "them"
        yield Warned(
            f"{label} can open {', '.join(libraries)} by name, and the image does not have {them}",
            hint=f"If that is used, add to the settings: packages = [{packages}]",
        )
