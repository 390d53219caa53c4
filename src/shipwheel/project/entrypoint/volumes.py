"""What an app writes into its own directory, kept in volumes: the image's root may be read-only, and is gone with the container.

A directory becomes a volume. A file whose directory the app has other files in becomes a symbolic link into the volume /data.
"""

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from shipwheel.project.entrypoint.app_files import Listed, list_image
from shipwheel.project.entrypoint.django import migration
from shipwheel.project.entrypoint.launch import INITIAL, Evidence, Launch
from shipwheel.project.entrypoint.path_eval import INSTANCE, ROOT, Places, usable
from shipwheel.project.entrypoint.scan import Module
from shipwheel.project.entrypoint.write_scan import OPENED, Write
from shipwheel.venv import VENV

__all__ = ["read_beside", "with_kept"]

_DATA = ("/data", "/state")
"""Places of the volume for single files: the first that the app does not use itself."""
_SYSTEM = (
    *("/tmp", "/var/tmp", "/var/run", "/var/lock", "/dev", "/proc", "/sys", "/run", "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64"),  # noqa: S108
    *("/boot", "/opt", "/home", "/root", "/Users", "/mnt"),
)
_SHARED = frozenset({"/", "/var", "/var/lib", "/srv"})
"""Directories that only those below may be volumes of."""
_OURS = (f"/{VENV}", "/opt/shipwheel")
_MARKERS = frozenset({".gitkeep", ".gitignore", ".keep", ".empty", "README.md", "README", "README.txt"})
_MOST = 12
_FLASKS = frozenset({"flask", "apiflask", "eve", "flask-openapi3"})
"""Flask, and what its application's class is of."""
_OF_FRAMEWORKS = {"python-fasthtml": Write(".sesskey", "the key of its sessions")}
"""What a framework writes by itself, by its distribution."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A path that is written, absolute in the image; `local` is the same below the project, empty for what lies elsewhere."""

    path: str
    local: str
    what: str
    directory: bool


def with_kept(launch: Launch, evidence: Evidence, modules: tuple[Module, ...]) -> Launch:
    """The launch with volumes for what the app writes; as it is where the settings have volumes, and for programs."""
    if evidence.settings.volumes or launch.is_program or any(_within(place, [_workdir(evidence)]) for place in _SYSTEM):
        return launch
    wanted = [*dict.fromkeys(_found(launch, evidence, modules))]
    image = Listed() if not wanted or not launch.needs_source else list_image(evidence, launch.include)
    if image is None:
        return launch
    # The surest first, where there are too many.
    fitting = sorted((item for item in wanted if _fits(item, image)), key=lambda item: item.what == OPENED)
    found, rest = fitting[:_MOST], fitting[_MOST:]
    directories = _directories(found, evidence, image)
    places = _outermost([path for path in directories if not _within(path, [*launch.volumes])])
    targets = _targets(found, [*launch.volumes, *places], _data(launch, evidence, wanted), evidence, image)
    rest += [item for item in found if _beside_others(item, image) and not item.directory and item.local not in targets]
    rest = [item for item in rest if not _within(item.path, [*launch.volumes, *places])]
    own = bool(evidence.settings.before_start)
    kept = {item.what for item in found if item.local in targets or _within(item.path, [*launch.volumes, *places])}
    migrate = migration(evidence, modules, "SQLite" in kept) if not own else ()
    steps = (*(_copies(targets, evidence, image) if not own else ()), *migrate)
    return replace(
        launch,
        volumes=(*launch.volumes, *dict.fromkeys(posixpath.dirname(target) for target in targets.values()), *places),
        links=tuple(sorted(targets.items())),
        before_start=(*steps, *launch.before_start),
        every_start=(*migrate, *launch.every_start),
        notes=(*launch.notes, *_said([item for item in found if item.local in targets], targets, places, rest, image)),
    )


