"""The files that the loader would find (ld.so(8)), computed from the paths, links and ELF objects of an image without running anything.

The loader searches an object's own RPATH or RUNPATH, then Debian's default directories. This model does not pass RPATHs on to an
object's dependencies, and knows neither LD_LIBRARY_PATH nor dlopen. Therefore:

* A library with the needed name anywhere in the same package counts as provided: another module of the package may load it first, as
  torch does with libc10.so.
* A library in another wheel counts only if both are imported together, as torch does with CUDA's wheels.
* What the base needs is never looked up in wheels: the interpreter needs libz.so.1 before any wheel is loaded, and some wheels have a
  library of that name.
"""

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from shipwheel.files.elf import ElfObject
from shipwheel.files.segment import Segment

__all__ = ["Loader", "default_directories"]

_BASE = 0
_MAX_LINKS = 40
_MUSL_BUILT_IN = frozenset(f"lib{name}.so" for name in ("c", "dl", "m", "pthread", "rt", "util", "xnet"))
"""musl's loader is the whole C library, and looks for no file with one of these names (musl, dynlink.c: load_library)."""

_PLATFORMS = {"x86_64-linux-gnu": "x86_64", "aarch64-linux-gnu": "aarch64"}


def default_directories(multiarch: str) -> tuple[str, ...]:
    """Return the directories that Debian's loader always searches: ld.so.conf.d (libc, then multiarch), then the built-in ones."""
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

    `packages` maps the path of an object to the number of its package. Objects without one belong to the base, which counts as one
    package.
    """

    def __init__(
        self,
        paths: Iterable[str],
        links: Mapping[str, str],
        objects: Iterable[ElfObject],
        multiarch: str,
        packages: Mapping[str, int] | None = None,
    ) -> None:
        self._files = set(paths)
        self._links = links
        self._multiarch = multiarch
        self.objects = tuple(objects)
        self._at = {item.path: item for item in self.objects}
        self._defaults = tuple(dict.fromkeys(self._real(path) for path in default_directories(multiarch)))
        self._packages = packages or {}
        self._by_name: dict[tuple[str, str], dict[int, ElfObject]] = {}
        for item in self.objects:
            for name in (item.soname, posixpath.basename(item.path)):
                self._by_name.setdefault((item.machine, name), {}).setdefault(self._package(item), item)
        self._search_paths: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}
        self._resolved: dict[tuple[str, tuple[str, ...], str], str | None] = {}

    @classmethod
    def of(cls, base: Sequence[Segment], multiarch: str, packages: Sequence[Segment] = ()) -> "Loader":
        """Return the view of an image that consists of the base's segments and of `packages`, each a package of its own."""
        segments = (*base, *packages)
        links: dict[str, str] = {}
        for segment in segments:
            links.update(segment.links)
        paths = chain.from_iterable(segment.files for segment in segments)
        numbers = {item.path: number for number, segment in enumerate(packages, 1) for item in segment.elf}
        return cls(paths, links, (item for segment in segments for item in segment.elf), multiarch, numbers)

    def resolve(self, dependent: ElfObject, needed: str) -> str | None:
        """Return the path of the file that the loader would map for a DT_NEEDED of `dependent`, or None."""
        if needed in _MUSL_BUILT_IN and (musl := self._musl(dependent.machine)) is not None:
            return musl
        if "/" in needed:
            return self._object(self._real(needed.lstrip("/")), dependent.machine) if needed.startswith("/") else None
        directories = self._search_path(dependent)
        key = (dependent.machine, directories, needed)
        if key not in self._resolved:
            matches = (self._object(self._real(f"{folder}/{needed}" if folder else needed), dependent.machine) for folder in directories)
            self._resolved[key] = next((match for match in matches if match is not None), None)
        return self._resolved[key]

    def _musl(self, machine: str) -> str | None:
        """Return the path of musl's loader if it is the image's loader; with glibc in the base, no module reaches it."""
        if _BASE in self._by_name.get((machine, "libc.so.6"), {}):
            return None
        return self._object(self._real(f"lib/ld-musl-{self._multiarch.partition('-')[0]}.so.1"), machine)

    def provider(self, dependent: ElfObject, needed: str) -> ElfObject | None:
        """Return the object that the loader would map for a DT_NEEDED of `dependent`, or None."""
        return self._at.get(self.resolve(dependent, needed) or "")

    def in_base(self, item: ElfObject) -> bool:
        """Return whether an object belongs to the base."""
        return self._package(item) == _BASE

    def sibling(self, dependent: ElfObject, needed: str) -> ElfObject | None:
        """Return an object with this name in the dependent's own package, or None."""
        return self._named(dependent, needed).get(self._package(dependent))

    def provided(self, dependent: ElfObject, needed: str, *, isolated: bool = False) -> bool:
        """Return whether the loader finds a DT_NEEDED, or a module may have loaded a library with this name before.

        With `isolated`, no other wheel is loaded.
        """
        if self.resolve(dependent, needed) is not None:
            return True
        packages = self._named(dependent, needed)
        if isolated or self.in_base(dependent):
            return self._package(dependent) in packages or _BASE in packages
        return bool(packages)

    def unresolved(self, objects: Iterable[ElfObject] | None = None, *, isolated: bool = False) -> dict[str, tuple[ElfObject, ...]]:
        """Return the libraries that nothing provides, as soname -> objects that need it, both sorted. Default: for all objects."""
        missing: dict[str, list[ElfObject]] = {}
        for item in self.objects if objects is None else objects:
            for needed in item.needed:
                if not self.provided(item, needed, isolated=isolated):
                    missing.setdefault(needed, []).append(item)
        return {soname: tuple(sorted(missing[soname], key=lambda item: item.path)) for soname in sorted(missing)}

    def _package(self, item: ElfObject) -> int:
        return self._packages.get(item.path, _BASE)

    def _named(self, dependent: ElfObject, needed: str) -> Mapping[int, ElfObject]:
        return self._by_name.get((dependent.machine, posixpath.basename(needed)), {})

    def _object(self, path: str, machine: str) -> str | None:
        """Return the path if it is a shared object for this machine: the loader skips those for other machines."""
        found = self._at.get(path)
        return path if found is not None and found.machine == machine else None

    def _search_path(self, item: ElfObject) -> tuple[str, ...]:
        if not item.runpath:
            return self._defaults
        origin = self._real(posixpath.dirname(item.path))
        key = (origin, item.runpath)
        if key not in self._search_paths:
            expanded = (self._expand(text, origin) for text in item.runpath)
            own = (self._walk("", text.lstrip("/")) for text in expanded if text.startswith("/"))
            self._search_paths[key] = tuple(dict.fromkeys((*own, *self._defaults)))
        return self._search_paths[key]

    def _expand(self, text: str, origin: str) -> str:
        # ld.so(8), dynamic string tokens. The loader resolves a relative entry against the working directory, which is unknown here.
        tokens = {"ORIGIN": f"/{origin}", "LIB": f"lib/{self._multiarch}", "PLATFORM": _PLATFORMS.get(self._multiarch, "")}
        for token, value in tokens.items():
            text = text.replace(f"${{{token}}}", value).replace(f"${token}", value)
        return text

    def _real(self, path: str) -> str:
        return self._walk("", path)

    def _walk(self, base: str, text: str, trail: list[str] | None = None) -> str:
        """Resolve a path against a directory that contains no links itself, link by link.

        `trail` lists the links that were followed for the whole path. A few links that refer to each other can be followed endlessly, so
        their number is limited, as in the kernel (path_resolution(7)).
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
            if target is None or len(trail) >= _MAX_LINKS:
                base = full
            else:
                trail.append(full)
                base = self._follow(base, target, trail)
        return base

    def _follow(self, base: str, target: str, trail: list[str]) -> str:
        resolved = self._walk(base, target, trail)
        # The target of a hard link is a path in the image. It is recognized by the file that exists there.
        return target if resolved not in self._files and target in self._files else resolved
