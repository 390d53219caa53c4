"""The variables, volumes and ports that a Dockerfile gives every container, translated for our image."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from shipwheel.project.deployment.find_dockerfile import Dockerfile
from shipwheel.project.deployment.secrets import has_credentials
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import Launch
from shipwheel.project.entrypoint.path_eval import is_plain_path
from shipwheel.project.entrypoint.project_paths import OWN_DIRECTORIES, SYSTEM_DIRECTORIES, is_within
from shipwheel.project.entrypoint.runnable import Runnable, is_encodable

__all__ = ["with_image_settings"]

_IMAGE_VARIABLE = re.compile(
    r"PYTHON(?!_?ENV)\w*|(PIP|PIPENV|POETRY|PDM|UV|LD|LC|NODE|NPM|YARN|APT|DEBIAN|HATCH)_.*|PATH|HOME|USER|SHELL|LANG|LANGUAGE|VIRTUAL_ENV"
    r"|GUNICORN_PID.*|TERM|TINI_VERSION"
)
"""Variables that describe the Dockerfile's own image or how it is built."""
_ABSOLUTE_PATH = re.compile(r"(^|[:,=\s])/(?!/)|////")
_TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - paths in the image


def with_image_settings(launch: Launch, evidence: Evidence, dockerfile: Dockerfile) -> Launch:
    """Return the launch with what the Dockerfile sets for every container. What the launch has itself stays."""
    runnable = Runnable(evidence, dockerfile.files)
    volumes = tuple(dict.fromkeys(_volumes(dockerfile, evidence)))
    data = (*volumes, *_made_directories(dockerfile, runnable, evidence))
    variables = dict(_variables(dockerfile, runnable, data))
    used = [path for path in data if path not in volumes and any(is_within(value, [path]) for value in variables.values())]
    ports = launch.ports or tuple(f"{port}/tcp" for port in dockerfile.stage.ports)
    declared = (*volumes, *used)
    return replace(
        launch,
        ports=ports if not launch.is_program else launch.ports,
        env={**variables, **launch.env},
        volumes=(*launch.volumes, *(path for path in declared if not is_within(path, launch.volumes))),
        python_path=tuple(dict.fromkeys((*launch.python_path, *_python_path(dockerfile)))) if launch.needs_source else launch.python_path,
        notes=(*launch.notes, *_secret_notes(dockerfile, evidence)),
    )


def _variables(dockerfile: Dockerfile, runnable: Runnable, data: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield the variables, without those about the Dockerfile's own image and paths in it."""
    for name, value in dockerfile.stage.variables:
        translated = runnable.value(value)
        if _IMAGE_VARIABLE.fullmatch(name) or not is_encodable((translated or "x",)) or has_credentials(translated):
            continue
        in_image = translated != value or is_within(value, (*data, *_TEMPORARY))
        if in_image or not _ABSOLUTE_PATH.search(value):
            yield name, translated


def _volumes(dockerfile: Dockerfile, evidence: Evidence) -> Iterator[str]:
    for path in dockerfile.stage.volumes:
        volume = _in_our_image(path, dockerfile, evidence)
        if _can_be_volume(volume, evidence):
            yield volume


def _in_our_image(path: str, dockerfile: Dockerfile, evidence: Evidence) -> str:
    """Return where a directory is in our image, which may not exist yet: below the project's, or at the same place."""
    home = dockerfile.files.home
    if home not in ("", "/") and path.startswith(f"{home}/"):
        return posixpath.join(evidence.workdir or "/", path[len(home) + 1 :])
    return path


def _made_directories(dockerfile: Dockerfile, runnable: Runnable, evidence: Evidence) -> Iterator[str]:
    """Yield the directories that instructions make for data: outside the project and the system."""
    for command in dockerfile.stage.runs:
        if command.words[0] == "mkdir" and not command.doubt:
            for word in command.words[1:]:
                path = posixpath.normpath(posixpath.join(command.directory or "/", word))
                if not word.startswith("-") and runnable.files.project_path(path) is None and _can_be_volume(path, evidence):
                    yield path


def _can_be_volume(path: str, evidence: Evidence) -> bool:
    """Return whether a declared directory can be a volume that hides nothing of the image."""
    fixed = (*(it for it in SYSTEM_DIRECTORIES if it not in ("/opt", "/home", "/mnt")), *OWN_DIRECTORIES, "/var/lib/apt", "/var/cache")
    if not is_plain_path(path) or path in ("/", "/opt", "/home", "/mnt", "/var", "/var/lib", "/var/log", "/srv", evidence.workdir):
        return False
    if is_within(path, [evidence.workdir]):
        return not evidence.has_entries(path[len(evidence.workdir) + 1 :])
    return not is_within(path, fixed) and not is_within(evidence.workdir, [path])


def _python_path(dockerfile: Dockerfile) -> Iterator[str]:
    variables: Mapping[str, str] = dict(dockerfile.stage.variables)
    for part in variables.get("PYTHONPATH", "").split(":"):
        path = dockerfile.files.project_path(part) if part.startswith("/") else None
        if path is not None and (dockerfile.files.project / path).is_dir():
            yield "" if path == "." else path


def _secret_notes(dockerfile: Dockerfile, evidence: Evidence) -> Iterator[str]:
    names = ", ".join(name for name in dockerfile.stage.secrets if name not in evidence.settings.env)
    if names:
        yield f"Variables of {dockerfile.name} that may be secret are not in the image: {names}. Set them when you start the container."
