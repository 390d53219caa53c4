"""Volumes for what an app writes into its own directory: the image's root may be read-only, and is lost with the container.

A directory becomes a volume. A file in a directory with other files of the app becomes a symbolic link into the volume /data.
"""

import posixpath
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec.structs import replace

from shipwheel.errors import UsageError
from shipwheel.project.entrypoint.django import migration_steps
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.flask_steps import create_all_steps
from shipwheel.project.entrypoint.launch import INITIAL_SUFFIX, Launch
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.project_paths import (
    OWN_DIRECTORIES,
    SYSTEM_DIRECTORIES,
    AppFiles,
    WrittenPath,
    find_written_paths,
    is_within,
    list_app_files,
)
from shipwheel.project.entrypoint.write_scan import WriteKind

__all__ = ["check_volumes", "with_state", "with_volumes"]

_DATA_VOLUMES = ("/data", "/state")
"""Candidates for the volume of single files; the first that the app does not use itself is taken."""
_PARENTS_ONLY = frozenset({"/", "/var", "/var/lib", "/srv"})
"""Directories that are no volumes themselves, only those below them."""
_PLACEHOLDERS = frozenset({".gitkeep", ".gitignore", ".keep", ".empty", "README.md", "README", "README.txt"})
"""Files in a directory that a volume may hide."""
_MAX_PATHS = 12
"""Paths that are put into volumes."""


class _Plan(msgspec.Struct, frozen=True):
    """The volumes and links for the paths that an app writes."""

    volumes: tuple[str, ...]
    """Directories that become volumes."""
    links: dict[str, str]
    """File below the working directory -> its path on the volume for single files."""
    linked: tuple[WrittenPath, ...]
    """The written paths that `links` are for."""
    kinds: frozenset[WriteKind]
    """The kinds of files on volumes, those of the launch included."""
    left_over: tuple[WrittenPath, ...]
    """Written paths that are in no volume."""


def with_volumes(launch: Launch, evidence: Evidence, modules: Sequence[Module]) -> Launch:
    """Return the launch with volumes for what the app writes; unchanged if the settings name volumes, and for programs."""
    settings = evidence.settings
    if settings.volumes or launch.is_program or any(is_within(directory, [evidence.workdir]) for directory in SYSTEM_DIRECTORIES):
        return launch
    written = find_written_paths(launch, evidence, modules)
    image = AppFiles() if not written or not launch.needs_source else list_app_files(evidence, launch.include)
    if image is None:
        return launch
    plan = _make_plan(written, launch, evidence, image)
    known = {step[:3] for step in launch.before_start}
    migrates = any(step[:2] == ("django-admin", "migrate") for step in launch.before_start)
    wanted = migration_steps(evidence, modules, launch.directory) if WriteKind.SQLITE in plan.kinds and not migrates else ()
    migration = tuple(step for step in wanted if step[:3] not in known)
    without_tables = WriteKind.SQLITE in plan.kinds and not migration and not launch.before_start
    models = create_all_steps(launch, evidence, modules) if without_tables else ()
    steps = (*_copy_steps(plan.links, evidence, image), *migration, *models)
    return replace(
        launch,
        volumes=(*launch.volumes, *dict.fromkeys(posixpath.dirname(target) for target in plan.links.values()), *plan.volumes),
        links=tuple(sorted(plan.links.items())),
        before_start=(*steps, *launch.before_start),
        every_start=(*migration, *models, *launch.every_start),
        notes=(*launch.notes, *_notes(plan, image)),
    )


def with_state(launch: Launch, evidence: Evidence) -> Launch:
    """Return the launch with volumes and links for what the setting `state` names."""
    if not evidence.settings.state:
        return launch
    workdir = evidence.workdir or "/"
    paths = [posixpath.join(workdir, path) for path in evidence.settings.state]
    # Links exist below the working directory only.
    files = [path for path in paths if not path.endswith("/") and workdir != "/" and is_within(path, [workdir])]
    directories = [path.rstrip("/") for path in paths if path not in files]
    image = list_app_files(evidence, launch.include) if files and launch.needs_source else AppFiles()
    volume = posixpath.dirname(launch.links[0][1]) if launch.links else _data_volume(launch, evidence, ())
    volumes = (*launch.volumes, *directories)
    names = {path.removeprefix(f"{workdir}/") for path in files} - {name for name, _ in launch.links}
    links = _link_targets(names, [path for path in volumes if path != volume], volume, workdir, image) if image and volume else {}
    links = {name: target for name, target in links.items() if target not in dict(launch.links).values()}
    steps = _copy_steps(links, evidence, image) if image is not None else ()
    return replace(
        launch,
        volumes=tuple(dict.fromkeys((*launch.volumes, *((volume,) if volume and links else ()), *directories))),
        links=tuple(sorted((*launch.links, *links.items()))),
        before_start=(*steps, *launch.before_start),
    )


def check_volumes(launch: Launch, evidence: Evidence) -> None:
    """Raise UsageError if a volume of the settings would hide the code: a new volume is filled with it, and no later image changes that."""
    code = (*OWN_DIRECTORIES, *((evidence.workdir,) if launch.needs_source else ()))
    for volume in evidence.settings.volumes:
        hidden = next((path for path in code if is_within(path, [volume])), None)
        if hidden is not None:
            hint = "Name the directory that the app writes to, such as /data, or what it writes beside its code in the setting `state`."
            message = f"the setting volumes: {volume} would keep what the image has in {hidden} as it was at the first start"
            raise UsageError(message, hint=hint)


