"""What the packages that a user names depend on, apart from libraries: programs, data, interpreters.

What the loader needs is found without Depends, and better: `libgl1` depends on drivers of 150 MB that no server ever opens. But a program
needs more than libraries. tesseract-ocr has its languages in packages of their own, psql is a Perl script, and a metapackage is nothing but
what it depends on. Who names a package expects a program that works; so Depends and Pre-Depends are followed from named packages, and from
those alone: not from the base, nor from libraries that a wheel needs. Recommends are not.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from shipwheel.debian.package import DebianPackage
from shipwheel.files.segment import Segment

if TYPE_CHECKING:
    from shipwheel.debian.archive import PackageIndex

__all__ = ["HELPERS", "depended"]

HELPERS = frozenset(
    (
        *("adduser", "base-passwd", "cdebconf", "debconf", "debconf-2.0", "debianutils", "dictionaries-common", "dpkg", "emacsen-common"),
        *(
            "init-system-helpers",
            "install-info",
            "lsb-base",
            "passwd",
            "sysvinit-utils",
            "ucf",
            "update-inetd",
            "usrmerge",
            "usr-is-merged",
        ),
        *(
            "dbus",
            "dbus-user-session",
            "default-dbus-session-bus",
            "dbus-session-bus",
            "systemd",
            "systemd-sysv",
            "default-logind",
            "logind",
        ),
    )
)
"""What installs, configures and minds a machine: maintainer scripts want it, which are not run, or a session, which there is not."""


def depended(
    named: Iterable[str], packages: Mapping[str, DebianPackage], segments: Mapping[str, Segment], index: "PackageIndex"
) -> dict[str, DebianPackage]:
    """What is still to be added for the named packages, which are followed through what is there already.

    A program's libraries are left to the loader's closure, since Depends names more than it loads. A package without any object of its own
    has no other way to say which libraries it means. Below a library only what is the same for all architectures counts, which is data: it
    would otherwise bring drivers and daemons.
    """
    found: dict[str, DebianPackage] = {}
    pending = [(name, False) for name in named]
    seen: set[tuple[str, bool]] = set()
    while pending:
        name, below = pending.pop()
        if (name, below) in seen or name not in packages:
            continue
        seen.add((name, below))
        below = below or index.is_library(name)
        bare = not segments[name].elf
        for package in _chosen(packages[name], packages, index):
            library = index.is_library(package.name)
            if package.name in packages:
                pending.append((package.name, below))
            elif bare and not below if library else package.architecture == "all" or not below:
                found[package.name] = package
    return found


def _chosen(package: DebianPackage, packages: Mapping[str, DebianPackage], index: "PackageIndex") -> Iterator[DebianPackage]:
    """One of each group of alternatives: one that is there, else the first that the suite has; none where a helper would do."""
    for group in index.depends(package):
        if not HELPERS.isdisjoint(group):
            continue
        known = (packages.get(name) for name in group)
        newest = (index.newest(name) for name in group)
        choice = next((it for it in (*known, *newest) if it is not None), None)
        if choice is not None:
            yield choice
