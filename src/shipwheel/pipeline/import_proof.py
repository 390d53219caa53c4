"""The proof that an image has the modules that its program imports when it starts. Pure: works on what segments record about their files.

It follows the unconditional imports from the module that the command names through the project's own files. What others' packages import
is their own concern.
"""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from shipwheel.container.venv import Paths
from shipwheel.errors import MissingImports
from shipwheel.files.segment import Segment
from shipwheel.known_packages import GENERATED_SUFFIXES, PACKAGE_OF_MODULE, requirement_of_module, shown_requirement
from shipwheel.project.entrypoint.launch import started_modules
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.protobuf import generated_modules
from shipwheel.project.module_origin import extra_or_group_with, listed_elsewhere
from shipwheel.project.outer_package import is_directory_itself, outer_package
from shipwheel.project.project import Project
from shipwheel.project.standard_library import standard_library
from shipwheel.project.submodules import absent_submodules
from shipwheel.user.example_files import example_of_module, find_examples, ignored_file_of_module, ignored_files

__all__ = ["MissingImport", "WantedImports", "check_imports", "imports_of", "missing_imports", "unmade_modules", "wanted_imports"]

_MOVES_THE_PATH = ("sys.path.insert", "sys.path.append", "sys.path.extend", "site.addsitedir")
_ENDINGS = (".py", ".pyc", ".so")
_BROUGHT_BY = {"distutils": "_distutils_hack"}
"""Module that is found in no file of its own -> the one that brings it when Python starts: setuptools has a copy of distutils."""


class MissingImport(msgspec.Struct, frozen=True):
    """A module that the image lacks, and where the project imports it."""

    module: str
    file: str
    line: int
    name: str = ""
    """The dotted name that it imports, which begins with the module's."""


class WantedImports(msgspec.Struct, frozen=True):
    """The top-level modules to look for, with the first import of each, and the directories of the image's import path."""

    names: dict[str, MissingImport]
    directories: frozenset[str]

    @property
    def parts(self) -> tuple[str, ...]:
        """All that is looked for, as parts of a key."""
        return (*sorted(self.names), "in", *sorted(self.directories))


def check_imports(project: Project, minor: str, segments: Sequence[Segment]) -> None:
    """Raise MissingImports with every module that the command imports and the image lacks. `minor` is the image's Python."""
    missing = missing_imports(project, minor, segments)
    if not missing:
        return
    lines = "\n".join(f"  {found.file}, line {found.line}: {found.module}" for found in missing[:20])
    names = tuple(dict.fromkeys(found.module for found in missing))
    outer = {found.module: package for found in missing if project.kind == "app" and (package := outer_package(project.root, found.name))}
    left_out = {name: pattern for name in names if name not in outer and (pattern := _left_out(project, name))}
    folders = {name: folder for name in names if name not in {*outer, *left_out} and (folder := _folder(project, name))}
    unpackaged = [name for name in names if project.kind == "package" and _is_own(project, name)]
    others = tuple(name for name in names if name not in {*outer, *left_out, *folders, *unpackaged})
    unmade = dict(unmade_modules(project, others))
    submodules = {name: path for name, path in absent_submodules(project.root).items() if name in others}
    others = tuple(name for name in others if name not in {*unmade, *submodules})
    elsewhere, ways = _required_elsewhere(project, others)
    renamed = {name: name for name in others if name not in elsewhere and _is_directory_itself(project, name)}
    outer |= renamed
    others = tuple(name for name in others if name not in {*elsewhere, *renamed})
    hints = []
    settings: list[tuple[str, Any]] = [("include", (pattern,)) for pattern in left_out.values()]
    if outer:
        above, package = project.settings.workdir.rstrip("/"), max(outer.values(), key=len)
        workdir = f"{above}/{package.replace('.', '/')}"
        settings += [("workdir", workdir), ("env", {"PYTHONPATH": above})]
        hints.append(f'{package} is this directory: set workdir = "{workdir}" and env = {{PYTHONPATH = "{above}"}}.')
    if left_out:
        listed = ", ".join(f'"{pattern}"' for pattern in left_out.values())
        hints.append(f"The project has {', '.join(left_out)}, and .gitignore or .dockerignore leaves it out: set include = [{listed}].")
    if folders:
        path = ":".join(dict.fromkeys(folders.values()))
        settings.append(("env", {"PYTHONPATH": path}))
        where = "in a directory that is not on the import path"
        hints.append(f'The project has {", ".join(folders)} {where}: set env = {{PYTHONPATH = "{path}"}}, or require it as a package.')
    if unpackaged:
        settings.append(("install", "source"))
        hints.append(
            f'The project has {", ".join(unpackaged)}, and its wheel does not: set install = "source", or name it in the metadata.'
        )
    if unmade:
        made = ", ".join(unmade.values())
        hints.append(f"Make {made} before the build. It is part of the image: let it read secrets from the environment.")
    settings += dict.fromkeys(elsewhere.values())
    hints += ways
    if submodules:
        listed = ", ".join(submodules.values())
        hints.append(f"{listed}: a git submodule that is not checked out. Run `git submodule update --init`, and build again.")
    dotted = {found.module: found.name for found in reversed(missing)}
    hints += _hints_for_packages({name: dotted[name] or name for name in others}, project.unlisted)
    raise MissingImports(
        f"the program would not start: it imports modules that no package in the image has:\n{lines}",
        others,
        tuple(settings),
        hint=" ".join(hints),
        unlisted=project.unlisted,
    )


