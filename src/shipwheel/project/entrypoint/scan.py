"""The scan of a project's directory: everything that detection reads from it, read once into one value.

The finders receive a `Scan` and open no files. Source files that cannot be read or parsed are skipped.
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from shipwheel.errors import ProjectError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.read import Deployment, read_deployment
from shipwheel.project.entrypoint.module import Module, link_factories, read_module
from shipwheel.project.entrypoint.syntax import ModulePath
from shipwheel.user.files import UserFiles

__all__ = ["EXAMPLES", "Scan", "Scanner"]

_SKIPPED_DIRECTORIES = frozenset(
    """
    tests test testing docs doc examples example samples benchmarks migrations node_modules venv env site-packages build dist
    __pycache__ static templates notebooks scripts tools vendor alembic
    """.split()  # noqa: SIM905
)
EXAMPLES = ("examples", "example", "samples")
_TOOLS = ("scripts", "tools")
"""Skipped directories, which are the project itself where it has no other code: those of tools only if they are packages."""
_DJANGO_FILES = ("wsgi.py", "asgi.py", "settings.py")
_PASTEDEPLOY_FILES = ("production.ini", "prod.ini")
"""The usual names. Not development.ini, which enables a debugger that runs whatever a visitor types."""
_FOR_DEVELOPMENT = lazy_pattern(r"(?i)(?:^|[._-])(?:dev|devel|development|test|tests|testing|debug)(?:[._-]|$)")
_SERVER = lazy_pattern(r"^\[server:main\]", re.MULTILINE)
_DEBUGGER = lazy_pattern(r"^[^#;\n]*(?:debugtoolbar|weberror|\breload_templates[ \t]*=[ \t]*true)", re.MULTILINE)
_IMPORT = lazy_pattern(rb"^[ \t]*(?:from|import)[ \t]+(\.|[A-Za-z_]\w*)", re.MULTILINE)
_TESTS = lazy_pattern(rb"\b(?:pytest|unittest|nose)\b|^[ \t]*(?:async )?def test_|^class Test", re.MULTILINE)
_MAX_FILES = 1500
_MAX_DEPTH = 5
_MAX_FILES_OF_ROOT = 100
"""Files that are searched to decide whether a directory is on the import path."""
_MAX_BYTES = 1 << 20


class Scan(msgspec.Struct, frozen=True):
    """The files of a project's directory that show how the project starts, read and parsed."""

    modules: tuple[Module, ...] = ()
    """The project's own modules, shallow ones first."""
    deployment: Deployment = msgspec.field(default_factory=Deployment)
    """The contents of the repository's deployment files."""
    pastedeploy: tuple[tuple[str, str], ...] = ()
    """(name, text) of PasteDeploy's ini files, the preferred one first."""
    tac_files: tuple[Module, ...] = ()
    """Twisted's application files, which are Python by another name."""
    notebooks: tuple[str, ...] = ()
    """Names of the notebooks in the project's root."""


class Scanner:
    """Scans a project when that is needed first, and returns the same values from then on.

    Args:
        root: The project's directory.
        single_file: The one file that is the whole project; None if the directory is.
        files: The files of the project that were read before.
    """

    def __init__(self, root: Path, single_file: str | None = None, files: UserFiles | None = None) -> None:
        self._root, self._single_file, self._files = root, single_file, files or UserFiles()
        self._modules: tuple[Module, ...] | None = None
        self._scan: Scan | None = None
        self._deployment: Deployment | None = None

    def scan_modules(self) -> tuple[Module, ...]:
        """Return the project's own modules, shallow ones first."""
        if self._modules is None:
            reader = _FileReader(self._root, self._files)
            names = (self._single_file,) if self._single_file is not None else tuple(_python_files(self._root, _SKIPPED_DIRECTORIES))
            packages = [name for name in _TOOLS if (self._root / name / "__init__.py").is_file()]
            names = names or tuple(_python_files(self._root, _SKIPPED_DIRECTORIES.difference(EXAMPLES, packages)))
            self._modules = link_factories([module for file in names if (module := reader.module(file)) is not None])
        return self._modules

    def scan_named_as_tests(self) -> Scan:
        """Return the scan with the servers of the root that only have the names of tests: local_test.py may be all that starts a project.

        A file of such a name that serves nothing is a test, or measures something.
        """
        scan = self.scan_project()
        reader = _FileReader(self._root, self._files)
        names = (path.name for path in sorted(self._root.glob("*.py")) if self._single_file is None and _is_named_as_test(path.name))
        programs = [module for name in names if (module := reader.program(name)) is not None]
        more = [module for module in programs if module.applications or module.ports]
        return msgspec.structs.replace(scan, modules=link_factories([*scan.modules, *more])) if more else scan

    def scan_deployment(self) -> Deployment:
        """Return what the repository says about its deployment. Raises ProjectError if there is a Procfile that cannot be read."""
        if self._deployment is None:
            self._deployment = Deployment() if self._single_file is not None else read_deployment(self._root, self._files)
        return self._deployment

    def scan_project(self) -> Scan:
        """Return all that can show how the project starts. Raises ProjectError if there is a Procfile that cannot be read."""
        if self._scan is None:
            modules = self.scan_modules()
            deployment = self.scan_deployment()
            self._scan = Scan(modules) if self._single_file is not None else _scan_directory(self._root, modules, deployment, self._files)
        return self._scan