def _said(links: list[_Kept], targets: dict[str, str], places: list[str], rest: list[_Kept], image: Listed) -> Iterator[str]:
    if links:
        what = {item.local: item.what for item in reversed(links)}
        listed = ", ".join(f"{local} ({what[local]})" for local in sorted(what))
        yield f"What the app writes beside its code is in the volume {posixpath.dirname(targets[links[0].local])}: {listed}."
    if copied := sorted(image.files & targets.keys()):
        yield f"A new volume gets {', '.join(copied)} from the image at its first start, and keeps its own when the image's changes."
    if places:
        yield f"The app writes to {', '.join(places)}: {'a volume' if len(places) == 1 else 'volumes'}."
    if rest:
        listed = ", ".join(dict.fromkeys(item.path for item in rest))
        yield f"It seems to write to more than is kept: {listed}. Name what matters in the setting `volumes`."


def _workdir(evidence: Evidence) -> str:
    return evidence.settings.workdir.rstrip("/")


def _fits(item: _Kept, image: Listed) -> bool:
    """Whether what is in the image lets it be written."""
    if not item.local:
        return True
    if image.is_behind_file(item.local):
        return False
    if item.directory:
        return item.local not in image.files
    if item.what == OPENED and (item.local in image.files or not _beside_others(item, image)):
        # A file that is there may be made beforehand, by a program that is no part of the running app.
        return False
    return item.local not in image.directories and item.local not in image.links


def _beside_others(item: _Kept, image: Listed) -> bool:
    """Whether a file lies in a directory that is in the image."""
    above = posixpath.dirname(item.local)
    return bool(item.local) and (not above or above in image.directories)


def _directories(found: list[_Kept], evidence: Evidence, image: Listed) -> list[str]:
    """What may be volumes: the directories, and those of files that have one for themselves."""
    apart = (posixpath.dirname(item.path) for item in found if not item.directory and not _beside_others(item, image))
    every = dict.fromkeys([*(item.path for item in found if item.directory), *apart])
    return [path for path in every if _may_be_volume(path, _workdir(evidence), image)]


def _may_be_volume(path: str, workdir: str, image: Listed) -> bool:
    if path in _SHARED or any(_within(place, [path]) for place in (workdir, *_OURS)):
        return False
    inside = f"{path.removeprefix(workdir)}/".lstrip("/") if _within(path, [workdir]) else None
    # A volume would hide files of the image.
    return inside is None or all(posixpath.basename(file) in _MARKERS for file in image.files if file.startswith(inside))


def _data(launch: Launch, evidence: Evidence, wanted: list[_Kept]) -> str | None:
    taken = [_workdir(evidence), *launch.volumes, *(item.path for item in wanted)]
    return next((place for place in _DATA if not _within(place, taken) and not any(_within(path, [place]) for path in taken)), None)


def _targets(found: list[_Kept], places: list[str], data: str | None, evidence: Evidence, image: Listed) -> dict[str, str]:
    """Files below the working directory, and where on the volume they are kept."""
    targets: dict[str, str] = {}
    files = {item.local for item in found if not item.directory and _beside_others(item, image)} if data is not None else set()
    for local in sorted(files, key=lambda local: (local.count("/"), local)):
        path, target = f"{_workdir(evidence)}/{local}", f"{data}/{local.replace('/', '-')}"
        if target in targets.values() or _within(path, places) or any(_within(place, [path]) for place in places):
            continue
        # The settings' own steps copy nothing, and the place of the first content may be taken.
        if local in image.files and (evidence.settings.before_start or image.has(local + INITIAL)):
            continue
        targets[local] = target
    return targets


def _copies(targets: dict[str, str], evidence: Evidence, image: Listed) -> Iterator[tuple[str, ...]]:
    for local in sorted(image.files & targets.keys()):
        source, target = f"{_workdir(evidence)}/{local}{INITIAL}", targets[local]
        part = f"{target}.part"
        # A copy that is cut off is made again.
        copied = f"(shutil.copyfile({source!r}, {part!r}), os.replace({part!r}, {target!r}))"
        yield ("python", "-c", f"import os, shutil; os.path.exists({target!r}) or {copied}")