def _make_plan(written: Sequence[WrittenPath], launch: Launch, evidence: Evidence, image: AppFiles) -> _Plan:
    # If there are too many, the surest ones count.
    possible = sorted((item for item in written if _is_writable(item, image)), key=lambda item: item.kind is WriteKind.OPENED)
    chosen, rest = possible[:_MAX_PATHS], possible[_MAX_PATHS:]
    directories = [path for path in _volume_candidates(chosen, evidence, image) if not is_within(path, launch.volumes)]
    volumes = _outermost(directories)
    every_volume = [*launch.volumes, *volumes]
    data = _data_volume(launch, evidence, written)
    files = [item for item in chosen if not item.is_directory and _is_among_files(item, image)]
    names = {item.in_workdir for item in files}
    links = _link_targets(names, every_volume, data, evidence.workdir, image) if data is not None else {}
    rest += [item for item in files if item.in_workdir not in links]
    return _Plan(
        tuple(volumes),
        links,
        tuple(item for item in chosen if item.in_workdir in links),
        frozenset(item.kind for item in chosen if item.in_workdir in links or is_within(item.path, every_volume)),
        tuple(item for item in rest if not is_within(item.path, every_volume)),
    )


def _is_writable(item: WrittenPath, image: AppFiles) -> bool:
    """Return whether the files in the image allow the app to write this path."""
    path = item.in_workdir
    if not path:
        return True
    if image.is_behind_file(path):
        return False
    if item.is_directory:
        return path not in image.files
    if item.kind is WriteKind.OPENED and (path in image.files or not _is_among_files(item, image)):
        # A program that is not part of the running app may have written a file that exists.
        return False
    return path not in image.directories and path not in image.links


def _is_among_files(item: WrittenPath, image: AppFiles) -> bool:
    """Return whether the path is in a directory that the image has."""
    parent = posixpath.dirname(item.in_workdir)
    return bool(item.in_workdir) and (not parent or parent in image.directories)


def _volume_candidates(written: Sequence[WrittenPath], evidence: Evidence, image: AppFiles) -> list[str]:
    """Return the directories that can be volumes: those that are written, and those that hold nothing but written files."""
    directories = [item.path for item in written if item.is_directory]
    holding = [posixpath.dirname(item.path) for item in written if not item.is_directory and not _is_among_files(item, image)]
    return [path for path in dict.fromkeys([*directories, *holding]) if _can_be_volume(path, evidence.workdir, image)]


def _can_be_volume(path: str, workdir: str, image: AppFiles) -> bool:
    if path in _PARENTS_ONLY or any(is_within(directory, [path]) for directory in (workdir, *OWN_DIRECTORIES)):
        return False
    if not is_within(path, [workdir]):
        return True
    # A volume would hide the image's files.
    prefix = f"{path.removeprefix(workdir)}/".lstrip("/")
    return all(posixpath.basename(file) in _PLACEHOLDERS for file in image.files if file.startswith(prefix))


def _data_volume(launch: Launch, evidence: Evidence, written: Sequence[WrittenPath]) -> str | None:
    used = [evidence.workdir, *launch.volumes, *(item.path for item in written)]
    return next(
        (volume for volume in _DATA_VOLUMES if not is_within(volume, used) and not any(is_within(path, [volume]) for path in used)), None
    )


def _link_targets(names: Iterable[str], volumes: Sequence[str], data: str, workdir: str, image: AppFiles) -> dict[str, str]:
    """Return file below the working directory -> its path on the volume `data`, for those that can be linked."""
    targets: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (name.count("/"), name)):
        path, target = f"{workdir}/{name}", f"{data}/{name.replace('/', '-')}"
        if target in targets.values() or is_within(path, volumes) or any(is_within(volume, [path]) for volume in volumes):
            continue
        if name in image.files and image.has(name + INITIAL_SUFFIX):
            # The name of its copy is taken.
            continue
        targets[name] = target
    return targets


def _copy_steps(links: dict[str, str], evidence: Evidence, image: AppFiles) -> Iterator[tuple[str, ...]]:
    """Yield the steps that copy the content that linked files have in the image to a new volume."""
    for name in sorted(image.files & links.keys()):
        source, target = f"{evidence.workdir}/{name}{INITIAL_SUFFIX}", links[name]
        part = f"{target}.part"
        # An interrupted copy is repeated at the next start.
        copy = f"(shutil.copyfile({source!r}, {part!r}), os.replace({part!r}, {target!r}))"
        yield ("python", "-c", f"import os, shutil; os.path.exists({target!r}) or {copy}")


def _notes(plan: _Plan, image: AppFiles) -> Iterator[str]:
    if plan.linked:
        kinds = {item.in_workdir: item.kind for item in reversed(plan.linked)}
        listed = ", ".join(f"{name} ({kinds[name].value})" for name in sorted(kinds))
        volume = posixpath.dirname(plan.links[plan.linked[0].in_workdir])
        yield f"The app writes files beside its code. They are in the volume {volume}: {listed}."
    if copied := sorted(image.files & plan.links.keys()):
        yield f"A new volume starts with the image's {', '.join(copied)}. It keeps its own content when a newer image brings another."
    if plan.volumes:
        listed = ", ".join(plan.volumes)
        yield f"The app writes to {listed}, which {'is a volume' if len(plan.volumes) == 1 else 'are volumes'}."
    if plan.left_over:
        listed = ", ".join(dict.fromkeys(item.path for item in plan.left_over))
        yield f"The app also writes to {listed}, which no volume keeps. Name the paths that matter in the setting `volumes`."


def _outermost(paths: Sequence[str]) -> list[str]:
    unique = list(dict.fromkeys(paths))
    return [path for path in unique if not any(other != path and is_within(path, [other]) for other in unique)]
