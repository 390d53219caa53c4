"""Python modules that protoc generates from .proto files, where a project keeps them out of its repository."""

import posixpath
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from shipwheel.known_packages import GENERATED_SUFFIXES
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.own_files import own_files
from shipwheel.settings.build import StepSettings

__all__ = ["COMPILER", "PROTOC", "generated_modules", "output_directories", "protoc_steps"]

COMPILER = "grpcio-tools"
"""The Python package with protoc."""
PROTOC = ("python", "-m", "grpc_tools.protoc")
_PROTO = ".proto"
_OUT = "--python_out"
_IMPORT = lazy_pattern(r'^\s*import\s+(?:public\s+|weak\s+)?"([^"]+\.proto)"\s*;')
_MAX_FILES = 200


def generated_modules(steps: Iterable[StepSettings]) -> frozenset[str]:
    """Return the last names of the modules that the calls of protoc among steps make."""
    files = (word for step in steps if any("protoc" in word for word in step.run) for word in step.run if word.endswith(_PROTO))
    return frozenset(posixpath.basename(file).removesuffix(_PROTO) + suffix for file in files for suffix in GENERATED_SUFFIXES)


def output_directories(steps: Iterable[StepSettings]) -> tuple[str, ...]:
    """Return the directories that the calls of protoc among steps write modules to, relative to the one that they start in."""
    words = (word.partition("=") for step in steps for word in step.run)
    return tuple(dict.fromkeys(value for option, _, value in words if option == _OUT))


def protoc_steps(evidence: Evidence, modules: Sequence[Module], directory: str) -> tuple[StepSettings, ...]:
    """Return the calls of protoc that make the modules which the project imports and lacks, if it has the .proto file of each.

    `directory` is the one in the project that steps start in.
    """
    missing = dict.fromkeys(_missing(evidence, modules))
    files = _proto_files(evidence) if missing else ()
    found: dict[tuple[str, ...], StepSettings] = {}
    for name, root in missing:
        words = _call(evidence, name, root, files)
        if words is None:
            return ()
        path, out, *protos = (posixpath.relpath(word, directory or ".") for word in words)
        run = (*PROTOC, f"-I{path}", f"{_OUT}={out}", f"--grpc_python_out={out}", *protos)
        found[run] = StepSettings(run)
    return tuple(found.values())


def _missing(evidence: Evidence, modules: Sequence[Module]) -> Iterator[tuple[str, str]]:
    """Yield (dotted name, import root of the file that imports it) of the generated modules that the project lacks."""
    known = {module.name for module in modules}
    for module in modules:
        for name, _ in module.required:
            parts = name.split(".")
            last = next((number for number, part in enumerate(parts) if part.endswith(GENERATED_SUFFIXES)), None)
            if last is None or parts[0] == "google":
                continue
            wanted = ".".join(parts[: last + 1])
            if wanted not in known and not evidence.has_file(posixpath.join(module.import_root, *parts[:last], f"{parts[last]}.py")):
                yield wanted, module.import_root


def _call(evidence: Evidence, name: str, root: str, files: Sequence[str]) -> tuple[str, ...] | None:
    """Return the directory that protoc reads, the one that it writes to, and the files, all in the project; None if they are not clear."""
    *package, last = name.split(".")
    stem = next(last.removesuffix(suffix) for suffix in reversed(GENERATED_SUFFIXES) if last.endswith(suffix))
    found = [file for file in files if posixpath.basename(file) == stem + _PROTO]
    if len(found) != 1:
        return None
    folder, inside = posixpath.dirname(found[0]), "/".join(package)
    if f"/{folder}".endswith(f"/{inside}"):
        # Generated modules import each other by their files' paths from here.
        path, out = folder.removesuffix(inside).rstrip("/"), root
    else:
        path, out = folder, posixpath.join(root, inside)
    if out and not evidence.has_directory(out):
        return None
    return path or ".", out or ".", *_with_imports(evidence, found[0], path)


def _with_imports(evidence: Evidence, file: str, path: str) -> tuple[str, ...]:
    """Return a file with those that it imports, except for the ones that protoc brings."""
    found: dict[str, None] = {}
    pending = [file]
    while pending:
        file = pending.pop()
        if file not in found:
            found[file] = None
            matches = map(_IMPORT.match, evidence.read_text(file).splitlines())
            imported = (posixpath.normpath(posixpath.join(path, match[1])) for match in matches if match)
            pending += (other for other in imported if not other.startswith(("/", "..")) and evidence.has_file(other))
    return tuple(found)


def _proto_files(evidence: Evidence) -> tuple[str, ...]:
    return tuple(islice(own_files(evidence.root, _PROTO), _MAX_FILES))
