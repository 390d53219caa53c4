"""What a test run could leave behind on the machine: links, mounts, control groups, emulation entries, processes, directories."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

from support.engines.emulation import BINFMT
from support.engines.sandbox import RUN

__all__ = ["Machine", "changes", "lasting_changes", "look"]

_PREFIX = "shipwheel-"
_OURS = f"{_PREFIX}{RUN}-"
"""How the names of this run's engines and registries begin; those of other runs have another number."""

_ENDING_S = 20.0


@dataclass(frozen=True)
class Machine:
    """The state of the machine, as far as tests could change it. Files of other test runs do not count."""

    links: frozenset[str]
    mounts: frozenset[str]
    cgroups: frozenset[str]
    emulation: frozenset[str]
    processes: frozenset[str]
    directories: frozenset[str]


def look(*folders: Path) -> Machine:
    """Return the state of the machine. `folders` are the temporary directories of this run, by which its processes are recognized."""
    marks = (_OURS, *map(str, folders))
    return Machine(
        links=frozenset(path.name for path in Path("/sys/class/net").iterdir()),
        mounts=frozenset(_mounts(marks)),
        cgroups=frozenset(_cgroups()),
        emulation=frozenset(name for name in _names(BINFMT) if not _foreign(name)),
        processes=frozenset(_processes(marks)),
        directories=frozenset(str(path) for path in Path(tempfile.gettempdir()).glob(f"{_OURS}*")),
    )


def changes(before: Machine, after: Machine) -> list[str]:
    """Return one line for each difference between two states."""
    found = []
    for field in fields(Machine):
        old, new = getattr(before, field.name), getattr(after, field.name)
        found += [f"{field.name}: {name} is left" for name in sorted(new - old)]
        found += [f"{field.name}: {name} is gone" for name in sorted(old - new) if field.name != "processes"]
    return found


def lasting_changes(before: Machine, *folders: Path) -> list[str]:
    """Return the changes that are there after the time that processes and control groups take to end."""
    end = time.monotonic() + _ENDING_S
    while (found := changes(before, look(*folders))) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def _foreign(name: str) -> bool:
    """Return whether a name belongs to another test run."""
    return name.startswith(_PREFIX) and not name.startswith(_OURS)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def _mounts(marks: tuple[str, ...]) -> Iterator[str]:
    """Return the mount points outside the directories for temporary files, this run's and the system's, and our own ones in them."""
    temporary = (f"{tempfile.gettempdir()}/", "/tmp/")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4]
        if point == str(BINFMT) or not point.startswith(temporary) or any(mark in point for mark in marks):
            yield point


def _cgroups() -> Iterator[str]:
    """Return the top groups of every hierarchy, where an engine would create its own, and all groups that belong to this run."""
    root = Path("/sys/fs/cgroup")
    hierarchies = [path for path in root.iterdir() if (path / "cgroup.procs").exists()] if root.exists() else []
    if (root / "cgroup.procs").exists():
        hierarchies = [root]
    for hierarchy in hierarchies:
        for folder, names, _ in os.walk(hierarchy):
            for name in names:
                if name.startswith(_OURS) or (folder == str(hierarchy) and not _foreign(name)):
                    yield f"{folder}/{name}"


def _processes(marks: tuple[str, ...]) -> Iterator[str]:
    """Return the processes with a mark in their command line or environment, without this one and those that started it."""
    ancestors = set(_ancestors(os.getpid()))
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (folder / "cmdline").read_bytes()
            text = command + (folder / "environ").read_bytes()
            if int(folder.name) not in ancestors and any(mark.encode() in text for mark in marks):
                yield f"{folder.name} {command.replace(bytes(1), b' ').decode(errors='replace').strip()[:200]}"


def _ancestors(pid: int) -> Iterator[int]:
    while pid:
        yield pid
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
