"""The packages that a composed base starts from, and what their versions tell: Python's and glibc's."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from shipwheel.debian.package import DebianPackage
from shipwheel.debian.relations import Relation
from shipwheel.debian.version import upstream
from shipwheel.errors import LockError, UsageError
from shipwheel.suites import Suite

if TYPE_CHECKING:
    from shipwheel.debian.package_index import DebianPackageIndex

__all__ = [
    "RENEW_HINT",
    "describe_provided",
    "libc_version",
    "python_version",
    "resolve_packages",
    "resolve_seed",
    "seed_names",
    "virtual_packages",
    "wished_names",
]

_COMMON_SEED = (
    "base-files",
    "ca-certificates",
    "libc-bin",
    "libc6",
    "libexpat1",
    "libgcc-s1",
    "media-types",
    "ncurses-base",
    "netbase",
    "tzdata",
    "zlib1g",
)
"""Packages of every composed base.

libc-bin has ldconfig, which `ctypes.util.find_library` needs, and bullseye's C.UTF-8 locale. The interpreter is linked with libexpat1 and
zlib1g, and compiles bytecode before the closure over libraries is known. glibc loads libgcc-s1 by name when it cancels a thread.
ncurses-base has the terminals that curses and readline know.
"""

_SPLIT_STDLIB = ("python3-distutils", "python3-lib2to3")
"""Parts of the standard library that bullseye and bookworm have in packages of their own."""

RENEW_HINT = (
    "Renew the base with `shipwheel build --upgrade-base` (or delete the base table of pylock.toml). "
    "If you have just done that, the mirror is incomplete: use another one (SHIPWHEEL_DEBIAN_MIRROR)."
)


def seed_names(suite: Suite) -> tuple[str, ...]:
    """Return the names of the packages that every base of a suite starts from, without an interpreter for a suite without Python."""
    python = suite.python
    if not python:
        return _COMMON_SEED
    interpreter = (f"python{python}-minimal", f"libpython{python}-minimal", f"libpython{python}-stdlib")
    return (*_COMMON_SEED, *interpreter, *(_SPLIT_STDLIB if python in ("3.9", "3.11") else ()))


def resolve_seed(index: "DebianPackageIndex", suite: Suite, extra: Sequence[str] = ()) -> tuple[DebianPackage, ...]:
    """Return the newest version of each seed package and each `extra` one that the user names. Raise as `resolve_packages` does."""
    return resolve_packages(index, (*seed_names(suite), *extra))


def wished_names(index: "DebianPackageIndex", names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (the names by which a suite has these packages of another suite, the names that it does not have).

    The change to 64-bit time renamed libraries: libglib2.0-0 is libglib2.0-0t64 since trixie.
    """
    names_of = {name: (name, f"{name}t64", name.removesuffix("t64")) for name in names}
    found = {name: next((each for each in every if len(_named(index, each)) == 1), "") for name, every in names_of.items()}
    return tuple(each for each in found.values() if each), tuple(name for name, each in found.items() if not each)


def resolve_packages(index: "DebianPackageIndex", names: Sequence[str]) -> tuple[DebianPackage, ...]:
    """Return the newest version of each package, sorted by name; for a virtual one, the only package that provides it.

    Raise one UsageError with all unknown names and similar ones, and all virtual packages that several packages provide.
    """
    found = {name: _named(index, name) for name in dict.fromkeys(names)}
    problems = [
        *(f"{index.label} has no package {_with_similar(name, index)}" for name, packages in found.items() if not packages),
        *(_several_providers(index, name, packages) for name, packages in found.items() if len(packages) > 1),
    ]
    if problems:
        raise UsageError(
            "; ".join(problems),
            hint="Use the names of Debian's packages. Debian's package search also finds a package by a file that it contains.",
        )
    packages = {package.name: package for (package,) in found.values()}
    return tuple(packages[name] for name in sorted(packages))


def virtual_packages(index: "DebianPackageIndex", names: Sequence[str]) -> dict[str, str]:
    """Return the virtual packages among some names, each with the only package that provides it."""
    found = {name: _named(index, name) for name in names}
    return {name: packages[0].name for name, packages in found.items() if len(packages) == 1 and packages[0].name != name}


def describe_provided(provided: Mapping[str, str]) -> str:
    """Return virtual packages and what provides them for the end of a line: ", exim4-daemon-light for default-mta"."""
    return "".join(f", {package} for {name}" for name, package in provided.items())


def _named(index: "DebianPackageIndex", name: str) -> tuple[DebianPackage, ...]:
    """Return the package of this name, or else all that provide it."""
    own = index.newest(name)
    return (own,) if own is not None else index.satisfying(Relation(name))


def _several_providers(index: "DebianPackageIndex", name: str, packages: Sequence[DebianPackage]) -> str:
    return f"{name} is a virtual package of {index.label}: name one that provides it, {', '.join(package.name for package in packages)}"


def _with_similar(name: str, index: "DebianPackageIndex") -> str:
    similar = index.similar_names(name)
    return f"{name} (did you mean {', '.join(similar)}?)" if similar else name


def python_version(packages: Sequence[DebianPackage]) -> str:
    """Return the full version of the interpreter in a base's packages, for example "3.11.2". Raise LockError if there is none."""
    interpreters = [package for package in packages if re.fullmatch(r"python3\.\d+-minimal", package.name)]
    match = re.match(r"\d+\.\d+\.\d+", upstream(interpreters[-1].version)) if interpreters else None
    if match is None:
        raise LockError("the base has no interpreter", hint=RENEW_HINT)
    return match[0]


def libc_version(packages: Sequence[DebianPackage]) -> tuple[int, int]:
    """Return (major, minor) of glibc in a base's packages, for example (2, 36). Raise LockError if there is none."""
    version = next((package.version for package in packages if package.name == "libc6"), "")
    match = re.match(r"(\d+)\.(\d+)", upstream(version))
    if match is None:
        raise LockError("the base has no libc6", hint=RENEW_HINT)
    return int(match[1]), int(match[2])
