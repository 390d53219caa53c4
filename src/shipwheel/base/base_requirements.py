"""What an image needs of the one that it was built upon, and whether another one has that. Pure: works on what segments know."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

import msgspec

from shipwheel.files.elf import MACHINES, ElfObject
from shipwheel.files.entry import parents
from shipwheel.files.segment import Segment
from shipwheel.oci.read.tree import Tree
from shipwheel.platform import Platform
from shipwheel.store import Store
from shipwheel.venv import VENV

__all__ = ["Needs", "in_the_way", "kept_needs", "needs_of", "unmet"]

_PLACE = "opt/venv/lib/any.so"
"""Where an object of ours could be: one without a search path of its own."""

_WRITTEN = re.compile(r"([^()]+)(?:\(([^()]+)\))?")


class Needs(msgspec.Struct, frozen=True, omit_defaults=True):
    """`libraries` are sonames of the base's, one with the newest version of each kind that is wanted of it as "libc.so.6(GLIBC_2.34)".

    `programs` are paths or names of programs that the image starts and that are the base's.
    """

    libraries: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()


def needs_of(below: Sequence[Segment], lower: Sequence[Segment], upper: Sequence[Segment], platform: Platform) -> tuple[str, ...]:
    """The libraries of `below`, an image, that objects of the packages laid on it (`lower`) and of wheels (`upper`) are loaded with."""
    from shipwheel.files.loader import Loader

    loader = Loader.of([*below, *lower], platform.multiarch, upper)
    theirs = {id(found) for segment in below for found in segment.elf}
    wanter = _wanter(platform)
    found: dict[str, set[str]] = {}
    for item in (item for segment in (*lower, *upper) for item in segment.elf if item.machine == wanter.machine):
        for soname in item.needed:
            provider = loader.provider(item, soname) or loader.sibling(item, soname) or loader.sibling(wanter, soname)
            if provider is not None and id(provider) in theirs:
                found.setdefault(soname, set()).update(version for name, version in item.wants if name == soname)
    return tuple(line for soname in sorted(found) for line in _lines(soname, found[soname]))


def kept_needs(key: str, store: Store, there: Callable[[], Needs | None], make: Callable[[], Needs]) -> Needs:
    """What was once found out for the key of a proof: from the store, from `there`, or made and kept."""
    if (record := store.get("needs", key)) is not None:
        with suppress(msgspec.MsgspecError):  # written by another version
            return msgspec.json.decode(record, type=Needs)
    found = there() or make()
    store.put("needs", key, msgspec.json.encode(found))
    return found


def unmet(needs: Needs, tree: Tree, path: str, platform: Platform) -> Iterator[str]:
    """A line for each thing that an image with this tree, and with `path` as its PATH, does not have."""
    from shipwheel.files.loader import Loader

    loader, wanter = Loader.of([tree.segment], platform.multiarch), _wanter(platform)
    for text in needs.libraries:
        match = _WRITTEN.fullmatch(text)
        soname, version = (match[1], match[2]) if match is not None else (text, None)
        provider = loader.provider(wanter, soname) or loader.sibling(wanter, soname)
        if provider is None:
            yield f"{soname} is not in it"
        elif version is not None and provider.defines and version not in provider.defines:
            yield f"{soname} has {_newest(provider.defines, _kind(version))} at most, and {version} is wanted"
    for program in needs.programs:
        places = [program] if "/" in program else [f"{folder}/{program}" for folder in path.split(":")]
        if not any(tree.real(place) for place in places):
            yield f"{program}, which the image starts, is not in it"


def in_the_way(tree: Tree, places: Iterable[str]) -> Iterator[str]:
    """A line for each thing of an image with this tree that lies where an image upon it has a virtual environment or these directories.

    An entry of a layer takes the place of a link or file of the same path (image-spec 1.1, layer.md).
    """
    segment = tree.segment
    if any(path.startswith(f"{VENV}/") for known in (segment.files, segment.links) for path in known):
        yield f"it has a virtual environment or other files of its own in /{VENV}"
    roots = [place.strip("/") for place in (VENV, *places)]
    for path in dict.fromkeys(path for root in roots for path in (*parents(root), root)):
        if path in segment.links:
            yield f"its /{path} is a link to {segment.links[path][:200]}, and the image has a directory there"
        elif path in segment.files:
            yield f"its /{path} is a file, and the image has a directory there"


def _wanter(platform: Platform) -> ElfObject:
    return ElfObject(_PLACE, MACHINES[platform.architecture])


def _lines(soname: str, versions: Iterable[str]) -> list[str]:
    """A library keeps what it once defined: who has a version has the older ones of its kind."""
    kinds: dict[str, list[str]] = {}
    for version in versions:
        kinds.setdefault(_kind(version), []).append(version)
    return [f"{soname}({_newest(some, kind)})" for kind, some in sorted(kinds.items())] or [soname]


def _kind(version: str) -> str:
    return re.split(r"_?\d", version, maxsplit=1)[0]


def _newest(versions: Iterable[str], kind: str) -> str:
    return max(
        (one for one in versions if _kind(one) == kind), key=lambda one: [int(part) for part in re.findall(r"\d+", one)], default="none"
    )