def _found(launch: Launch, evidence: Evidence, modules: tuple[Module, ...]) -> Iterator[_Kept]:
    places = _places(evidence, modules)
    flask = _flask(modules)
    used = sorted({app.framework.distribution for module in modules for app in module.objects})
    yield from (
        item
        for name in used
        if name in _OF_FRAMEWORKS and (item := _kept(_OF_FRAMEWORKS[name].path, _OF_FRAMEWORKS[name], launch, evidence))
    )
    for module in modules:
        for write in module.spoken.writes:
            for each in _as_flask_reads_it(write, evidence, flask):
                path = places.path(each.path)
                if path is not None and (item := _kept(path, each, launch, evidence)) is not None:
                    yield item


def _flask(modules: tuple[Module, ...]) -> Module | None:
    return next((module for module in modules if any(app.framework.distribution in _FLASKS for app in module.objects)), None)


def _places(evidence: Evidence, modules: tuple[Module, ...]) -> Places:
    known: dict[str, str] = {}
    for module in modules:
        for name, text in module.spoken.places:
            known.setdefault(name, text)
    flask = _flask(modules)
    return Places({**known, INSTANCE: _instance(evidence, flask)} if flask is not None else known)


def read_beside(evidence: Evidence, modules: tuple[Module, ...]) -> tuple[str, ...]:
    """For what a wheel would not do, as a package's source says: what it reads outside the package, and writes within."""
    own = [module for module in modules if module.module.split(".")[0] in evidence.packaged]
    # Only what is installed can be asked for its version.
    if not own or any(call.endswith("metadata.version") for module in own for call in module.calls):
        return ()
    places = _places(evidence, modules)
    inside = {posixpath.join(module.path, module.module.split(".")[0]) for module in own}
    spoken = {*_rooted(places, (text for module in own for text in module.spoken.joined))}
    image = list_image(evidence) if spoken else None
    read = {path for path in spoken if image is not None and image.has(path)}
    beside = {path for path in read if not _within(path, [*inside]) and not any(_within(place, [path]) for place in inside)}
    return tuple(sorted(beside | set(_rooted(places, (write.path for module in own for write in module.spoken.writes)))))


def _rooted(places: Places, texts: Iterable[str]) -> Iterator[str]:
    """Paths below the project, of those that hang on the place of a file."""
    paths = (places.path(text) for text in texts)
    return (path[2:] for path in paths if path is not None and path.startswith(f"{ROOT}/") and not path.startswith(f"{ROOT}/."))


def _instance(evidence: Evidence, flask: Module) -> str:
    """Where Flask puts its instance directory: beside the code, or in the environment for what is installed there."""
    top = flask.module.split(".")[0]
    return f"/{VENV}/var/{top}-instance" if top in evidence.packaged else f"{ROOT}/{flask.path}/instance"


def _as_flask_reads_it(write: Write, evidence: Evidence, flask: Module | None) -> Iterator[Write]:
    """Flask-SQLAlchemy takes a relative URL from the instance directory, before its version 3 from the application's own."""
    if not write.url or flask is None or not evidence.has("flask-sqlalchemy") or write.path.startswith(("/", ROOT, "\0")):
        yield write
        return
    yield replace(write, path=f"\0{INSTANCE}\0/{write.path}")
    yield replace(write, path=f"{ROOT}/{posixpath.dirname(flask.file)}/{write.path}")


def _kept(path: str, write: Write, launch: Launch, evidence: Evidence) -> _Kept | None:
    workdir = _workdir(evidence)
    if path == ROOT or path.startswith(f"{ROOT}/"):
        if not launch.needs_source:
            return None
        path = workdir + path[len(ROOT) :]
    path = posixpath.normpath(posixpath.join(workdir, path))
    if not usable(path) or (_within(path, [*_OURS]) and not path.startswith(f"/{VENV}/var/")):
        return None
    if path.startswith(f"{workdir}/"):
        return _Kept(path, path[len(workdir) + 1 :], write.what, write.directory)
    if _within(path, [*_SYSTEM]) and not path.startswith(f"/{VENV}/var/"):
        return None
    return _Kept(path, "", write.what, write.directory)


def _outermost(paths: list[str]) -> list[str]:
    return [path for path in dict.fromkeys(paths) if not any(other != path and _within(path, [other]) for other in paths)]


def _within(path: str, places: list[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)