def _scan_directory(root: Path, modules: tuple[Module, ...], deployment: Deployment, files: UserFiles) -> Scan:
    reader = _FileReader(root, files)
    return Scan(
        modules,
        deployment,
        pastedeploy=tuple(_pastedeploy(root, files)),
        tac_files=tuple(reader.module(path.name) or Module(path.name, path.stem) for path in sorted(root.glob("*.tac")) if path.is_file()),
        notebooks=tuple(path.name for path in sorted(root.glob("*.ipynb"))),
    )


def _pastedeploy(root: Path, files: UserFiles) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of PasteDeploy's files: those of usual names, and others with a server that are not for developing."""
    others = sorted(path.name for path in root.glob("*.ini") if not _FOR_DEVELOPMENT.search(path.stem))
    for name in dict.fromkeys((*_PASTEDEPLOY_FILES, *others)):
        text = _text(files, root / name)
        if text is not None and (name in _PASTEDEPLOY_FILES or (_SERVER.search(text) and not _DEBUGGER.search(text))):
            yield name, text


def _python_files(root: Path, skipped: frozenset[str]) -> Iterator[str]:
    """Yield the project's Python files, breadth first, so that the limit on their number leaves out the deepest."""
    level, count = [""], 0
    for _ in range(_MAX_DEPTH):
        deeper: list[str] = []
        for base in level:
            try:
                entries = sorted(os.scandir(root / base), key=lambda entry: entry.name)
            except OSError:
                continue
            if base and any(entry.name == "pyvenv.cfg" for entry in entries):
                continue
            has_manager = any(entry.name == "manage.py" for entry in entries)
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and (_is_own(entry, skipped) or (has_manager and _is_django_package(entry))):
                    deeper.append(f"{base}{entry.name}/")
                elif _is_candidate(entry):
                    count += 1
                    yield base + entry.name
            if count > _MAX_FILES:
                return
        level = deeper


def _is_own(entry: os.DirEntry[str], skipped: frozenset[str]) -> bool:
    return not entry.name.startswith(".") and entry.name not in skipped


def _is_django_package(entry: os.DirEntry[str]) -> bool:
    """Return whether a directory beside manage.py is the package that it starts, whatever its name: `example`."""
    return any(Path(entry.path, name).is_file() for name in _DJANGO_FILES)


def _is_candidate(entry: os.DirEntry[str]) -> bool:
    name = entry.name
    return name.endswith(".py") and entry.is_file() and not name.startswith(".") and not _is_named_as_test(name)


def _is_named_as_test(name: str) -> bool:
    return name == "conftest.py" or name.startswith("test_") or name.endswith("_test.py")


