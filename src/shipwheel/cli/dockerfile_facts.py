"""The facts for the Dockerfile of a project, from a build of it."""

import os
import posixpath
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from shipwheel.cli.options import request_from
from shipwheel.cli.terminal import Terminal

if TYPE_CHECKING:
    from shipwheel.oci.execution import ExecutionConfig
    from shipwheel.pipeline.build import Built
    from shipwheel.pipeline.resolve import Resolution, Resolved
    from shipwheel.project.app_tree import AppTree
    from shipwheel.project.project import Project
    from shipwheel.request import Request
    from shipwheel.stack.dockerfile import DockerProject

__all__ = ["dockerfile_of"]

_COMPILER = "build-essential"


def dockerfile_of(path: Path, flags: dict[str, Any], terminal: Terminal) -> "tuple[DockerProject, dict[str, str]]":
    """Build a project. Return it for its Dockerfile, and the files that this needs beside it: path -> text."""
    from shipwheel.locking.requirements_file import requirements_file
    from shipwheel.pipeline.deliver import build_and_load

    request = request_from(path, flags, terminal.report)
    built = build_and_load(request, lambda _built: "")[0].built
    selections = [each.selection for each in built.resolution.platforms]
    developers = _developers(request, built.resolution.project)
    more = requirements_file([each.selection for each in developers.platforms]) if developers is not None else ""
    files = {"requirements.txt": requirements_file(selections), "requirements-dev.txt": more, **_generated(built)}
    project = _docker_project(built, request, has_developer_requirements=bool(more), has_hashed=bool(files["requirements.txt"]))
    return project, {name: text for name, text in files.items() if text}


def _docker_project(built: "Built", request: "Request", *, has_hashed: bool, has_developer_requirements: bool) -> "DockerProject":
    from shipwheel.container.venv import Paths
    from shipwheel.dev.container import import_roots
    from shipwheel.locking.requirements_file import unhashed_requirements
    from shipwheel.pipeline.app_files import app_tree
    from shipwheel.project.app_tree import list_app
    from shipwheel.project.entrypoint.launch import FRONT_MODULE
    from shipwheel.project.secret_files import secret_rules
    from shipwheel.stack.dockerfile import DockerProject

    resolution = built.resolution
    project, first = resolution.project, built.platforms[0].resolved
    launch = project.launch
    assert launch is not None  # noqa: S101 - the project was built
    tree = app_tree(project, request.reporter)
    files = tuple(file.path for file in tree.files) if tree is not None else ()
    is_installed = project.kind == "package"
    sources = unhashed_requirements([each.selection for each in resolution.platforms], project.root)
    reads_all = is_installed or any(source.startswith("./") for source in sources)
    whole = list_app(project.root, secret_rules=secret_rules(project.settings)) if reads_all else None
    shown = {*files, *(file.path for file in whole.files)} if whole is not None else {*files}
    workdir = project.settings.workdir
    return DockerProject(
        name=project.name,
        base=_base_name(first),
        config=_config(built),
        health=_health(built, request),
        workdir=workdir,
        packages=tuple(_packages(built)),
        build_packages=tuple(_build_packages(resolution, sources)),
        has_hashed=has_hashed,
        sources=sources,
        has_developer_requirements=has_developer_requirements,
        is_installed=is_installed,
        files=files,
        left_out=tuple(_left_out(project.root, shown)),
        context=tuple(sorted(shown - {*files})),
        copies=project.copies,
        links={
            **{path: posixpath.join(workdir, target).rstrip("/") for path, target in launch.aliases},
            **{posixpath.join(workdir, path): target for path, target in launch.links},
        },
        import_paths=tuple(posixpath.normpath(posixpath.join(workdir, folder)) for folder in launch.python_path),
        development_paths=tuple(posixpath.normpath(posixpath.join(workdir, folder)) for folder in import_roots(project)),
        site_packages=f"/{Paths(first.target.minor).site_packages}",
        modules=(f"{FRONT_MODULE}.py",) if launch.static_front is not None else (),
        has_launcher=project.needs_launcher,
        steps=project.steps,
        bytecode=project.settings.bytecode != "none",
        platforms=request.platforms,
        notes=tuple(_notes(project, tree)),
    )


def _base_name(resolved: "Resolved") -> str:
    """Return the base image by its digest, or the official image with the Python and the suite of a composed base."""
    base = resolved.base
    if base.image is not None:
        return f"{base.image.name.partition('@')[0]}@{base.image.digest}"
    assert base.suite is not None  # noqa: S101 - a composed base has a suite
    return f"python:{resolved.target.minor}-slim-{base.suite.codename}"


