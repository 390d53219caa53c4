"""The Debian packages of a builder: compilers for this machine that produce for the target, and the target's libraries and headers."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from shipwheel.debian.depends import IGNORED_DEPENDS
from shipwheel.debian.package import DebianPackage
from shipwheel.debian.relations import Relation
from shipwheel.debian.version import version_key
from shipwheel.errors import FetchError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.locking.pylock import LockedDeb
from shipwheel.platform import Platform
from shipwheel.suites import Suite

if TYPE_CHECKING:
    from shipwheel.debian.package_index import DebianPackageIndex

__all__ = ["BuilderIndex", "compiler_labels", "decides", "deciding_debs", "is_for_target"]

_TOOLS = (
    *("bash", "bzip2", "coreutils", "dash", "diffutils", "file", "findutils", "gawk", "grep", "gzip", "hostname", "libc-bin", "m4", "make"),
    *("patch", "perl-base", "pkgconf", "pkg-config", "sed", "tar", "xz-utils"),
)
"""Programs that builds take for granted. Nothing is Essential in a root that is only unpacked. Suites have one or both of the last two."""

_COMPILERS = lazy_pattern(r"(?:binutils|g(?:cc|\+\+)-\d+|libc6-dev)(?:-(?:aarch64|x86-64)-linux-gnu)?")
"""The packages that decide what each source becomes."""
_PARTS_OF_HOST = lazy_pattern(r"-(?:aarch64|x86-64)-linux-gnu$")
_REBUILT = lazy_pattern(r"(?:\+b\d+|cross\d+|\+b\d+cross\d+)$")
"""The end of a version that was built again from the same source, for one architecture or as a cross compiler."""

_RUSTS = ("", "-web")
"""The ends of the names of Rust's packages."""

_SPLIT_STDLIB = ("python3-distutils", "python3-lib2to3")