class _FileReader:
    """Reads source files, and finds out which directories are on the import path."""

    def __init__(self, root: Path, files: UserFiles) -> None:
        self._root = root
        self._files = files
        self._imports: dict[str, frozenset[str]] = {}
        self._import_roots: dict[str, bool] = {}

    def module(self, file: str) -> Module | None:
        """Read and parse one file; None if it cannot be read, is too large or is not valid Python."""
        data = self._read(file)
        return read_module(self._module_path(file), data) if data is not None and len(data) <= _MAX_BYTES else None

    def program(self, file: str) -> Module | None:
        """Read and parse one file as `module` does; None as well for the tests of a test runner."""
        return self.module(file) if _TESTS.search(self._read(file) or b"") is None else None

    def _read(self, file: str) -> bytes | None:
        """Return a file's content, or the first byte above the limit too if it is larger; None if it cannot be read."""
        try:
            return self._files.read_start(self._root / file, _MAX_BYTES + 1)
        except (OSError, ValueError):
            return None

    def _module_path(self, file: str) -> ModulePath:
        parts = file.removesuffix(".py").split("/")
        above = ["/".join(parts[:number]) for number in range(1, len(parts))]
        # No import statement names such a directory.
        unnamed = (number for number, part in enumerate(parts[:-1]) if not part.isidentifier() and not self._is_package(above[number]))
        start = max((number + 1 for number in unnamed), default=0)
        for number in range(start, len(above)):
            if self._is_import_root(above[number]):
                start = number + 1
            elif self._has_modules(above[number]):
                break
        names = parts[start:]
        if names[-1] == "__init__" and len(names) > 1:
            names = names[:-1]
        return ModulePath(file, ".".join(names), "/".join(parts[:start]))

    def _is_package(self, directory: str) -> bool:
        return (self._root / directory / "__init__.py").exists()

    def _has_modules(self, directory: str) -> bool:
        """Return whether a directory has modules of its own: none is imported from one that holds projects, or is one, as packages/api."""
        path = self._root / directory
        return not any((path / name).is_file() for name in ("pyproject.toml", "setup.py", "setup.cfg")) and any(path.glob("*.py"))

    def _is_import_root(self, directory: str) -> bool:
        if directory not in self._import_roots:
            self._import_roots[directory] = self._imports_from_inside(self._root / directory)
        return self._import_roots[directory]

    def _imports_from_inside(self, directory: Path) -> bool:
        """Return whether the files of a directory import each other by their bare names: it is no package, or is not imported as one."""
        is_package = (directory / "__init__.py").exists()
        if not is_package and (not directory.name.isidentifier() or (directory / "manage.py").is_file()):
            return True
        siblings = {path.stem for path in directory.glob("*.py")} | {path.parent.name for path in directory.glob("*/__init__.py")}
        if is_package:
            # The name of a module of its own may be that of Python's or of one beside the package.
            siblings -= sys.stdlib_module_names | {path.stem for path in directory.parent.iterdir()}
            # A module that imports its own name means an installed package: celery.py with `from celery import Celery`.
            siblings -= {
                path.stem for path in directory.glob("*.py") if path.stem in self._imported(path.relative_to(self._root).as_posix())
            }
            if any(directory.name in self._imported(path.relative_to(self._root).as_posix()) for path in directory.parent.glob("*.py")):
                return False
        # `from app import x` in app/ may mean app/app.py, and says nothing then.
        is_ambiguous = (directory / f"{directory.name}.py").is_file()
        siblings.discard(directory.name)
        answer = directory.name == "src" and not is_package
        for path in sorted(directory.rglob("*.py"))[:_MAX_FILES_OF_ROOT]:
            imports = self._imported(path.relative_to(self._root).as_posix())
            direct = path.parent == directory
            if (directory.name in imports and not is_ambiguous) or (direct and "." in imports):
                return False
            # A package below that imports itself by its bare name, or a file that imports its neighbours.
            known = siblings - {path.stem} if direct else siblings & {path.relative_to(directory).parts[0]}
            answer = answer or bool(imports & known)
        return answer

    def _imported(self, file: str) -> frozenset[str]:
        """Return the top-level names that a file imports, "." for relative imports, without parsing it."""
        if file not in self._imports:
            data = (self._read(file) or b"")[:_MAX_BYTES]
            self._imports[file] = frozenset(name.decode("ascii", "replace") for name in _IMPORT.findall(data))
        return self._imports[file]


def _text(files: UserFiles, path: Path) -> str | None:
    """Return a file's text, or None if there is no such file or it cannot be read."""
    try:
        return files.read_text(path) if files.is_file(path) else None
    except ProjectError:
        return None
