"""Have the imports of an image's processes written down, and read them: a part of the observer, which travels with it.

Standard library, and the syntax of Python 3.7. `import_clock` runs in each process, and says what is in its file.
"""

from __future__ import annotations

import ast
import contextlib
import csv
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["ImportLog"]

MAX_PROCESSES, MAX_IMPORTS = 64, 20_000
MAX_FILE = 8 << 20
MAX_PACKAGES, MAX_RECORD, MAX_FILES = 2000, 32 << 20, 400_000
MAX_UNUSED = 400
"""Groups of modules that were not imported, of all packages, largest first."""

MAX_TEXT, MAX_DEPTH = 300, 1000

SITE = ("/site-packages", "/dist-packages")
CODE = (".py", ".pyc", ".so")


class ImportLog:
    """The directory that the processes of a run write into: a new one below `scratch`. Raise OSError if it cannot be made."""

    def __init__(self, clock: str, scratch: str) -> None:
        self.directory = f"{scratch}/shipwheel-imports-{os.getpid()}"
        os.mkdir(self.directory)  # noqa: PTH102 - the mode below
        os.chmod(self.directory, 0o1777)  # noqa: PTH101, S103 - a process may run as another user
        Path(self.directory, "sitecustomize.py").write_text(clock, encoding="utf-8")
        self.strangers: dict[int, str] = {}

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the variables with which a process writes its imports down."""
        path = variables.get("PYTHONPATH")
        return {**variables, "PYTHONPATH": f"{self.directory}:{path}" if path else self.directory}

    def look(self, pids: Sequence[int]) -> None:
        """Remember which interpreters run that do not write: they were started without the variable, or ignore it."""
        for pid in pids:
            with contextlib.suppress(OSError):
                if pid in self.strangers or not os.path.basename(os.readlink(f"/proc/{pid}/exe")).startswith("python"):  # noqa: PTH115, PTH119
                    continue
                variables = Path(f"/proc/{pid}/environ").read_bytes()
                # A process that changes its title may overwrite its variables; without any, there is nothing to read.
                is_told = self.directory.encode() in variables or (variables != b"" and b"PATH=" not in variables)
                if is_told and (Path(self.directory, str(pid)).exists() or self.is_young(pid)):
                    continue
                command = Path(f"/proc/{pid}/cmdline").read_bytes()[:300].replace(b"\0", b" ").decode("utf-8", "replace")
                # Without any, it is about to begin or to end.
                if command.strip():
                    self.strangers[pid] = command.strip()

    def is_young(self, pid: int) -> bool:
        """Return whether a process may not have come to its first line yet."""
        ticks = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK") < 2

    def read(self, started: float) -> dict[str, Any]:
        """Return what the processes wrote, with times in microseconds after `started`, and which packages the image has."""
        written = (path for path in Path(self.directory).iterdir() if path.name.isdecimal() and path.is_file())
        files = sorted(written, key=lambda path: int(path.name))
        processes = [process for path in files[:MAX_PROCESSES] for process in self.processes(path, started)]
        places: list[str] = next((process["path"] for process in processes), [])
        packages = Packages([place for place in places if place.endswith(SITE)])
        room = MAX_IMPORTS
        for process in processes:
            del process["imports"][room:]
            room -= len(process["imports"])
            for each in process["imports"]:
                each.append(packages.owner(each[-1]))
            packages.use(process.pop("before"))
        unmeasured = [command for pid, command in self.strangers.items()]
        return {
            "processes": processes,
            "packages": packages.described(),
            "unused": packages.unused(),
            "unmeasured": unmeasured[:10],
            "cut": not room or len(files) > MAX_PROCESSES,
        }

    def processes(self, path: Path, started: float) -> Iterator[dict[str, Any]]:
        """Yield the interpreters that ran in a process, one after the other, with their imports."""
        process: dict[str, Any] | None = None
        since = int(started * 1e9)
        with path.open("rb") as stream:
            lines = stream.read(MAX_FILE).decode("ascii", "replace").splitlines()
        for line in lines:
            kind, *fields = line.split("\t")
            try:
                if kind in ("P", "F"):
                    if process is not None:
                        yield process
                    command, library, places = map(literal, fields[3:6])
                    process = {
                        "pid": int(path.name),
                        "parent": number(fields[2]),
                        "forked": kind == "F",
                        "began": microseconds(fields[0], since),
                        "worked": number(fields[1]) // 1000,
                        "command": command[:MAX_TEXT],
                        "library": library[:MAX_TEXT],
                        "path": places.split("\n"),
                        "imports": [],
                        "before": [],
                    }
                elif kind == "M" and process is not None:
                    process["before"].append(literal(fields[1]))
                elif kind == "I" and process is not None:
                    thread, depth, start, end, name, file = fields
                    times = (number(thread), min(abs(number(depth)), MAX_DEPTH), microseconds(start, since), microseconds(end, since))
                    process["imports"].append([*times, literal(name)[:MAX_TEXT], literal(file)[:MAX_TEXT]])
            except (ValueError, SyntaxError, TypeError, IndexError, RecursionError, MemoryError):
                # The last line of a process that was killed, or one that a program wrote.
                continue
        if process is not None:
            yield process


class Packages:
    """The installed Python packages below some directories, by their records (PEP 376)."""

    def __init__(self, places: Sequence[str]) -> None:
        self.places = places
        self.names: list[dict[str, Any]] = []
        self.owners: dict[str, tuple[int, int]] = {}
        """Path of a module's file -> its package, and its size."""
        self.used: set[str] = set()
        for place in places:
            with contextlib.suppress(OSError):
                for folder in sorted(os.listdir(place)):  # noqa: PTH208 - names alone
                    if folder.endswith(".dist-info") and len(self.names) < MAX_PACKAGES:
                        self.add(place, folder)

    def add(self, place: str, folder: str) -> None:
        """Add a package, with the files that its record has."""
        name, _, version = folder[: -len(".dist-info")].partition("-")
        number = len(self.names)
        package: dict[str, Any] = {"name": name, "version": version, "size": 0, "place": place}
        self.names.append(package)
        with contextlib.suppress(OSError, csv.Error), Path(place, folder, "RECORD").open(encoding="utf-8", errors="replace") as stream:
            for row in csv.reader(stream.read(MAX_RECORD).splitlines()):
                if not row or len(self.owners) > MAX_FILES:
                    continue
                path = os.path.normpath(f"{place}/{row[0]}")
                with contextlib.suppress(OSError, ValueError):
                    size = os.stat(path).st_size  # noqa: PTH116 - thousands of files
                    package["size"] += size
                    if path.endswith(CODE):
                        self.owners[path] = (number, size)

    def owner(self, path: str) -> int:
        """Return the number of the package of a file that was imported, -1 if it has none."""
        self.use([path])
        return self.owners.get(path, (-1, 0))[0]

    def use(self, paths: Sequence[str]) -> None:
        """Count files as imported."""
        self.used.update(path for path in paths if path in self.owners)

    def described(self) -> list[dict[str, Any]]:
        """Return the packages with the sizes of their modules, and the names of those that were imported."""
        for package in self.names:
            package.update(code=0, imported=0, modules=0, used=[])
        for path, (number, size) in self.owners.items():
            package = self.names[number]
            is_used = source_of(path) in self.used
            package["code"] += size
            package["imported"] += size if is_used else 0
            package["modules"] += not path.endswith(".pyc")
            if path in self.used and path.endswith(".py"):
                package["used"].append(path[len(package["place"]) + 1 :])
        return self.names

    def unused(self) -> list[tuple[int, str, int, int]]:
        """Return the largest groups of modules of which none was imported: package, directory, number of modules, bytes.

        A group is a directory, as far up as nothing in it was imported, or a module.
        """
        busy = {parent for path in self.used for parent in parents_of(path)} | self.used
        groups: dict[tuple[int, str], list[int]] = {}
        for path, (number, size) in self.owners.items():
            source, place = source_of(path), self.names[number]["place"]
            above = [parent for parent in (source, *parents_of(source)) if len(parent) > len(place)]
            top = next((parent for parent in reversed(above) if parent not in busy), None) if source not in busy else None
            if top is not None:
                group = groups.setdefault((number, top[len(place) + 1 :]), [0, 0])
                group[0] += not path.endswith(".pyc")
                group[1] += size
        found = [(number, name, count, size) for (number, name), (count, size) in groups.items()]
        return sorted(found, key=lambda each: (-each[3], each[1]))[:MAX_UNUSED]


def literal(field: str) -> str:
    """Return the text of a literal, with question marks for what is no text: names of files. Raise an error for anything else."""
    value = ast.literal_eval(field)
    if not isinstance(value, str):
        raise TypeError
    return value.encode("utf-8", "replace").decode("utf-8")


def number(field: str) -> int:
    """Return a number. Raise ValueError if it is none, or enormous."""
    value = int(field)
    if abs(value) >= 1 << 59:
        raise ValueError
    return value


def microseconds(field: str, since: int) -> int:
    """Return the microseconds after `since` of a time in nanoseconds."""
    return (number(field) - since) // 1000


def source_of(path: str) -> str:
    """Return the module's file that a file belongs to: bytecode belongs to the source beside its directory (PEP 3147)."""
    folder, _, name = path.rpartition("/")
    if not name.endswith(".pyc") or not folder.endswith("/__pycache__"):
        return path
    return f"{folder[: -len('/__pycache__')]}/{name.partition('.')[0]}.py"


def parents_of(path: str) -> Iterator[str]:
    """Yield the directories above a file, the nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