def _config(built: "Built") -> "ExecutionConfig":
    """Return the image's config, started by the Python of the virtual environment, and not labelled as made by shipwheel."""

    from shipwheel.container.venv import VENV

    config, base = built.index.images[0].execution, built.platforms[0].resolved.base
    entrypoint = tuple(f"/{VENV}/bin/python" if word == base.interpreter else word for word in config.entrypoint)
    left_out = ("io.shipwheel.version", "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest")
    labels = {key: value for key, value in config.labels.items() if key not in left_out}
    return replace(config, entrypoint=entrypoint, labels=labels)


def _health(built: "Built", request: "Request") -> tuple[str, ...]:
    """Return the words of the check that `up` and compose files use; empty without a port."""
    from shipwheel.stack.image import ServiceImage, place
    from shipwheel.stack.model import ProjectSource, Service

    first, project = built.index.images[0], built.resolution.project
    image = ServiceImage(project.name, first.execution, first.platform, project.name)
    return place(Service("web", ProjectSource(request.path)), image, str(request.path)).health_command


def _packages(built: "Built") -> Iterator[str]:
    """Yield the names of Debian packages that the base image may lack."""
    names = {"ca-certificates"}
    for each in built.platforms:
        base = each.resolved.base
        names |= {package.name for package in {*base.packages} - {*base.seed(built.resolution.project.packages)}}
        if base.init is not None:
            names.add(base.init.name)
    yield from sorted(names)


def _build_packages(resolution: "Resolution", sources: Iterable[str]) -> Iterator[str]:
    compiled = resolution.lock.compiled
    names = {name for needed in compiled.values() for name in needed} | ({_COMPILER} if compiled else set())
    if any("git+" in source for source in sources):
        names.add("git")
    yield from sorted(names)


def _left_out(root: Path, files: set[str]) -> Iterator[str]:
    """Yield the files and directories beside those of the project that are not taken, the highest directory of each."""
    taken = {*files, *(path.as_posix() for file in files for path in Path(file).parents)}
    tops = sorted({file.partition("/")[0] for file in files if "/" in file})
    for folder, folders, names in (walked for top in tops for walked in os.walk(root / top)):
        at = Path(folder).relative_to(root)
        folders.sort()
        for name in (*folders, *sorted(names)):
            path = (at / name).as_posix()
            if path not in taken and name != "__pycache__" and not name.endswith((".pyc", ".pyo")):
                yield path
        folders[:] = [name for name in folders if (at / name).as_posix() in taken]


def _generated(built: "Built") -> dict[str, str]:
    """Return the files that shipwheel adds to the image, by their names: the launcher and its settings, Django's static files."""
    from shipwheel.container.venv import Paths
    from shipwheel.pipeline.layers import launcher_source
    from shipwheel.pipeline.static_front import front_files

    project, first = built.resolution.project, built.platforms[0].resolved
    front = project.launch.static_front if project.launch is not None else None
    sources = (
        *([launcher_source(project, first.base)] if project.needs_launcher else ()),
        *([front_files(front, Paths(first.target.minor).site_packages)] if front is not None else ()),
    )
    entries = (entry for source in sources for entry in source.files)
    return {entry.path.rpartition("/")[2]: entry.content.decode() for entry in entries if isinstance(entry.content, bytes)}


def _developers(request: "Request", project: "Project") -> "Resolution | None":
    """Return the resolution of the project's variant for development; None if it needs nothing more."""
    from shipwheel.dev.variant import development
    from shipwheel.pipeline.build import resolve_request

    settings = development(project, debugger=False)
    return resolve_request(replace(request, settings=settings)) if settings.lock != project.settings.lock else None


def _notes(project: "Project", tree: "AppTree | None") -> Iterator[str]:
    if tree is not None and tree.catalogues:
        yield f"translations are not compiled: {', '.join(sorted(tree.catalogues))}"
    if project.dynamic:
        yield "the project's version comes from git, which the build does not see: give its backend a version"
    for kind, values in (("variable", project.settings.env), ("label", project.settings.labels)):
        yield from (
            f"the {kind} {name} has several lines, which only the image by shipwheel keeps"
            for name, value in values.items()
            if "\n" in value
        )
    for front in project.assets:
        yield f"`{shlex.join(front.run)}` does not run: the image lacks {front.shown_output}, the front end"
    if project.steps and project.settings.steps is None:
        yield "steps get no made-up values for variables that they want: give them env below [[tool.shipwheel.steps]]"
