"""What the dynamic loader would find (ld.so(8)), computed from facts: paths, links and ELF objects of an image. Nothing is run.

The search path of an object is its own RPATH or RUNPATH, then the directories that Debian's loader looks in without being told.
RPATHs are not handed on to an object's needs, LD_LIBRARY_PATH and dlopen are not known here: a library that is in the same package
under the name that is asked for, wherever it is, counts as provided, since a sibling may load it first (torch's libc10.so). One that is
in another wheel is only hoped for (torch loads CUDA's from wheels of their own): who wants it may well be imported alone. What the base
wants is never looked for in wheels: the interpreter needs its libz.so.1 before any wheel is there, and some wheel has one of that name.
"""

import posixpath
from collections.abc import Iterable, Mapping, Sequence

from shipwheel.files.elf import ElfObject
from shipwheel.files.segment import Segment

__all__ = ["Loader", "default_directories"]

_BASE = 0
_MOST_LINKS = 40
_MUSLS_OWN = frozenset(f"lib{name}.so" for name in ("c", "dl", "m", "pthread", "rt", "util", "xnet"))
"""musl's loader is its C library, all of it, and looks for no file of these names (musl's dynlink.c, load_library)."""

_PLATFORMS = {"x86_64-linux-gnu": "x86_64", "aarch64-linux-gnu": "aarch64"}


def default_directories(multiarch: str) -> tuple[str, ...]:
    """Where Debian's loader looks for everybody: ld.so.conf.d (libc, then multiarch), then what is built in."""
    return (
        "usr/local/lib",
        f"usr/local/lib/{multiarch}",
        f"lib/{multiarch}",
        f"usr/lib/{multiarch}",
        "lib",
        "usr/lib",
        "lib64",
        "usr/lib64",
    )


