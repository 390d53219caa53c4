"""The containers of a stack: what an engine is asked to run, and under which names and labels."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from shipwheel.container.path import ContainerPath
from shipwheel.decoding import decode_json
from shipwheel.digest import sha256_of
from shipwheel.engine.group import ContainerGroup, GroupContainer
from shipwheel.engine.interface import Mount, RunSpec
from shipwheel.stack.image import PlacedService
from shipwheel.stack.model import SECRETS_DIRECTORY, Stack, expand
from shipwheel.stack.secrets import secret_file

__all__ = [
    "LABEL_CHECK",
    "LABEL_CONFIG",
    "LABEL_JOB",
    "LABEL_ROOT",
    "LABEL_SERVICE",
    "LABEL_STACK",
    "check_of",
    "container_name",
    "is_job",
    "is_own",
    "network_name",
    "own_volumes",
    "run_spec",
    "volume_name",
]

LABEL_STACK = "io.shipwheel.stack"
LABEL_SERVICE = "io.shipwheel.service"
LABEL_ROOT = "io.shipwheel.root"
"""Label of a container or volume: the directory of the project whose stack it is in."""
LABEL_CONFIG = "io.shipwheel.service-config"
"""Label of a container: a digest of all that it was started with. Another one means another container."""


LABEL_CHECK = "io.shipwheel.service-check"
"""Label of a container: the words of its health check, a JSON list."""
LABEL_JOB = "io.shipwheel.service-job"
"""Label of a container: `true` for a one-time job."""


def container_name(stack: Stack, service: str) -> str:
    """Return the name of a service's container."""
    return f"{stack.name}-{service}"


def network_name(stack: Stack) -> str:
    """Return the name of the stack's network."""
    return f"{stack.name}-stack"


def volume_name(stack: Stack, volume: str) -> str:
    """Return the name that the engine has for a volume of the stack."""
    return f"{stack.name}_{volume}"


def run_spec(stack: Stack, placed: PlacedService, image_id: str, variables: Mapping[str, str], secrets: Path) -> RunSpec:
    """Return the container of a service. `secrets` is the directory of this machine with a file for each secret."""
    service, image = placed.service, placed.image
    files = {name: f"{SECRETS_DIRECTORY}/{name}" for name in service.secrets}
    env = {**{f"{name}_FILE": path for name, path in files.items()}}
    env |= {name: expand(value, variables) for name, value in service.env.items()}
    spec = RunSpec(
        image=image.name,
        config=image.config,
        platform=image.platform,
        name=container_name(stack, service.name),
        args=service.command,
        entrypoint=placed.entrypoint,
        ports=placed.ports,
        mounts=(
            *(Mount(volume_name(stack, volume.name), volume.target) for volume in placed.volumes),
            *(Mount(str(secret_file(secrets, name, variables[name])), ContainerPath(path), read_only=True) for name, path in files.items()),
        ),
        env=env,
        read_only=placed.hardened,
        tmpfs=(ContainerPath("/tmp"),) if placed.hardened else (),  # noqa: S108 - in the container
        no_privileges=placed.hardened,
        no_new_privileges=True,
        network=network_name(stack),
        aliases=(service.name,),
        restarts=not service.is_job,
        cpus=service.cpus,
        memory=service.memory,
    )
    values = {name: variables[name] for name in sorted(service.variables)}
    config = sha256_of(msgspec.json.encode((image_id, str(stack.root), spec, values), order="deterministic"))
    labels = {
        LABEL_STACK: stack.name,
        LABEL_SERVICE: service.name,
        LABEL_ROOT: str(stack.root),
        LABEL_CONFIG: config,
        LABEL_CHECK: msgspec.json.encode(placed.health_command).decode(),
        LABEL_JOB: "true" if service.is_job else "false",
    }
    return msgspec.structs.replace(spec, labels=labels)


def own_volumes(stack: Stack, group: ContainerGroup) -> frozenset[str]:
    """Return the names of the volumes that the stack has made. One of the same name in another directory has volumes of its own."""
    return frozenset(name for name, labels in group.volumes().items() if is_own(stack, labels.get(LABEL_ROOT, str(stack.root)), group))


def is_own(stack: Stack, root: str, group: ContainerGroup) -> bool:
    """Return whether a stack's label `root` is that of its directory, or of one that is gone here: the project may have moved."""
    return root == str(stack.root) or (not group.engine.is_remote and _is_gone(root))


def _is_gone(path: str) -> bool:
    """Return whether a directory is known to be gone: one that cannot be looked at is another user's."""
    try:
        Path(path).stat()
    except OSError as error:
        return isinstance(error, (FileNotFoundError, NotADirectoryError))
    return False


def is_job(container: GroupContainer) -> bool:
    """Return whether a container is that of a one-time job."""
    return container.labels.get(LABEL_JOB) == "true"


def check_of(container: GroupContainer) -> tuple[str, ...]:
    """Return the words of a container's health check; empty if it has none."""
    return decode_json(container.labels.get(LABEL_CHECK, "[]"), tuple[str, ...])
