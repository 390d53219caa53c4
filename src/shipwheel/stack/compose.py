"""A stack as a compose file (the compose specification, https://github.com/compose-spec/compose-spec), for docker compose and podman."""

from collections.abc import Iterator, Sequence
from typing import Any

from shipwheel.made_files import head_for
from shipwheel.stack.image import PlacedService
from shipwheel.stack.model import SECRETS_DIRECTORY, Stack, pieces
from shipwheel.stack.yaml_file import yaml_documents

__all__ = ["SECRETS_FOLDER", "compose_document", "compose_file"]

SECRETS_FOLDER = "secrets"
"""The directory beside the compose file with a file for each secret."""

_INTERVAL = "5s"
_TIMEOUT = "10s"


def compose_file(stack: Stack, placed: Sequence[PlacedService]) -> str:
    """Return the text of a compose file. The names of the images should have digests."""
    return head_for("compose") + yaml_documents([compose_document(stack, placed)])


def compose_document(stack: Stack, placed: Sequence[PlacedService]) -> dict[str, Any]:
    """Return a compose file as a value of the JSON kinds."""
    by_name = {it.service.name: it for it in placed}
    volumes = dict.fromkeys(volume.name for it in placed for volume in it.volumes)
    secrets = dict.fromkeys(name for it in placed for name in it.service.secrets)
    document: dict[str, Any] = {"name": stack.name, "services": {name: dict(_service(it, by_name)) for name, it in by_name.items()}}
    if volumes:
        document["volumes"] = {name: {} for name in volumes}
    if secrets:
        # Not from a variable: docker compose cannot copy such a secret into a container with a read-only root.
        document["secrets"] = {name: {"file": f"./{SECRETS_FOLDER}/{name}"} for name in secrets}
    return document


def _service(placed: PlacedService, by_name: dict[str, PlacedService]) -> Iterator[tuple[str, Any]]:
    service, image = placed.service, placed.image
    yield "image", image.name
    if "@" not in image.name:
        # Nothing but this machine has it.
        yield "pull_policy", "never"
    if placed.entrypoint is not None:
        yield "entrypoint", _words(placed.entrypoint)
        yield "command", []
    elif service.command:
        yield "command", _words(service.command)
    env = {**{f"{name}_FILE": f"{SECRETS_DIRECTORY}/{name}" for name in service.secrets}, **{k: _value(v) for k, v in service.env.items()}}
    if env:
        yield "environment", env
    if placed.ports:
        yield "ports", [_port(port.container, port.host, port.protocol, port.address) for port in placed.ports]
    if placed.volumes:
        yield "volumes", [{"type": "volume", "source": volume.name, "target": _literal(volume.target)} for volume in placed.volumes]
    if service.secrets:
        yield "secrets", list(service.secrets)
    if placed.health_command:
        yield "healthcheck", _check(placed)
    if service.needs:
        yield "depends_on", {name: {"condition": by_name[name].condition.value} for name in service.needs}
    if service.profiles:
        yield "profiles", list(service.profiles)
    yield "restart", "no" if service.is_job else "unless-stopped"
    yield from _confinement(placed)


def _check(placed: PlacedService) -> dict[str, Any]:
    # The form that needs no shell in the image.
    test = ["CMD", *_words(placed.health_command)]
    return {"test": test, "interval": _INTERVAL, "timeout": _TIMEOUT, "retries": 3, "start_period": f"{placed.service.start_timeout}s"}


def _confinement(placed: PlacedService) -> Iterator[tuple[str, Any]]:
    if placed.image.is_ours and placed.image.config.user:
        yield "user", _literal(placed.image.config.user)
    if placed.hardened:
        yield "read_only", True
        yield "tmpfs", ["/tmp"]  # noqa: S108 - in the container
        yield "cap_drop", ["ALL"]
    yield "security_opt", ["no-new-privileges:true"]
    if placed.service.cpus is not None:
        yield "cpus", placed.service.cpus
    if placed.service.memory is not None:
        yield "mem_limit", placed.service.memory


def _port(target: int, published: int, protocol: str, address: str) -> dict[str, Any]:
    host = {"host_ip": address} if address else {}
    return {"target": target, "published": str(published), **host, "protocol": protocol}


def _words(words: Sequence[str]) -> list[str]:
    return [_literal(word) for word in words]


def _literal(text: str) -> str:
    """Return a text that stays as it is; a dollar sign is doubled, since compose replaces what follows a single one."""
    return text.replace("$", "$$")


def _value(text: str) -> str:
    """Return a value of `env` with its variables, which compose refuses to leave empty."""
    return "".join(f"{_literal(literal)}{f'${{{name}:?set {name}}}' if name else ''}" for literal, name in pieces(text))