class Loader:
    """The loader's view of an image. `paths` are its files, `links` its symbolic and hard links, `objects` its ELF files.

    `homes` numbers the packages by their objects' paths: 0, which is left out, is the base, all of whose packages are one.
    """

    def __init__(
        self,
        paths: Iterable[str],
        links: Mapping[str, str],
        objects: Iterable[ElfObject],
        multiarch: str,
        homes: Mapping[str, int] | None = None,
    ) -> None:
        self._files = set(paths)
        self._links = links
        self._multiarch = multiarch
        self.objects = tuple(objects)
        self._at = {item.path: item for item in self.objects}
        self._defaults = tuple(dict.fromkeys(self._real(path) for path in default_directories(multiarch)))
        self._homes = homes or {}
        self._names: dict[tuple[str, str], dict[int, ElfObject]] = {}
        for item in self.objects:
            for name in (item.soname, posixpath.basename(item.path)):
                self._names.setdefault((item.machine, name), {}).setdefault(self._home(item), item)
        self._searches: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}
        self._found: dict[tuple[str, tuple[str, ...], str], str | None] = {}

    @classmethod
    def of(cls, base: Sequence[Segment], multiarch: str, others: Sequence[Segment] = ()) -> "Loader":
        """The view of an image that is made of these segments: those of the base, and `others`, each a package of its own."""
        segments = (*base, *others)
        links: dict[str, str] = {}
        for segment in segments:
            links.update(segment.links)
        paths = (path for segment in segments for path in segment.files)
        homes = {item.path: number for number, segment in enumerate(others, 1) for item in segment.elf}
        return cls(paths, links, (item for segment in segments for item in segment.elf), multiarch, homes)

    def resolve(self, wanter: ElfObject, needed: str) -> str | None:
        """The path of the file that the loader would map for a DT_NEEDED of `wanter`, or None."""
        if needed in _MUSLS_OWN and (itself := self._musl(wanter.machine)) is not None:
            return itself
        if "/" in needed:
            return self._object(self._real(needed.lstrip("/")), wanter.machine) if needed.startswith("/") else None
        search = self._search(wanter)
        key = (wanter.machine, search, needed)
        if key not in self._found:
            hits = (self._object(self._real(f"{folder}/{needed}" if folder else needed), wanter.machine) for folder in search)
            self._found[key] = next((hit for hit in hits if hit is not None), None)
        return self._found[key]

    def _musl(self, machine: str) -> str | None:
        """The path of musl's loader if it is the image's; beside glibc's, modules of the interpreter's own libc do not get to it."""
        if _BASE in self._names.get((machine, "libc.so.6"), {}):
            return None
        return self._object(self._real(f"lib/ld-musl-{self._multiarch.partition('-')[0]}.so.1"), machine)

    def provider(self, wanter: ElfObject, needed: str) -> ElfObject | None:
        """The object that the loader would map for a DT_NEEDED of `wanter`, or None."""
        return self._at.get(self.resolve(wanter, needed) or "")

    def in_base(self, item: ElfObject) -> bool:
        """Whether an object is one of the base's."""
        return self._home(item) == _BASE

    def sibling(self, wanter: ElfObject, needed: str) -> ElfObject | None:
        """An object of that name in the wanter's own package, or None."""
        return self._named(wanter, needed).get(self._home(wanter))

    def provided(self, wanter: ElfObject, needed: str, *, alone: bool = False) -> bool:
        """Whether a DT_NEEDED is found, or is there under that name for who loads it first; `alone`: when no other wheel is loaded."""
        if self.resolve(wanter, needed) is not None:
            return True
        homes = self._named(wanter, needed)
        return bool(homes) if not alone and not self.in_base(wanter) else self._home(wanter) in homes or _BASE in homes

    def unresolved(self, objects: Iterable[ElfObject] | None = None, *, alone: bool = False) -> dict[str, tuple[ElfObject, ...]]:
        """What nothing provides: soname -> the objects that want it, both sorted. All objects are asked unless some are given."""
        missing: dict[str, list[ElfObject]] = {}
        for item in self.objects if objects is None else objects:
            for needed in item.needed:
                if not self.provided(item, needed, alone=alone):
                    missing.setdefault(needed, []).append(item)
        return {soname: tuple(sorted(missing[soname], key=lambda item: item.path)) for soname in sorted(missing)}

    def _home(self, item: ElfObject) -> int:
        return self._homes.get(item.path, _BASE)

    def _named(self, wanter: ElfObject, needed: str) -> Mapping[int, ElfObject]:
        return self._names.get((wanter.machine, posixpath.basename(needed)), {})

    def _object(self, path: str, machine: str) -> str | None:
        """The path, if a shared object for that machine is there: the loader passes over one for another machine."""
        found = self._at.get(path)
        return path if found is not None and found.machine == machine else None

    def _search(self, item: ElfObject) -> tuple[str, ...]:
        if not item.runpath:
            return self._defaults
        origin = self._real(posixpath.dirname(item.path))
        key = (origin, item.runpath)
        if key not in self._searches:
            expanded = (self._expand(text, origin) for text in item.runpath)
            own = (self._walk("", text.lstrip("/")) for text in expanded if text.startswith("/"))
            self._searches[key] = tuple(dict.fromkeys((*own, *self._defaults)))
        return self._searches[key]

    def _expand(self, text: str, origin: str) -> str:
        # ld.so(8), dynamic string tokens. An entry that is not absolute then is looked up from the working directory: not here.
        tokens = {"ORIGIN": f"/{origin}", "LIB": f"lib/{self._multiarch}", "PLATFORM": _PLATFORMS.get(self._multiarch, "")}
        for token, value in tokens.items():
            text = text.replace(f"${{{token}}}", value).replace(f"${token}", value)
        return text

    def _real(self, path: str) -> str:
        return self._walk("", path)

    def _walk(self, base: str, text: str, trail: list[str] | None = None) -> str:
        """Where a path leads, from a directory that itself holds no links: the links in it are followed part by part.

        Those that were followed for the path in question are in `trail`: a few links that name each other more than once lead on for
        longer than a build may take, so that all are counted, as the kernel does (path_resolution(7)).
        """
        trail = [] if trail is None else trail
        if text.startswith("/"):
            base = ""
        for part in text.split("/"):
            if part in ("", "."):
                continue
            if part == "..":
                base = posixpath.dirname(base)
                continue
            full = f"{base}/{part}" if base else part
            target = None if full in self._files else self._links.get(full)
            if target is None or len(trail) >= _MOST_LINKS:
                base = full
            else:
                trail.append(full)
                base = self._follow(base, target, trail)
        return base

    def _follow(self, base: str, target: str, trail: list[str]) -> str:
        led = self._walk(base, target, trail)
        # A hard link's target is a path in the image; it is told from a symbolic link's by what is there.
        return target if led not in self._files and target in self._files else led
