"""Proof, before delivery, that every ELF file of an image can be loaded on its platform. Pure: works on what segments know."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from shipwheel.base.directories import check_places
from shipwheel.errors import ProofError
from shipwheel.files.elf import MACHINES, ElfObject
from shipwheel.files.segment import Segment
from shipwheel.platform import Platform

if TYPE_CHECKING:
    from shipwheel.files.loader import Loader

__all__ = ["PROOF_VERSION", "Part", "Proof", "prove"]

PROOF_VERSION = "3"
"""Part of the key under which a proof is remembered: raise it when more is checked."""

_PROGRAMS = "opt/venv/bin/"
_EXTENSION = re.compile(r"\.(cpython-\d+[a-z]*|abi3)(-[\w-]+)?\.so$")


class Part(msgspec.Struct, frozen=True):
    """A segment with where it came from: the base must be whole, a wheel may hold optional plugins.

    What is `given`, an image that is built upon, provides; whether it is whole is not asked.
    """

    segment: Segment
    base: bool
    given: bool = False


class Proof(msgspec.Struct, frozen=True):
    """What was looked at, and what the user should know although the image is delivered."""

    objects: int
    warnings: tuple[str, ...]


def prove(parts: Sequence[Part], platform: Platform, absent: Collection[str]) -> Proof:
    """Checks machines, needed libraries and symbol versions; `absent` are the sonames that no Debian package provides.

    Raises ProofError that names each file that fails, with its package, ImageError for an image that is in the way of what lies upon it.
    """
    from shipwheel.files.loader import Loader

    for part in parts:
        if part.given:
            check_places(part.segment, [other.segment for other in parts if not other.given])

    base, others = ([part.segment for part in parts if part.base is which] for which in (True, False))
    loader = Loader.of(base, platform.multiarch, others)
    machine = MACHINES[platform.architecture]
    failures: list[str] = []
    warnings: list[str] = []
    for part in (part for part in parts if not part.given):
        spare: list[str] = []
        needed = {name for found in part.segment.elf for name in found.needed}
        for found in part.segment.elf:
            problems = _versions(part, found, loader) if found.machine == machine else _machine(part, found, platform)
            (failures if _essential(part, found, needed) else spare).extend(problems)
        warnings.extend(_first(spare))
    owners = {id(found): part for part in parts for found in part.segment.elf}
    optional: dict[tuple[str, ...], dict[str, tuple[ElfObject, ...]]] = {}
    given = {id(found) for part in parts if part.given for found in part.segment.elf}
    for soname, wanting in loader.unresolved(it for it in loader.objects if it.machine == machine and id(it) not in given).items():
        known = [owners[id(found)] for found in wanting if id(found) in owners]
        labels = tuple(dict.fromkeys(part.segment.label for part in known))
        if soname not in absent or any(part.base for part in known):
            failures.append(_missing({soname: wanting}, labels))
        else:
            optional.setdefault(labels, {})[soname] = wanting
    warnings.extend(_missing(missing, labels) for labels, missing in optional.items())
    warnings.extend(_overlaps(parts))
    if failures:
        raise ProofError(
            f"the image for {platform} would not work:\n" + "\n".join(f"  {line}" for line in failures),
            hint="Choose another version of the packages named; if they are Debian's, renew the base with --upgrade-base.",
        )
    return Proof(sum(len(part.segment.elf) for part in parts), tuple(warnings))


def _essential(part: Part, found: ElfObject, needed: set[str]) -> bool:
    """Whether a package is of no use without an object: the base's, programs, modules for Python, and what those or others need.

    The rest is opened by name, when and where it fits: debugpy's wheel for any platform has a helper for one of them.
    """
    name = found.path.rpartition("/")[2]
    return part.base or found.path.startswith(_PROGRAMS) or bool(_EXTENSION.search(name)) or not needed.isdisjoint((name, found.soname))


def _machine(part: Part, found: ElfObject, platform: Platform) -> Iterator[str]:
    yield f"{part.segment.label}: {found.path} is for {found.machine}, not for {platform.architecture}"


def _first(problems: Sequence[str]) -> Iterator[str]:
    """One warning for what a package can do without."""
    if problems:
        yield problems[0] + (f" (and {len(problems) - 1} more of the kind)" if len(problems) > 1 else "") + "; it will not load"


def _missing(missing: Mapping[str, Sequence[ElfObject]], labels: Sequence[str]) -> str:
    files = list(dict.fromkeys(found.path.rpartition("/")[2] for wanting in missing.values() for found in wanting))
    verb = "is" if len(missing) == 1 else "are"
    return (
        f"{', '.join(labels)}: {_some(list(missing), 6)} {verb} nowhere in the image and in no Debian package that fits"
        f" (wanted by {_some(files, 3)})"
    )


def _some(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _versions(part: Part, found: ElfObject, loader: "Loader") -> Iterator[str]:
    for soname, version in found.wants:
        provider = loader.provider(found, soname)
        if provider is None or not provider.defines or version in provider.defines:
            continue
        newest = max((name for name in provider.defines if name.startswith(version.split("_")[0] + "_")), key=_number, default="none")
        yield f"{part.segment.label}: {found.path} wants {version} of {soname}, and the image's has at most {newest}"


def _overlaps(parts: Sequence[Part]) -> Iterator[str]:
    """Paths that two packages fill with other bytes: the later one's are seen."""
    owners: dict[str, tuple[int, str]] = {}
    both: dict[tuple[str, str], list[str]] = {}
    for part in parts:
        label = part.segment.label
        for path, crc in part.segment.files.items():
            if (known := owners.get(path)) is not None and known[0] != crc:
                both.setdefault((known[1], label), []).append(path)
            owners[path] = (crc, label)
    for (first, last), paths in both.items():
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        yield f"{first} and {last} both bring {paths[0]}{more}, and not the same bytes: those of {last} are in the image"


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
