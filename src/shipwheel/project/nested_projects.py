"""Projects in the folders of a directory that is none itself: a monorepo with several services, or with one beside a front end."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from shipwheel.known_packages import requirement_of_module
from shipwheel.project.metadata import dependency_names
from shipwheel.user.files import UserFiles, table_at

__all__ = ["has_code", "is_project_directory", "list_beside_code", "nested_projects"]

_MAX_DEPTH = 3
_MAX_DIRECTORIES = 300
_NO_SERVICE = frozenset(
    """
    docs doc documentation tests test testing e2e examples example samples demo notebooks scripts tools infra terraform node_modules venv
    env vendor fixtures benchmarks templates
    """.split()  # noqa: SIM905
)
_TESTS = frozenset({"test", "tests", "testing"})
"""Words in the names of folders of tests: integration_tests."""
_PIPFILE = "Pipfile"
_LISTS = ("requirements.txt", "setup.py", _PIPFILE)


def is_project_directory(root: Path, files: UserFiles) -> bool:
    """Return whether a directory says what it requires: in metadata, a requirements file or a Pipfile. Raise ProjectError."""
    if any(files.is_file(root / name) for name in _LISTS if name != _PIPFILE or not _requires_nothing(root, files)):
        return True
    tables = files.read_tables(root)
    poetry = table_at(tables, "tool", "poetry")
    return "project" in tables or (bool(poetry) and not _is_empty(poetry))


def _requires_nothing(root: Path, files: UserFiles) -> bool:
    """Return whether a Pipfile names no package, as `pipenv shell` leaves it at the top of a repository, and is beside no code."""
    if not files.is_file(root / _PIPFILE) or any(root.glob("*.py")):
        return False
    tables = files.read_toml(root / _PIPFILE)
    return not any(table_at(tables, name) for name in ("packages", "dev-packages"))


def _is_empty(poetry: object) -> bool:
    """Return whether Poetry's table is no package and requires nothing but a Python, as at the top of a monorepo."""
    if not isinstance(poetry, dict) or poetry.get("package-mode", True):
        return False
    return not {name for name in poetry.get("dependencies", {}) if name != "python"}


def nested_projects(root: Path, files: UserFiles, depth: int = _MAX_DEPTH) -> tuple[Path, ...]:
    """Return the directories at most `depth` below `root` that are projects; nothing in one of them, no documentation or tests.

    They are sorted, those with a Dockerfile first: a library is deployed by nobody.

    Raise ProjectError for a pyproject.toml that cannot be read.
    """
    return tuple(sorted(_found(root, files, depth), key=lambda path: (not files.is_file(path / "Dockerfile"), path)))


def list_beside_code(root: Path, files: UserFiles, imports: Iterable[str]) -> tuple[Path, ...]:
    """Return the requirements file of the only folder without code that has one, such as setup/ or config/, of a directory with code.

    A package that the directory's own code imports is no other project either. None if there are several: nothing tells which of them
    counts. Nor does one with nothing that the code imports, by dotted names: it is one of tools.
    """
    lists = [path / _LISTS[0] for path in _services(root)] if any(root.glob("*.py")) else []
    found = tuple(
        path for path in lists if files.is_file(path) and (not has_code(path.parent) or _is_imported(root, path.parent.name, files))
    )
    if len(found) != 1:
        return ()
    text = files.read_text(found[0])
    names = (requirement_of_module(name) or name.partition(".")[0] for name in imports)
    return found if dependency_names(names, "3.13") & dependency_names(text.splitlines(), "3.13") else ()


def _is_imported(root: Path, name: str, files: UserFiles) -> bool:
    """Return whether a file of a directory imports a package in a folder of it: that is a part of its code."""
    statement = re.compile(rb"^(?:import|from) +" + re.escape(name.encode()) + rb"\b", re.MULTILINE)
    is_package = files.is_file(root / name / "__init__.py")
    return is_package and any(statement.search(files.read_bytes(path)) for path in root.glob("*.py") if files.is_file(path))


def has_code(folder: Path) -> bool:
    """Return whether a folder has code in Python, itself or a little below."""
    return any(any(folder.glob(pattern)) for pattern in ("*.py", "*/*.py", "*/*/*.py", "*.ipynb"))


def _found(folder: Path, files: UserFiles, depth: int) -> Iterator[Path]:
    for path in _services(folder):
        if is_project_directory(path, files):
            yield path
        elif depth > 1:
            yield from _found(path, files, depth - 1)


def _services(folder: Path) -> Iterator[Path]:
    """Yield the folders of a directory, sorted, but for those that are usually no service of their own."""
    with os.scandir(folder) as entries:
        below = sorted((entry for entry in entries if entry.is_dir(follow_symlinks=False)), key=lambda entry: entry.name)
    for entry in below[:_MAX_DIRECTORIES]:
        path = Path(entry.path)
        if entry.name.startswith((".", "{{")) or entry.name.lower() in _NO_SERVICE:
            continue
        if not (_TESTS & {*re.split("[-_]", entry.name.lower())} or (path / "pyvenv.cfg").is_file()):
            yield path
