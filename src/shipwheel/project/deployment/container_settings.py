"""The variables, volumes, ports and health check that a deployment file gives a container, as they are written there."""

import posixpath
from collections.abc import Iterator, Mapping

import msgspec

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.find_dockerfile import Dockerfile
from shipwheel.project.deployment.process import ProcessFiles

__all__ = ["ContainerSettings", "dockerfile_settings", "health_path"]

_URL_PATH = lazy_pattern(
    r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\]|\$\{?\w+\}?|\{\w+\})"
    r"(?::(?:\d+|\$\{?[\w:-]+\}?|\{[^{}]+\}|%[ds]))?(:)?(/[\w./~-]*)?"
)
"""The URL of a health check, also one that a program fills in: `{port}`. A colon behind it begins a port that is not understood."""


class ContainerSettings(msgspec.Struct, frozen=True):
    """The settings that a deployment file gives a container."""

    place: str
    """The file, and the line if it is known, for messages."""
    files: ProcessFiles
    home: str = ""
    """The directory of the container that is the project's; empty if there is none."""
    variables: Mapping[str, str] = msgspec.field(default_factory=dict)
    withheld: tuple[str, ...] = ()
    """Names of variables that may be secret, name a companion, or have no value in the file."""
    volumes: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    """Directories that are made for data; one that a variable names is a volume."""
    ports: tuple[str, ...] = ()
    """TCP ports."""
    python_path: tuple[str, ...] = ()
    """Absolute directories of PYTHONPATH."""
    health: str = ""
    """The path of a URL that tells that the app is well; empty if there is none."""
    udp_ports: tuple[str, ...] = ()


def dockerfile_settings(dockerfile: Dockerfile) -> ContainerSettings:
    """Return the settings that a Dockerfile gives every container."""
    stage = dockerfile.stage
    variables = dict(stage.variables)
    return ContainerSettings(
        dockerfile.name,
        dockerfile.files,
        dockerfile.files.home,
        {name: value for name, value in variables.items() if name != "PYTHONPATH"},
        stage.secrets,
        stage.volumes,
        tuple(_made_directories(dockerfile)),
        stage.ports,
        tuple(part for part in variables.get("PYTHONPATH", "").split(":") if part.startswith("/")),
        health_path(stage.health),
        stage.udp_ports,
    )


def health_path(command: str) -> str:
    """Return the path that a health check asks for over HTTP; empty if it asks for none, or for one that is not understood."""
    match = _URL_PATH.search(command)
    return (match[2] or "/") if match and not match[1] else ""


def _made_directories(dockerfile: Dockerfile) -> Iterator[str]:
    """Yield the directories that instructions make and leave empty."""
    filled = [copy.target.rstrip("/") for copy in dockerfile.stage.copies]
    for command in dockerfile.stage.runs:
        if command.words[0] == "mkdir" and not command.doubt:
            for word in command.words[1:]:
                path = posixpath.normpath(posixpath.join(command.directory or "/", word))
                if not word.startswith("-") and not any(f"{target}/".startswith(f"{path}/") for target in filled):
                    yield path
