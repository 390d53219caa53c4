"""The proof, before delivery, that every ELF file of an image can be loaded on its platform, and the keys under which it is remembered.

Pure: works on what segments record about their files.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from shipwheel.base.base_directories import check_path_conflicts
from shipwheel.errors import ProofError
from shipwheel.files.elf import MACHINES, NO_MACHINE, ElfObject
from shipwheel.files.entry import is_whiteout
from shipwheel.files.overlaps import replaced_paths, visible
from shipwheel.files.segment import Segment, key_of
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.platform import Platform

if TYPE_CHECKING:
    from shipwheel.files.loader import Loader

__all__ = ["Origin", "Part", "Proof", "proof_key", "prove", "proved_key", "start_key"]

_VERSION = "4"
"""Part of the key of a proof: raise it when more is checked."""

_RUNS_TOO = {"EM_X86_64": "EM_386"}
"""The machine of an image -> another one whose programs its processor runs."""
_PROGRAMS = "opt/venv/bin/"
_EXTENSION = lazy_pattern(r"\.(cpython-\d+[a-z]*|abi3)(-[\w-]+)?\.so$")


class Origin(Enum):
    """The origin of a segment, which decides what must be whole."""

    PARENT = "parent"
    """The base image. It provides libraries; whether it is whole itself is not checked."""
    BASE = "base"
    """Debian packages and the interpreter: every object must load."""
    APP = "app"
    """Wheels and the project: optional plugins may fail to load."""


class Part(msgspec.Struct, frozen=True):
    """A segment of an image and where it comes from."""

    segment: Segment
    origin: Origin


class Proof(msgspec.Struct, frozen=True):
    """How many objects were checked, and what the user should know although the image is delivered."""

    objects: int
    warnings: tuple[str, ...]


def prove(parts: Sequence[Part], platform: Platform, absent: Collection[str]) -> Proof:
    """Check machines, needed libraries and symbol versions of every ELF file; parts come bottom first.

    `absent` are the sonames that no Debian package provides. Raises ProofError with each file that fails and its package, ImageError if
    a file of the base image is in the way of a directory of ours.
    """
    parent = [part.segment for part in parts if part.origin is Origin.PARENT]
    for segment in parent:
        check_path_conflicts(segment, [part.segment for part in parts if part.origin is not Origin.PARENT])
    segments = [part.segment for part in parts]
    shown = [visible(segment, paths) for segment, paths in zip(segments, replaced_paths(segments), strict=True)]
    check = _Check([Part(segment, part.origin) for segment, part in zip(shown, parts, strict=True)], platform, frozenset(absent))
    results = (*check.objects(), *check.libraries(), *check.whiteouts())
    failures = [result.text for result in results if result.fatal]
    if failures:
        raise ProofError(
            f"the image for {platform} would not work:\n" + "\n".join(f"  {line}" for line in failures),
            hint="Choose another version of the packages named; if they are Debian's, renew the base with --upgrade-base.",
        )
    warnings = (*(result.text for result in results if not result.fatal), *_overlaps(segments, shown))
    return Proof(sum(len(segment.elf) for segment in shown), warnings)


class _Result(msgspec.Struct, frozen=True):
    text: str
    fatal: bool


class _Check(msgspec.Struct, frozen=True, dict=True):
    """The checks of one image."""

    parts: Sequence[Part]
    platform: Platform
    absent: frozenset[str]

    @cached_property
    def machine(self) -> str:
        return MACHINES[self.platform.architecture]

    @cached_property
    def loader(self) -> "Loader":
        from shipwheel.files.loader import Loader

        app = [part.segment for part in self.parts if part.origin is Origin.APP]
        base = [part.segment for part in self.parts if part.origin is not Origin.APP]
        return Loader.of(base, self.platform.multiarch, app)

    def objects(self) -> Iterator[_Result]:
        """Check the machine and the symbol versions of each object: failures first, then one warning for each package."""
        warnings: list[_Result] = []
        for part in self.parts:
            if part.origin is Origin.PARENT:
                continue
            optional: list[str] = []
            needed = {name for elf in part.segment.elf for name in elf.needed}
            for elf in part.segment.elf:
                problems = self._problems(part, elf)
                if _is_essential(part, elf, needed):
                    yield from (_Result(problem, fatal=True) for problem in problems)
                else:
                    optional.extend(problems)
            warnings.extend(_Result(text, fatal=False) for text in _summarized(optional))
        yield from warnings

    def libraries(self) -> Iterator[_Result]:
        """Check that every needed library is in the image, where the loader would look for it."""
        owners = {id(elf): part for part in self.parts for elf in part.segment.elf}
        parent = {key for key, part in owners.items() if part.origin is Origin.PARENT}
        checked = (elf for elf in self.loader.objects if elf.machine == self.machine and id(elf) not in parent)
        optional: dict[tuple[str, ...], dict[str, tuple[ElfObject, ...]]] = {}
        for soname, needing in self.loader.unresolved(checked).items():
            known = [owners[id(elf)] for elf in needing if id(elf) in owners]
            labels = tuple(dict.fromkeys(part.segment.label for part in known))
            if soname not in self.absent or any(part.origin is Origin.BASE for part in known):
                yield _Result(_missing({soname: needing}, labels), fatal=True)
            else:
                optional.setdefault(labels, {})[soname] = needing
        yield from (_Result(_missing(missing, labels), fatal=False) for labels, missing in optional.items())

    def whiteouts(self) -> Iterator[_Result]:
        """Check that no file of ours makes an engine delete others. Segments refuse such names; metadata from a registry may have them."""
        for part in self.parts:
            paths = (*part.segment.files, *part.segment.links, *part.segment.directories) if part.origin is not Origin.PARENT else ()
            for path in (path for path in paths if ".wh." in path and is_whiteout(path)):
                yield _Result(f"{part.segment.label}: {path} would delete other files", fatal=True)

    def _problems(self, part: Part, elf: ElfObject) -> Iterator[str]:
        if elf.machine == NO_MACHINE and ".so" not in PurePosixPath(elf.path).suffixes:
            return  # the loader is not for it
        if part.origin is Origin.BASE and elf.machine == _RUNS_TOO.get(self.machine):
            return  # libc6-i386 and other packages of Debian bring such files on purpose
        if elf.machine != self.machine:
            yield f"{part.segment.label}: {elf.path} is for {elf.machine}, not for {self.platform.architecture}"
            return
        for soname, version in elf.wants:
            provider = self.loader.provider(elf, soname)
            if provider is None or not provider.defines or version in provider.defines:
                continue
            kind = version.split("_")[0] + "_"
            newest = max((name for name in provider.defines if name.startswith(kind)), key=_numbers, default="none")
            yield f"{part.segment.label}: {elf.path} needs {version} of {soname}, and the image's has at most {newest}"


def _is_essential(part: Part, elf: ElfObject, needed: set[str]) -> bool:
    """Return whether a package is useless without an object: the base's, programs, Python modules, and what other objects need.

    The rest is opened by name where it fits: debugpy's wheel for any platform has a helper library for one of them.
    """
    if part.origin is Origin.BASE or elf.path.startswith(_PROGRAMS):
        return True
    name = elf.path.rpartition("/")[2]
    return bool(_EXTENSION.search(name)) or not needed.isdisjoint((name, elf.soname))


def _summarized(problems: Sequence[str]) -> Iterator[str]:
    """Yield one warning for the optional files of a package."""
    if problems:
        yield problems[0] + (f" (and {len(problems) - 1} more of the kind)" if len(problems) > 1 else "") + "; it will not load"


def _missing(missing: Mapping[str, Sequence[ElfObject]], labels: Sequence[str]) -> str:
    files = list(dict.fromkeys(elf.path.rpartition("/")[2] for needing in missing.values() for elf in needing))
    verb = "is" if len(missing) == 1 else "are"
    return (
        f"{', '.join(labels)}: {_shortened(list(missing), 6)} {verb} nowhere in the image and in no Debian package that fits"
        f" (needed by {_shortened(files, 3)})"
    )


def _shortened(names: Sequence[str], limit: int) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _overlaps(segments: Sequence[Segment], shown: Sequence[Segment]) -> Iterator[str]:
    """Yield a warning for each pair of packages that have the same path with different bytes; `shown` is what is in the image of each."""
    replaced = {path for whole, rest in zip(segments, shown, strict=True) for path in whole.files.keys() - rest.files.keys()}
    owners = {path: segment for segment in shown for path in replaced & segment.files.keys()}
    both: dict[tuple[str, str], list[str]] = {}
    for segment in segments:
        for path in sorted(owners.keys() & segment.files.keys()):
            if segment.files[path] != owners[path].files[path]:
                both.setdefault((segment.label, owners[path].label), []).append(path)
    for (first, last), paths in both.items():
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        yield f"{first} and {last} both bring {paths[0]}{more}, and not the same bytes: those of {last} are in the image"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def proof_key(platform: Platform, absent: Iterable[str], parent: str, layers: Iterable[str]) -> str:
    """Return the key of the proof that all ELF files load.

    `absent` are the sonames that nothing provides, `parent` is the digest of the base image's manifest (empty for a composed base),
    `layers` are the keys of the layers of ours, bottom first.
    """
    return key_of("proof", _VERSION, str(platform), *absent, *_optional(parent), *layers)


def start_key(
    programs: Iterable[str], imports: Iterable[str], workdir: str, path: str, volumes: Iterable[str], parent: str, layers: Iterable[str]
) -> str:
    """Return the key of the check that what an image starts and imports is in it.

    `imports` is what decides the imports to look for, `path` the image's PATH; the rest is as in `proof_key`.
    """
    return key_of("start", *programs, "imports", *imports, workdir, path, *volumes, *_optional(parent), *layers)


def proved_key(proof: str, start: str) -> str:
    """Return the key of both."""
    return key_of("proved", proof, start)


def _optional(parent: str) -> tuple[str, ...]:
    return (parent,) if parent else ()