class BuilderIndex(msgspec.Struct, frozen=True):
    """The packages of a suite for the machine that compiles, and for the one that the result runs on. They may be the same."""

    suite: Suite
    host: Platform
    target: Platform
    of_host: "DebianPackageIndex"
    of_target: "DebianPackageIndex"

    @property
    def is_cross(self) -> bool:
        """True if the result does not run on the machine that compiles."""
        return self.host != self.target

    def core(self) -> tuple[DebianPackage, ...]:
        """Return the packages of every builder for the target: compilers, tools, the suite's Python and its headers.

        Raise FetchError if the archive lacks one that no build can do without.
        """
        python = self.suite.python
        needed = [(name, False) for name in (*self._compilers, *([f"python{python}"] if python else []))]
        needed += [(name, True) for name in ("libc6-dev", *([f"libpython{python}-dev"] if python else []))]
        missing = [name for name, on_target in needed if self._index(on_target).newest(name) is None]
        if missing:
            raise FetchError(
                f"{self.of_host.label} has no package {', '.join(missing)}, which compiling needs",
                hint="The mirror is incomplete: use another one (SHIPWHEEL_DEBIAN_MIRROR).",
            )
        host = [name for name, on_target in needed if not on_target]
        return self._closed((*host, *_TOOLS, *(_SPLIT_STDLIB if python else ())), [name for name, on_target in needed if on_target])

    @property
    def _compilers(self) -> tuple[str, ...]:
        gnu = self.target.multiarch.replace("_", "-")
        return (f"gcc-{gnu}", f"g++-{gnu}") if self.is_cross else ("gcc", "g++")

    def rust(self) -> tuple[str, ...]:
        """Return the names of the packages with the suite's newest Rust, for this machine and the target; none if it has no Rust for both.

        Debian keeps a second, newer Rust in its stable suites, with which it builds browsers.
        """
        found = {}
        for suffix in _RUSTS:
            names = (f"cargo{suffix}", f"libstd-rust{suffix}-dev", f"rustc{suffix}")
            packages = [self._index(is_for_target(name)).newest(name) for name in names]
            versions = {_REBUILT.sub("", package.version) if package is not None else "" for package in packages}
            # Crates are compiled for both: the libraries must be those of the same compiler.
            if len(versions) == 1 and (version := versions.pop()):
                found[names] = version_key(version)
        return max(found, key=lambda names: found[names], default=())

    def with_packages(self, names: Iterable[str]) -> tuple[DebianPackage, ...]:
        """Return the packages that these names add to the core, with what they depend on. A name that the suite lacks adds nothing."""
        core = set(self.core())
        named = tuple(names)
        found = self._closed([name for name in named if not is_for_target(name)], [name for name in named if is_for_target(name)])
        return tuple(package for package in found if package not in core)

    def closed(self, names: Iterable[str]) -> tuple[DebianPackage, ...]:
        """Return packages for this machine with all that they depend on."""
        return self._closed(tuple(names), ())

    def _closed(self, host: Sequence[str], target: Sequence[str]) -> tuple[DebianPackage, ...]:
        """Return packages with all that they depend on: those of the target first, so that programs of this machine replace its own."""
        found: dict[tuple[str, str], DebianPackage] = {}
        pending = [*((name, False) for name in host), *((name, True) for name in target)]
        while pending:
            name, on_target = pending.pop()
            package = self._index(on_target).newest(name)
            if package is None or (key := (name, package.architecture)) in found:
                continue
            found[key] = package
            pending += self._depends(package, on_target, {known for known, _ in found})
        order = sorted(found.values(), key=lambda package: (not self._is_of_target(package), package.name))
        return tuple(order)

    def _depends(self, package: DebianPackage, on_target: bool, known: set[str]) -> Iterator[tuple[str, bool]]:
        # dpkg-architecture, by which setup.py scripts find the directory of libraries, reads tables that dpkg has.
        ignored = IGNORED_DEPENDS - {"dpkg"} if package.name == "libdpkg-perl" else IGNORED_DEPENDS
        for group in self._index(on_target).depends(package):
            if ignored.isdisjoint(relation.name for relation in group) and (choice := self._choice(group, on_target, known)):
                # Programs of the target do not run here; what has libraries and headers exists once for each architecture.
                same = self._index(on_target).multi_arch(choice) not in ("foreign", "allowed")
                yield choice, on_target and same

    def _choice(self, group: Sequence[Relation], on_target: bool, known: set[str]) -> str:
        index = self._index(on_target)
        names = [package.name for relation in group for package in index.satisfying(relation)]
        return next((name for name in names if name in known), names[0] if names else "")

    def _index(self, on_target: bool) -> "DebianPackageIndex":
        return self.of_target if on_target else self.of_host

    def _is_of_target(self, package: DebianPackage) -> bool:
        return self.is_cross and package.architecture == self.target.architecture


def decides(name: str, build_packages: Collection[str]) -> bool:
    """Return whether a package decides what a source becomes whose build needs these packages."""
    return name in build_packages or _COMPILERS.fullmatch(name) is not None


def deciding_debs(packages: Iterable[DebianPackage], build_packages: Collection[str]) -> tuple[LockedDeb, ...]:
    """Return those of a builder's packages that decide."""
    return tuple(
        LockedDeb(package.name, package.version, package.architecture, package.sha256)
        for package in packages
        if decides(package.name, build_packages)
    )


def compiler_labels(debs: Iterable[LockedDeb]) -> tuple[str, ...]:
    """Return packages that decide with their versions, "gcc-14 14.2.0-19": the same for each host and target."""
    found = {_PARTS_OF_HOST.sub("", deb.name): deb.version for deb in debs}
    return tuple(f"{name} {_REBUILT.sub('', version)}" for name, version in sorted(found.items()))


def is_for_target(name: str) -> bool:
    """Return whether a package is to be the target's, because its libraries and headers go into the result: a -dev package."""
    return name.endswith("-dev")
