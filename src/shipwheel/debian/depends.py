"""The dependencies of packages that the user names, besides libraries: programs, data and interpreters.

Libraries are found without Depends, and more precisely: libgl1 depends on 150 MB of drivers that a server never opens. But a program needs
more than libraries: tesseract-ocr has its languages in other packages, psql is a Perl script, a metapackage is nothing but its Depends. A
user who names a package expects a program that works. So Depends and Pre-Depends are followed from named packages, and only from those:
neither from the base nor from a library that a wheel needs. Recommends are ignored.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from shipwheel.debian.package import DebianPackage
from shipwheel.files.segment import Segment

if TYPE_CHECKING:
    from shipwheel.debian.package_index import DebianPackageIndex

__all__ = ["IGNORED_DEPENDS", "follow_depends"]

IGNORED_DEPENDS = frozenset(
    """
    adduser base-passwd cdebconf debconf debconf-2.0 debianutils dictionaries-common dpkg emacsen-common
    init-system-helpers install-info lsb-base passwd sysvinit-utils ucf update-inetd usrmerge usr-is-merged
    dbus dbus-user-session default-dbus-session-bus dbus-session-bus systemd systemd-sysv default-logind logind
    """.split()  # noqa: SIM905
)
"""Packages that maintainer scripts need, which never run here, or that belong to a session, which a container does not have."""


def follow_depends(
    named: Iterable[str], packages: Mapping[str, DebianPackage], segments: Mapping[str, Segment], index: "DebianPackageIndex"
) -> dict[str, DebianPackage]:
    """Return the packages to add for the named ones; those that are already in `packages` are followed further.

    Libraries are left to the closure, except for a package without any ELF file, which can only name them in Depends. Below a library,
    only packages of architecture `all` (data) are added: others would bring in drivers and daemons. A virtual package stands for one that
    provides it.
    """
    found: dict[str, DebianPackage] = {}
    pending = [(real, False) for name in named for real in ((name,) if name in packages else index.providing(name) & packages.keys())]
    seen: set[tuple[str, bool]] = set()
    while pending:
        name, below_library = pending.pop()
        if (name, below_library) in seen or name not in packages:
            continue
        seen.add((name, below_library))
        below_library = below_library or index.is_library(name)
        without_elf = not segments[name].elf
        for package in _choices(packages[name], packages, index):
            is_library = index.is_library(package.name)
            if package.name in packages:
                pending.append((package.name, below_library))
            elif without_elf and not below_library if is_library else package.architecture == "all" or not below_library:
                found[package.name] = package
    return found


def _choices(package: DebianPackage, packages: Mapping[str, DebianPackage], index: "DebianPackageIndex") -> Iterator[DebianPackage]:
    """Yield one package per group of alternatives: one of the base, else the first that the suite has; none for ignored ones."""
    for group in index.depends(package):
        if not IGNORED_DEPENDS.isdisjoint(relation.name for relation in group):
            continue
        satisfying = [each for relation in group for each in index.satisfying(relation)]
        # The lock may have an older version than the one that the index knows: its name is enough.
        names = (*(relation.name for relation in group), *(each.name for each in satisfying))
        choice = next((packages[name] for name in names if name in packages), satisfying[0] if satisfying else None)
        if choice is not None:
            yield choice
