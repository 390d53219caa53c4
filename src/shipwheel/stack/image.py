"""An image of a service, and how the service runs in it: its process, its health check, its volumes and ports."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from shipwheel.container.path import ContainerPath
from shipwheel.container.venv import VENV
from shipwheel.engine.interface import Port
from shipwheel.engine.run_options import LOOPBACK, slug
from shipwheel.errors import UsageError
from shipwheel.oci.execution import ExecutionConfig
from shipwheel.oci.processes import process_command, read_health_path
from shipwheel.platform import Platform
from shipwheel.stack.model import (
    Condition,
    HealthCommand,
    HealthPath,
    HealthPort,
    ProjectSource,
    PulledImage,
    Service,
    ServiceHealth,
    ServiceVolume,
    Stack,
)

__all__ = ["PlacedService", "ServiceImage", "condition_of", "place", "place_all"]

_VERSION_LABEL = "io.shipwheel.version"
_PYTHON = f"/{VENV}/bin/python"

_ASK = (
    "import http.client, sys; "
    "connection = http.client.HTTPConnection('localhost', int(sys.argv[1]), timeout=5); "
    "connection.request('GET', sys.argv[2]); "
    "status = connection.getresponse().status; "
    "sys.exit(f'status {status}' if status >= 400 else 0)"
)
_CONNECT = "import socket, sys; socket.create_connection(('localhost', int(sys.argv[1])), timeout=5).close()"
"""Programs for the image's own Python: it has no shell."""


class ServiceImage(msgspec.Struct, frozen=True):
    """An image that an engine or a registry has: its name there, its config and its platform."""

    name: str
    config: ExecutionConfig
    platform: Platform
    project: str
    """The name of the project that it is of, or the last part of its repository's name."""

    @property
    def is_ours(self) -> bool:
        """True if shipwheel made it: then it has our Python, and runs without capabilities on a read-only root."""
        return _VERSION_LABEL in self.config.labels


class PlacedService(msgspec.Struct, frozen=True):
    """A service with its image, and with all that the two together decide."""

    service: Service
    image: ServiceImage
    entrypoint: tuple[str, ...] | None
    """The words in place of the image's Entrypoint and Cmd; None for its own."""
    ports: tuple[Port, ...]
    volumes: tuple[ServiceVolume, ...]
    health: ServiceHealth | None
    hardened: bool

    @property
    def health_command(self) -> tuple[str, ...]:
        """The words of the health check, a program in the container; empty if there is none."""
        match self.health:
            case HealthCommand(command):
                return command
            case HealthPath(path, port):
                return (_PYTHON, "-I", "-c", _ASK, str(port), path)
            case HealthPort(port):
                return (_PYTHON, "-I", "-c", _CONNECT, str(port))
        return ()

    @property
    def condition(self) -> Condition:
        """The state that those wait for who need it."""
        return condition_of(self.service.is_job, has_health=self.health is not None)


def condition_of(is_job: bool, *, has_health: bool) -> Condition:
    """Return the state of a service that others wait for."""
    return Condition.DONE if is_job else Condition.HEALTHY if has_health else Condition.STARTED


def place_all(stack: Stack, pull: Callable[[str, str], ServiceImage], build: Callable[[Path], ServiceImage]) -> tuple[PlacedService, ...]:
    """Return the services of a stack with their images. Each image is pulled once, then each project is built.

    `pull` gets the place that names the image, for errors, and its reference. Raises UsageError if the images of two projects have one
    name, of which the second would take the place, and as `place`.
    """
    pulled: dict[str, ServiceImage] = {}
    placed: dict[str, PlacedService] = {}
    # First: an image that does not exist, or that does not suit its service, should not come up behind a long build.
    for service in stack.services:
        if isinstance(service.source, PulledImage):
            reference = service.source.reference
            if reference not in pulled:
                pulled[reference] = pull(f"{stack.place}: services.{service.name}.image", reference)
            placed[service.name] = place(service, pulled[reference], stack.place)
    images: dict[Path, ServiceImage] = {}
    paths: dict[str, Path] = {}
    for path in stack.projects:
        images[path] = build(path)
        if (other := paths.setdefault(images[path].name, path)) != path:
            hint = 'Give one of them another name in its settings: name = "…", or tag.'
            raise UsageError(f"the images of {other} and {path} are both named {images[path].name}", hint=hint)
    for service in stack.services:
        if isinstance(service.source, ProjectSource):
            placed[service.name] = place(service, images[service.source.path], stack.place)
    return tuple(placed[service.name] for service in stack.services)


def place(service: Service, image: ServiceImage, origin: str) -> PlacedService:
    """Return a service with its image. `origin` names the file of the settings.

    Raises UsageError if the image lacks the process, if nothing in it can do the health check, or if its user could not write to a volume.
    """
    where = f"{origin}: services.{service.name}"
    process = service.source.process
    hardened = image.is_ours if service.hardened is None else service.hardened
    if image.is_ours:
        _check_volumes(service, image, where)
    return PlacedService(
        service,
        image,
        process_command(image.config, process, image.name) if not service.command else None,
        (*service.ports, *(_image_ports(image) if service.publishes_all else ())),
        tuple(_volumes(service, image)),
        _health(service, image, process, where),
        hardened,
    )


def _check_volumes(service: Service, image: ServiceImage, where: str) -> None:
    for volume in service.volumes:
        if volume.target not in image.config.volumes:
            hint = f'Add volumes = ["{volume.target}"] to the settings of the project that the image is of: then its user owns the path.'
            raise UsageError(f"{where}.volumes: {volume.target} is no volume of its image, so the app could not write there", hint=hint)


def _image_ports(image: ServiceImage) -> Iterator[Port]:
    return (Port(port.number, port.number, port.protocol, LOOPBACK) for port in image.config.exposed_ports if port.protocol != "sctp")


def _volumes(service: Service, image: ServiceImage) -> Iterator[ServiceVolume]:
    """Yield the service's volumes, and one for each other of the image: processes of one project share those."""
    yield from service.volumes
    owner = slug(image.project) if isinstance(service.source, ProjectSource) else service.name
    known = {volume.target for volume in service.volumes}
    for target in image.config.volumes:
        if target not in known:
            yield ServiceVolume(f"{owner}-{slug(target)}", ContainerPath(target))


def _health(service: Service, image: ServiceImage, process: str, where: str) -> ServiceHealth | None:
    """Return the check of a service: what the settings say, else what the image declares, else its first port."""
    if isinstance(service.health, HealthCommand) or service.is_job:
        return service.health
    port = next((port.number for port in image.config.exposed_ports if port.protocol == "tcp"), 0)
    if isinstance(service.health, HealthPath):
        if not image.is_ours:
            hint = 'Write a program of the image as a list of words: health = ["pg_isready"].'
            raise UsageError(f"{where}.health: {image.name} may have no Python that asks for a path", hint=hint)
        if not port:
            hint = "Add `ports` to the settings of the project that the image is of."
            raise UsageError(f"{where}.health: {image.name} declares no port to ask", hint=hint)
        return HealthPath(service.health.path, service.health.port or port)
    if not image.is_ours or not port or process != "web" or service.command:
        # Only the web server listens on the ports of the image.
        return None
    path = read_health_path(image.config.labels)
    return HealthPath(path, port) if path else HealthPort(port)