def _required_elsewhere(project: Project, names: Sequence[str]) -> tuple[dict[str, tuple[str, tuple[str, ...]]], list[str]]:
    """Return (module -> the setting that brings it, what to do) for what an extra, a group or another list of the project requires."""
    found, hints, texts = dict[str, tuple[str, tuple[str, ...]]](), list[str](), list[str]()
    for name in names:
        if (choice := extra_or_group_with(project, requirement_of_module(name) or name)) is not None:
            found[name] = choice[0], (choice[1],)
            hints.append(f'{name} is in the project\'s {choice[0]}: set {choice[0]} = ["{choice[1]}"].')
        elif (listed := listed_elsewhere(project, name, project.dependencies)) is not None:
            found[name] = "dependencies", (listed[0],)
            texts.append(f'"{listed[0]}" ({listed[1]})')
    if texts:
        hints.append(f"Another list of the project has it: add {', '.join(texts)} to the setting `dependencies`.")
    return found, hints


def unmade_modules(project: Project, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the modules that a person makes, each with its file and what tells so."""
    examples, ignored = tuple(find_examples(project.root)), ignored_files(project.root)
    for name in names:
        if example := example_of_module(name, examples):
            yield name, f"{name}.py from {example}"
        elif file := ignored_file_of_module(name, ignored):
            yield name, f"{file}, which .gitignore names, since each machine has its own,"


def _hints_for_packages(names: Mapping[str, str], unlisted: Sequence[str]) -> Iterator[str]:
    """Yield what to do about modules that nothing in the project accounts for: `names` maps each to the dotted name that is imported.

    The setting `dependencies` would take the place of the requirements `unlisted`.
    """
    generated = [name for name in names if name.endswith(GENERATED_SUFFIXES)]
    if generated:
        yield (
            f"protoc makes {', '.join(generated)} from a .proto file: run `python -m grpc_tools.protoc` in a step of the setting `steps`, "
            "or before the build."
        )
    if len(names) > len(generated):
        ignored = ", ".join(f'"{name}"' for name in names)
        beside = f", beside all that it then replaces ({', '.join(unlisted)})" if unlisted else ", or choose an extra or group with them"
        yield (
            f"Add {_packages_of(names)} to the project's dependencies or to the setting `dependencies`{beside}."
            f" If they are found in another way, set ignore-imports = [{ignored}]."
        )


def _packages_of(names: Mapping[str, str]) -> str:
    """Return the packages that bring modules, as far as they are known, and the other modules."""
    known = {name: package for name, dotted in names.items() if (package := shown_requirement(dotted))}
    packages = ", ".join(dict.fromkeys(known.values()))
    others = ", ".join(name for name in names if name not in known)
    return " and ".join(filter(None, (packages, f"the packages that bring {others}" if others else "")))


def _left_out(project: Project, name: str) -> str:
    """Return the pattern that includes a package or file of the project which is not in the image; empty if it has none of the name."""
    if project.kind != "app":
        return ""
    directory = project.launch.directory if project.launch is not None else ""
    for path in dict.fromkeys((posixpath.join(directory, name), name)):
        if any((project.root / path).glob("*.py")):
            return f"/{path}/"
        if (project.root / f"{path}.py").is_file():
            return f"/{path}.py"
    return ""


def _is_directory_itself(project: Project, name: str) -> bool:
    """Return whether a module is the project's own directory, by all that the project's files import of it."""
    modules = project.scanner.scan_modules() if project.scanner is not None and project.kind == "app" else ()
    return is_directory_itself(project.root, {used for each in modules for used, _ in each.required if used.split(".")[0] == name})


def _is_own(project: Project, name: str) -> bool:
    """Return whether the project's directory has a package or file of the name at its top. A package needs no __init__.py."""
    return any((project.root / name).glob("*.py")) or (project.root / f"{name}.py").is_file()


def _folder(project: Project, name: str) -> str:
    """Return the directory in the image, not the project's own, with a package or file of the name; empty without one, or with several."""
    modules = project.scanner.scan_modules() if project.scanner is not None and project.kind == "app" else ()
    found = {
        file.removesuffix(end).rstrip("/")
        for module in modules
        for file in (f"/{module.file}",)
        for end in (f"/{name}/__init__.py", f"/{name}.py")
        if file.endswith(end) and name not in PACKAGE_OF_MODULE
    }
    return f"{project.settings.workdir.rstrip('/')}{found.pop()}" if len(found) == 1 else ""


def imports_of(project: Project) -> tuple[str, ...]:
    """Return what decides which imports are looked for, beside the project's files."""
    command = project.launch.source_command if project.launch is not None else ()
    return (*command, *project.settings.ignore_imports, project.settings.env.get("PYTHONPATH", ""))


def wanted_imports(project: Project, minor: str) -> WantedImports:
    """Return the modules that the command imports and that a file of the image must have; none if the program changes its own path."""
    modules = project.scanner.scan_modules() if project.scanner is not None else ()
    reached = started_modules(project.launch, project.scripts, modules) if project.launch is not None else ()
    if not reached or any(not module.calls.isdisjoint(_MOVES_THE_PATH) for module in reached):
        return WantedImports({}, frozenset())
    wanted: dict[str, MissingImport] = {}
    for module in reached:
        for name, line in module.required:
            top = name.partition(".")[0]
            wanted.setdefault(top, MissingImport(top, module.file, line, name))
    present = {*standard_library(minor), *project.settings.ignore_imports, *generated_modules(project.steps)}
    names = {name: each for name, each in wanted.items() if name not in present}
    return WantedImports(names, _directories(project, minor, reached))


def missing_imports(project: Project, minor: str, segments: Sequence[Segment]) -> tuple[MissingImport, ...]:
    """Return the modules that the command imports and that no segment has."""
    wanted = wanted_imports(project, minor)
    names, found = wanted.names.keys(), set[str]()
    # The wheels come last, and have most of what is imported.
    for segment in reversed(segments):
        if names <= found:
            break
        found.update(_top_levels(wanted.directories, segment))
    missing = names - {*found, *(name for name, origin in _BROUGHT_BY.items() if origin in found)}
    return tuple(sorted((wanted.names[name] for name in missing), key=lambda it: (it.file, it.line, it.module)))


def _directories(project: Project, minor: str, reached: Sequence[Module]) -> frozenset[str]:
    """Return the directories of the image's import path, relative to the root; the standard library is found by its name."""
    tops = {project.settings.workdir.strip("/"), project.start_directory.strip("/")}
    launch = project.launch
    below = {"", *(launch.python_path if launch is not None else ()), *(posixpath.dirname(module.file) for module in reached[:1])}
    named = (path.strip("/") for path in project.settings.env.get("PYTHONPATH", "").split(":") if path)
    return frozenset(
        {Paths(minor).site_packages, *(posixpath.normpath(posixpath.join(top, path)) for top in tops for path in below), *named}
    )


def _top_levels(directories: frozenset[str], segment: Segment) -> set[str]:
    """Return the names that can be imported from a segment's files in these directories or in the standard library."""
    paths = (*segment.files, *segment.links)
    # Most files share a few first parts of their paths, of which each is looked at once.
    tops: set[tuple[str, ...]] = set()
    for start in (f"{directory}/" for directory in directories):
        tops.update(path[len(start) :].partition("/")[:2] for path in paths if path.startswith(start))
    rests = (path.partition("/lib/python3.")[2] for path in paths)
    library = (rest.partition("/")[2].removeprefix("lib-dynload/") for rest in rests if rest and "-packages/" not in rest)
    tops.update(path.partition("/")[:2] for path in library)
    return {_name("".join(top)) for top in tops}


def _name(path: str) -> str:
    top, slash, _ = path.partition("/")
    return top if slash or not top.endswith(_ENDINGS) else top.partition(".")[0]
