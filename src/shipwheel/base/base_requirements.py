"""The requirements of an image on its base image, and the check that another base meets them. Works on metadata alone."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from shipwheel.files.elf import MACHINES, ElfObject
from shipwheel.files.segment import Segment
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.platform import Platform
from shipwheel.store.store import Store

if TYPE_CHECKING:
    from shipwheel.oci.read.file_tree import FileTree

__all__ = ["BaseRequirements", "cached_requirements", "required_libraries", "unmet_requirements"]

_OBJECT_PATH = "opt/venv/lib/any.so"
"""The path of an imagined object of ours, which has no search path of its own."""

_LIBRARY = lazy_pattern(r"([^()]+)(?:\(([^()]+)\))?")


class BaseRequirements(msgspec.Struct, frozen=True, omit_defaults=True):
    """`libraries` are sonames, each with the newest symbol version that is used of it, as in "libc.so.6(GLIBC_2.34)".

    `programs` are paths or names of programs that the image starts and that the base provides.
    """

    libraries: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()


def required_libraries(
    parent: Sequence[Segment], base_segments: Sequence[Segment], app_segments: Sequence[Segment], platform: Platform
) -> tuple[str, ...]:
    """Return the libraries of the base image `parent` that the ELF files of the other segments are loaded with.

    `base_segments` are the Debian packages on top of the image, `app_segments` the wheels and the source.
    """
    from shipwheel.files.loader import Loader

    loader = Loader.of([*parent, *base_segments], platform.multiarch, app_segments)
    parent_objects = {id(item) for segment in parent for item in segment.elf}
    any_object = _any_object(platform)
    versions: dict[str, set[str]] = {}
    for item in (item for segment in (*base_segments, *app_segments) for item in segment.elf if item.machine == any_object.machine):
        for soname in item.needed:
            provider = loader.provider(item, soname) or loader.sibling(item, soname) or loader.sibling(any_object, soname)
            if provider is not None and id(provider) in parent_objects:
                versions.setdefault(soname, set()).update(version for name, version in item.wants if name == soname)
    return tuple(library for soname in sorted(versions) for library in _with_versions(soname, versions[soname]))


def cached_requirements(
    key: str, store: Store, lookup: Callable[[], BaseRequirements | None], compute: Callable[[], BaseRequirements]
) -> BaseRequirements:
    """Return the requirements for the key of a proof: from the store, else from `lookup`, else computed; the result is stored."""
    if (stored := store.get_as("needs", key, BaseRequirements)) is not None:
        return stored
    requirements = lookup() or compute()
    store.put("needs", key, msgspec.json.encode(requirements))
    return requirements


def unmet_requirements(requirements: BaseRequirements, tree: "FileTree", search_path: str, platform: Platform) -> Iterator[str]:
    """Yield a line per requirement that a base with these files, and with `search_path` as its PATH, does not meet."""
    from shipwheel.files.loader import Loader

    loader, any_object = Loader.of([tree.segment], platform.multiarch), _any_object(platform)
    for text in requirements.libraries:
        match = _LIBRARY.fullmatch(text)
        soname, version = (match[1], match[2]) if match is not None else (text, None)
        provider = loader.provider(any_object, soname) or loader.sibling(any_object, soname)
        if provider is None:
            yield f"it does not have {soname}"
        elif version is not None and provider.defines and version not in provider.defines:
            yield f"its {soname} has {_newest(provider.defines, _family(version))} at most, and {version} is needed"
    for program in requirements.programs:
        paths = [program] if "/" in program else [f"{directory}/{program}" for directory in search_path.split(":")]
        if not any(tree.real(path) for path in paths):
            yield f"it does not have {program}, which the image starts"


def _any_object(platform: Platform) -> ElfObject:
    return ElfObject(_OBJECT_PATH, MACHINES[platform.architecture])


def _with_versions(soname: str, versions: Iterable[str]) -> list[str]:
    """Return the soname with the newest version of each family: a library that has a symbol version has all older ones."""
    families: dict[str, list[str]] = {}
    for version in versions:
        families.setdefault(_family(version), []).append(version)
    return [f"{soname}({_newest(members, family)})" for family, members in sorted(families.items())] or [soname]


def _family(version: str) -> str:
    """Return the part before the number: "GLIBC" for "GLIBC_2.34"."""
    return re.split(r"_?\d", version, maxsplit=1)[0]


def _newest(versions: Iterable[str], family: str) -> str:
    members = (version for version in versions if _family(version) == family)
    return max(members, key=lambda version: [int(part) for part in re.findall(r"\d+", version)], default="none")
