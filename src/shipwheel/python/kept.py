"""What an app writes into its own directory, kept in volumes: the image's root may be read-only, and is gone with the container.

A directory becomes a volume. A file whose directory the app has other files in becomes a symbolic link into the volume /data.
"""

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from shipwheel.python.django import migration
from shipwheel.python.ignore import list_app
from shipwheel.python.launch import INITIAL, Evidence, Launch
from shipwheel.python.places import INSTANCE, ROOT, Places
from shipwheel.python.scan import Module
from shipwheel.python.venv import VENV
from shipwheel.python.writes import OPENED, Write

__all__ = ["read_beside", "with_kept"]

DATA = "/data"
_SYSTEM = ("/tmp", "/var/tmp", "/dev", "/proc", "/sys", "/run", "/etc", "/usr", "/bin", "/lib", "/opt", "/home", "/root", "/Users", "/mnt")  # noqa: S108
_MARKERS = frozenset({".gitkeep", ".gitignore", ".keep", ".empty", "README.md", "README", "README.txt", "__init__.py"})
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
    if evidence.settings.volumes or launch.is_program:
        return launch
    # The surest first, where there are too many.
    found = sorted(dict.fromkeys(_found(launch, evidence, modules)), key=lambda item: item.what == OPENED)[:_MOST]
    directories = [item for item in found if item.directory and not _holds_files(evidence, item)]
    files = [item for item in found if not item.directory]
    directories += [
        replace(item, path=posixpath.dirname(item.path), directory=True) for item in files if not _beside_others(evidence, item)
    ]
    places = _outermost([*launch.volumes, *(item.path for item in directories)])
    links = {item.local: item for item in files if _beside_others(evidence, item) and not _within(item.path, places)}
    there = _present(evidence, sorted(links))
    if evidence.settings.before_start:
        # The steps are the settings' own then, and nothing copies what is there.
        links = {local: item for local, item in links.items() if local not in there}
    if not links and len(places) == len(launch.volumes):
        return launch
    targets = {local: f"{DATA}/{local.replace('/', '-')}" for local in links}
    workdir = evidence.settings.workdir.rstrip("/")
    new = [place for place in places if place not in launch.volumes]
    copies = [_copied(f"{workdir}/{local}{INITIAL}", targets[local]) for local in there if local in links]
    steps = () if evidence.settings.before_start else (*copies, *migration(evidence, modules, "SQLite" in {item.what for item in found}))
    return replace(
        launch,
        volumes=(*launch.volumes, *([DATA] if links else []), *new),
        links=tuple(sorted(targets.items())),
        before_start=(*steps, *launch.before_start),
        notes=(*launch.notes, *_said([*links.values()], new)),
    )


def _said(links: list[_Kept], places: list[str]) -> Iterator[str]:
    if links:
        listed = ", ".join(f"{item.local} ({item.what})" for item in sorted(links, key=lambda item: item.local))
        yield f"What the app writes beside its code is in the volume {DATA}: {listed}."
    if places:
        yield f"The app writes to {', '.join(places)}: {'a volume' if len(places) == 1 else 'volumes'}."


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
    read = {path for path in _rooted(places, (text for module in own for text in module.spoken.joined)) if (evidence.root / path).exists()}
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
    workdir = evidence.settings.workdir.rstrip("/")
    below = path == ROOT or path.startswith(f"{ROOT}/")
    if below and not launch.needs_source:
        return None
    if path.startswith(f"{workdir}/"):
        path = path[len(workdir) + 1 :]
    if path.startswith("/"):
        if any(_within(path, [place]) for place in _SYSTEM) and not path.startswith(f"/{VENV}/var/"):
            return None
        return _Kept(path, "", write.what, write.directory) if write.directory or posixpath.dirname(path) != "/" else None
    local = path[2:] if below else path
    if write.what == OPENED and ((evidence.root / local).exists() or not (evidence.root / local).parent.is_dir()):
        # A file that is there may be made beforehand, by a program that is no part of the running app.
        return None
    if local in ("", ".") or any(part.startswith("~") for part in local.split("/")) or (evidence.root / local).is_dir() != write.directory:
        exists = bool(local) and (evidence.root / local).exists()
        if local in ("", ".") or exists or local.startswith("~"):
            return None
    return _Kept(f"{workdir}/{local}", local, write.what, write.directory)


def _beside_others(evidence: Evidence, item: _Kept) -> bool:
    """Whether a file lies in a directory that is in the image."""
    return bool(item.local) and (evidence.root / item.local).parent.is_dir()


def _holds_files(evidence: Evidence, item: _Kept) -> bool:
    """Whether a volume would hide files of the image."""
    folder = evidence.root / item.local if item.local else None
    if folder is None or not folder.is_dir() or all(path.name in _MARKERS for path in folder.iterdir()):
        return False
    return any(path.startswith(f"{item.local}/") and posixpath.basename(path) not in _MARKERS for path in _listed(evidence))


def _present(evidence: Evidence, files: list[str]) -> list[str]:
    there = [file for file in files if (evidence.root / file).is_file()]
    if not there:
        return []
    listed = _listed(evidence)
    return [file for file in there if file in listed]


def _listed(evidence: Evidence) -> frozenset[str]:
    settings = evidence.settings
    tree = list_app(evidence.root, include=settings.include, exclude=settings.exclude, only=evidence.only)
    return frozenset(file.path for file in tree.files)


def _copied(source: str, target: str) -> tuple[str, ...]:
    return ("python", "-c", f"import os, shutil; os.path.exists({target!r}) or shutil.copyfile({source!r}, {target!r})")


def _outermost(paths: list[str]) -> list[str]:
    return [path for path in dict.fromkeys(paths) if not any(other != path and _within(path, [other]) for other in paths)]


def _within(path: str, places: list[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)
