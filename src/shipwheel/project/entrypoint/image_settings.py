"""The variables, volumes and ports that deployment files give a container, translated for our image."""

import posixpath
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from msgspec.structs import replace

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.container_settings import ContainerSettings
from shipwheel.project.deployment.secrets import has_credentials
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import Launch
from shipwheel.project.entrypoint.path_eval import is_plain_path
from shipwheel.project.entrypoint.project_paths import OWN_DIRECTORIES, SYSTEM_DIRECTORIES, is_within
from shipwheel.project.entrypoint.runnable import Runnable, is_encodable

__all__ = ["IMAGE_VARIABLE", "with_argument_volumes", "with_image_settings"]

IMAGE_VARIABLE = lazy_pattern(
    r"PYTHON(?!_?ENV)\w*|(PIP|PIPENV|POETRY|PDM|UV|LD|LC|NODE|NPM|YARN|APT|DEBIAN|HATCH)_.*|PATH|HOME|USER|SHELL|LANG|LANGUAGE|VIRTUAL_ENV"
    r"|GUNICORN_PID.*|TERM|TINI_VERSION"
)
"""Variables that describe another image or how it is built."""
_ABSOLUTE_PATH = lazy_pattern(r"(^|[:,=\s])/(?!/)|////")
_TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - paths in the image
_ALLOWED_PARENTS = ("/opt", "/home", "/mnt")
_NO_VOLUMES = frozenset({"/", "/var", "/var/lib", "/var/log", "/srv", *_ALLOWED_PARENTS})


def with_image_settings(launch: Launch, evidence: Evidence, declared: Sequence[ContainerSettings]) -> Launch:
    """Return the launch with what deployment files set for a container, the first of them before the others. What the launch has stays.

    A variable of one file may name a volume of another: ENV of a Dockerfile, what a compose file mounts.
    """
    mounted = tuple(path for settings in declared for path in _volumes(settings, evidence))
    for settings in declared:
        launch = _with_settings(launch, evidence, settings, mounted)
    return launch


def _volumes(settings: ContainerSettings, evidence: Evidence) -> Iterator[str]:
    """Yield the file's volumes in our image."""
    ours = dict.fromkeys(_in_our_image(path, settings, evidence) for path in settings.volumes)
    return (path for path in ours if _can_be_volume(path, evidence))


def _with_settings(launch: Launch, evidence: Evidence, settings: ContainerSettings, mounted: tuple[str, ...]) -> Launch:
    volumes = tuple(_volumes(settings, evidence))
    made = [path for path in settings.made if _in_our_image(path, settings, evidence) == path and _can_be_volume(path, evidence)]
    variables = dict(_variables(settings, evidence, (*mounted, *made)))
    used = [path for path in made if path not in volumes and any(is_within(value, [path]) for value in variables.values())]
    ports = launch.ports or (() if launch.is_program else tuple(f"{port}/tcp" for port in settings.ports))
    more = tuple(path for path in dict.fromkeys((*volumes, *used)) if not is_within(path, launch.volumes))
    paths = tuple(_python_path(settings)) if launch.needs_source else ()
    return replace(
        launch,
        ports=_with_udp(ports, settings) if not launch.is_program else ports,
        env={**variables, **launch.env},
        volumes=(*launch.volumes, *more),
        python_path=tuple(dict.fromkeys((*launch.python_path, *paths))),
        notes=(*launch.notes, *_withheld_note(settings, {*launch.env, *evidence.settings.env})),
    )


def _with_udp(ports: tuple[str, ...], settings: ContainerSettings) -> tuple[str, ...]:
    """Return the ports with those that the file exposes for UDP; the source does not tell the protocol of a port."""
    only_udp = {f"{number}/tcp" for number in settings.udp_ports if number not in settings.ports}
    return tuple(dict.fromkeys((*(port for port in ports if port not in only_udp), *(f"{number}/udp" for number in settings.udp_ports))))


def with_argument_volumes(launch: Launch, evidence: Evidence) -> Launch:
    """Return the launch with volumes for the directories outside the project that its command names: `--data-dir /data`."""
    words = (word.rpartition("=")[2] for word in (*launch.command[1:], *launch.arguments))
    paths = (word.rstrip("/") for word in words if word.startswith("/") and "." not in posixpath.basename(word))
    found = (path for path in paths if _can_be_volume(path, evidence) and not is_within(path, [*launch.volumes, evidence.workdir]))
    return replace(launch, volumes=(*launch.volumes, *dict.fromkeys(found))) if not launch.is_program and launch.declared_at else launch


def _variables(settings: ContainerSettings, evidence: Evidence, data: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield the variables, without those about another image and paths in it. `data` are directories of our image."""
    runnable = Runnable(evidence, settings.files)
    for name, value in settings.variables.items():
        translated = runnable.value(value)
        if translated == value and is_within(inside := _in_our_image(value, settings, evidence), data):
            translated = inside
        if IMAGE_VARIABLE.fullmatch(name) or not is_encodable((translated or "x",)) or has_credentials(translated):
            continue
        in_project = any(runnable.files.project_path(part) is not None for part in value.split(":"))
        in_image = in_project or translated != value or is_within(value, (*data, *_TEMPORARY))
        if in_image or not _ABSOLUTE_PATH.search(value):
            yield name, translated


def _in_our_image(path: str, settings: ContainerSettings, evidence: Evidence) -> str:
    """Return where a directory is in our image, which may not exist yet: below the project's, or at the same place."""
    if settings.home not in ("", "/") and path.startswith(f"{settings.home}/"):
        return posixpath.join(evidence.workdir or "/", path[len(settings.home) + 1 :])
    # The image may have a folder of the project at that place, and not its root.
    for parent in map(str, PurePosixPath(path).parents) if not settings.home else ():
        if parent != "/" and (folder := settings.files.project_path(parent)) is not None:
            return posixpath.normpath(posixpath.join(evidence.workdir or "/", folder, posixpath.relpath(path, parent)))
    return posixpath.normpath(path)


def _can_be_volume(path: str, evidence: Evidence) -> bool:
    """Return whether a declared directory can be a volume that hides nothing of the image."""
    if not is_plain_path(path) or path in _NO_VOLUMES or path == evidence.workdir:
        return False
    if is_within(path, [evidence.workdir]):
        return not evidence.has_entries(path[len(evidence.workdir) + 1 :])
    if path == f"/etc/{evidence.name}":
        return True  # the app's own configuration: nothing of the system has the project's name
    fixed = (*(it for it in SYSTEM_DIRECTORIES if it not in _ALLOWED_PARENTS), *OWN_DIRECTORIES, "/var/lib/apt", "/var/cache")
    return not is_within(path, fixed) and not is_within(evidence.workdir, [path])


def _python_path(settings: ContainerSettings) -> Iterator[str]:
    for part in settings.python_path:
        path = settings.files.project_path(part)
        if path is not None:
            yield "" if path == "." else path


def _withheld_note(settings: ContainerSettings, given: set[str]) -> Iterator[str]:
    names = ", ".join(name for name in settings.withheld if name not in given)
    if names:
        yield (
            f"{settings.place}: the values of {names} are not in the image: they may be secret, or name another service."
            " Set them when you start the container."
        )
