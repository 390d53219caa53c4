"""The directory of the project that a Dockerfile's image starts in, for a command that comes from elsewhere."""

import posixpath
import re
from itertools import pairwise

from msgspec.structs import replace

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import Launch
from shipwheel.project.entrypoint.scan import Scan

__all__ = ["in_named_directory", "own_project_folder", "with_working_directory"]

_FROM_OWN_PACKAGE = lazy_pattern(r"^from \.", re.MULTILINE)
"""An import that only a module of a package can do: not one that is started in the package's own directory."""
_PROJECT_FILES = ("pyproject.toml", "requirements.txt", "setup.py", "Pipfile")
"""Files that make a directory a project."""


def with_working_directory(launch: Launch, evidence: Evidence, scan: Scan) -> Launch:
    """Return the launch in the directory that the Dockerfile's image starts in, where the code finds its modules and its files.

    A directory with requirements of its own is another project, and a command from a file that names its directory has it.
    """
    folder = _folder(evidence, scan)
    if not folder or own_project_folder(evidence, scan) or launch.declared_at or launch.directory or evidence.kind != "app":
        return launch
    words = tuple(_seen_from(word, folder, launch, evidence) for word in launch.command)
    below = [file for file in _files(launch, evidence) if file.startswith(f"{folder}/")]
    if not below or launch.is_program or any(_imports_beside(file, folder, evidence) for file in below):
        return launch
    python_path = tuple(path for path in launch.python_path if path != folder)
    return replace(launch, command=words, directory=folder, python_path=python_path)


def _imports_beside(file: str, folder: str, evidence: Evidence) -> bool:
    """Return whether a module directly in the folder imports its neighbours as a module of a package does."""
    return file.endswith(".py") and posixpath.dirname(file) == folder and _FROM_OWN_PACKAGE.search(evidence.read_text(file)) is not None


def in_named_directory(launch: Launch, evidence: Evidence, scan: Scan) -> Launch:
    """Return the launch of a command that a person wrote in the Dockerfile's directory, if what it names is there alone."""
    folder = _folder(evidence, scan)
    if (
        not folder
        or launch.is_program
        or evidence.kind != "app"
        or _names_code(launch, evidence, "")
        or _changes_directory(launch, evidence)
    ):
        return launch
    return replace(launch, directory=folder) if _names_code(launch, evidence, folder) else launch


def _names_code(launch: Launch, evidence: Evidence, folder: str) -> bool:
    """Return whether a command names a file or a module as seen from a directory of the project."""
    for word in launch.command[1:]:
        module = posixpath.join(folder, word.partition(":")[0].replace(".", "/"))
        paths = (posixpath.join(folder, word), f"{module}.py", f"{module}/__init__.py")
        if not word.startswith("-") and any(map(evidence.has_file, paths)):
            return True
    return False


def _changes_directory(launch: Launch, evidence: Evidence) -> bool:
    """Return whether an option names a directory of the project, as in `--chdir src`: the command is meant for the top."""
    options = [word for word in launch.command[1:] if word.startswith("-")]
    values = [value for word, value in pairwise(launch.command) if word in options]
    values += [word.partition("=")[2] for word in options]
    return any(value and evidence.has_directory(value) for value in values)


def own_project_folder(evidence: Evidence, scan: Scan) -> str:
    """Return the directory that the Dockerfile's image starts in, if that has requirements of its own; else an empty text."""
    folder = _folder(evidence, scan)
    return folder if folder and any(evidence.has_file(f"{folder}/{name}") for name in _PROJECT_FILES) else ""


def _folder(evidence: Evidence, scan: Scan) -> str:
    dockerfile = scan.deployment.dockerfile
    found = dockerfile.files.project_path(dockerfile.stage.workdir or "/") if dockerfile is not None else None
    return found if found not in (None, ".") and evidence.has_directory(found or "") else ""


def _files(launch: Launch, evidence: Evidence) -> list[str]:
    """Return the files of the project that a command names, as paths or as module:variable."""
    found = [word for word in launch.command if evidence.has_file(word)]
    for word in launch.command:
        base = "/".join((*launch.python_path[:1], word.partition(":")[0].replace(".", "/"))) if ":" in word else ""
        found += [path for path in (f"{base}.py", f"{base}/__init__.py") if base and evidence.has_file(path)]
    return found


def _seen_from(word: str, folder: str, launch: Launch, evidence: Evidence) -> str:
    """Return a word of a command as it is in a directory: the file, or the module, without that directory's name.

    A module that is imported from the directory already may be in a package of the same name: site/site/wsgi.py.
    """
    if evidence.has_file(word) and word.startswith(f"{folder}/"):
        return posixpath.relpath(word, folder)
    dotted = f"{folder.replace('/', '.')}."
    return word.removeprefix(dotted) if ":" in word and folder not in launch.python_path else word
