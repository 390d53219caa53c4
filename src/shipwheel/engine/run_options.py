"""The options of `shipwheel run`, as users write them: ports to publish, mounts, and variables."""

import errno
import os
import re
import shlex
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from shipwheel.container.path import ContainerPath, as_container_path
from shipwheel.engine.interface import Mount, Port
from shipwheel.errors import UsageError
from shipwheel.events import Reporter, Warned
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.oci.execution import ExposedPort

__all__ = [
    "add_image_ports",
    "add_image_volumes",
    "check_free",
    "check_host_ports",
    "is_free",
    "parse_engine_options",
    "parse_env",
    "parse_memory",
    "parse_mount",
    "parse_port",
    "read_env_file",
    "read_environment",
    "slug",
    "unwritable_directories",
]

LOOPBACK = "127.0.0.1"

_TAKEN = "is taken"
_SOCKET_TYPES = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}

_PORT = lazy_pattern(
    r"(?:(?:\[(?P<six>[0-9a-fA-F:]+)\]|(?P<four>\d{1,3}(?:\.\d{1,3}){3})):)?(?:(?P<host>\d{1,5}):)?(?P<inside>\d{1,5})(?:/(?P<kind>tcp|udp))?"
)
_VOLUME_NAME = lazy_pattern(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_DRIVE = lazy_pattern(r"[a-zA-Z]:[\\/]")


def parse_port(text: str) -> Port:
    """Parse `8080:8000`, `8000`, `127.0.0.1:8080:8000/tcp` or `[::1]:53:53/udp`. Raises UsageError for anything else."""
    match = _PORT.fullmatch(text.strip())
    numbers = [int(match[part]) for part in ("host", "inside") if match[part]] if match else []
    if match is None or not all(0 < number < 65536 for number in numbers):
        raise UsageError(f"-p {text}: not a port", hint="Write HOST:CONTAINER, for example 8080:8000, or ADDRESS:HOST:CONTAINER.")
    return Port(numbers[-1], numbers[0], match["kind"] or "tcp", match["six"] or match["four"] or "")


def add_image_ports(exposed: Iterable[ExposedPort], requested: Sequence[Port], reporter: Reporter) -> tuple[Port, ...]:
    """Return the requested ports, and the image's others under their own numbers on the loopback address.

    If a number is taken, or the user may not bind it, picks a free one and warns.
    """
    known = {(port.container, port.protocol) for port in requested}
    others = [port for port in exposed if port not in known and port.protocol in ("tcp", "udp")]
    return (*requested, *(_free_port(number, kind, reporter) for number, kind in others))


def check_host_ports(exposed: Iterable[ExposedPort], requested: Sequence[Port], engine: str, reporter: Reporter) -> tuple[Port, ...]:
    """Return the requested ports of a container in this machine's network, which cannot be remapped. Warns if one is taken.

    Raises UsageError if a port is requested under another number or address.
    """
    moved = [port for port in requested if port.host != port.container or port.address]
    if moved:
        hint = "Configure the app to listen elsewhere, or use docker or podman."
        raise UsageError(f"{engine} cannot remap port {moved[0].container}: its containers are in this machine's network", hint=hint)
    for number, kind in sorted({*exposed, *((port.container, port.protocol) for port in requested)}):
        if (problem := _bind_problem(number, kind)) is not None:
            hint = "Configure the app to listen elsewhere, or use docker or podman."
            reporter(Warned(f"port {number} {problem}, and {engine} cannot remap it", hint))
    return tuple(requested)


def is_free(port: Port) -> bool:
    """Return whether no program listens on a port of this machine."""
    return _bind_problem(port.host, port.protocol, port.address) != _TAKEN


def check_free(port: Port) -> None:
    """Raise UsageError if another program listens on the port that the user requested."""
    if is_free(port):
        return
    prefix = f"[{port.address}]:" if ":" in port.address else f"{port.address}:" if port.address else ""
    kind = "" if port.protocol == "tcp" else f"/{port.protocol}"
    other = f"-p {prefix}{_any_free_port(port.protocol)}:{port.container}{kind}"
    raise UsageError(
        f"-p {prefix}{port.host}:{port.container}{kind}: port {port.host} of this machine is taken",
        hint=f"Choose another, for example {other}. `ss -ltnp` and `docker ps` show who uses it.",
    )


def _any_free_port(kind: str) -> int:
    with socket.socket(socket.AF_INET, _SOCKET_TYPES[kind]) as probe:
        probe.bind((LOOPBACK, 0))
        number: int = probe.getsockname()[1]
    return number


def _free_port(number: int, kind: str, reporter: Reporter) -> Port:
    problem = _bind_problem(number, kind)
    if problem is None:
        return Port(number, number, kind, LOOPBACK)
    other = _any_free_port(kind)
    reporter(Warned(f"port {number} {problem}; using port {other} of this machine instead", f"Choose one yourself with -p HOST:{number}."))
    return Port(number, other, kind, LOOPBACK)


def _bind_problem(number: int, kind: str, address: str = LOOPBACK) -> str | None:
    """Return why a port of this machine cannot be bound, None if it can. An empty address means all of the machine's."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, _SOCKET_TYPES[kind]) as probe:
        if kind == "tcp":
            # Connections that were just closed do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, number))
        except OSError as error:
            return _TAKEN if error.errno == errno.EADDRINUSE else "needs more privileges"
    return None


def parse_mount(text: str) -> Mount:
    """Parse `NAME:/path`, `DIR:/path[:ro|:rw]` or `/path`. A source with a slash or a leading dot is a path on this machine.

    Raises UsageError for anything else, and for a path that does not exist, where docker would create a directory owned by root.
    """
    drive = text[:2] if _DRIVE.match(text) else ""
    source, *rest = text[len(drive) :].split(":")
    source = drive + source
    mode = rest.pop() if len(rest) == 2 else ""
    target = as_container_path(rest[0] if rest else source)
    if len(rest) > 1 or mode not in ("", "ro", "rw") or target is None:
        raise UsageError(f"-v {text}: not a volume", hint="Write NAME:/path/in/the/container or DIRECTORY:/path/in/the/container[:ro].")
    if not rest:
        return Mount("", target)
    if drive or "/" in source or source.startswith((".", "~")):
        path = Path(source).expanduser().absolute()
        if not path.exists():
            raise UsageError(f"-v {text}: {path} does not exist", hint="Create it, or use a name without a slash for a named volume.")
        return Mount(str(path), target, mode == "ro")
    if not _VOLUME_NAME.fullmatch(source):
        hint = "Names have two or more letters, digits, `_`, `.` and `-`."
        raise UsageError(f"-v {text}: {source!r} is not a valid volume name", hint=hint)
    return Mount(source, target, mode == "ro")


def add_image_volumes(volumes: Iterable[ContainerPath], requested: Sequence[Mount], project: str, *, ephemeral: bool) -> tuple[Mount, ...]:
    """Return the requested mounts, and a volume for each of the image's others.

    The volumes are named after the project, so that the next run finds their data, or are throwaway ones if `ephemeral`.
    """
    others = sorted({*volumes} - {mount.target for mount in requested})
    return (*requested, *(Mount("" if ephemeral else f"{slug(project)}-{slug(volume)}", volume) for volume in others))


def parse_memory(text: str) -> int:
    """Parse `512m`, `2g`, `1.5GiB` or a number of bytes, with docker's units. Raises UsageError for anything else."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([bkmgt]?)(?:i?b)?", text.strip().lower(), re.ASCII)
    amount = int(float(match[1]) * _UNITS[match[2]]) if match else 0
    if amount <= 0:
        raise UsageError(f"--memory {text}: not an amount of memory", hint="Write a number with a unit, for example 512m or 2g.")
    return amount


def parse_engine_options(texts: Iterable[str]) -> tuple[str, ...]:
    """Split `--engine-option`s into words as a shell does. Raises UsageError for one that does not begin with an option."""
    words: list[str] = []
    for text in texts:
        try:
            found = shlex.split(text)
        except ValueError:
            found = []
        # Another first word would stand for the image.
        if not found or not found[0].startswith("-") or found[0] == "--":
            raise UsageError(f"--engine-option {text}: not an option", hint='Write --engine-option="--shm-size 1g".')
        words += found
    return tuple(words)


def slug(text: str) -> str:
    """Return a name for a volume or container, of letters, digits and dashes."""
    return re.sub(r"[^a-zA-Z0-9]+", "-", text).strip("-").lower() or "app"


def unwritable_directories(mounts: Iterable[Mount], user: str) -> tuple[str, ...]:
    """Return the directories of this machine that are mounted writable and that a numeric `UID[:GID]` may not write to."""
    uid, _, gid = user.partition(":")
    if not uid.isdecimal() or uid == "0" or os.name == "nt":
        return ()
    group = int(gid) if gid.isdecimal() else int(uid)
    unwritable = []
    for mount in mounts:
        if mount.is_path and not mount.read_only and (path := Path(mount.source)).is_dir():
            status = path.stat()
            shift = 6 if status.st_uid == int(uid) else 3 if status.st_gid == group else 0
            if (status.st_mode >> shift) & 0o3 != 0o3:
                unwritable.append(mount.source)
    return tuple(unwritable)


def parse_env(texts: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Parse `NAME=VALUE`, and `NAME` for the value in `environment`; an unset one is left out. Raises UsageError for anything else."""
    variables: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or any(char.isspace() or char == "\0" for char in name) or "\0" in value:
            raise UsageError(f"-e {name}: not a variable", hint="Write -e NAME=VALUE.")
        if equals:
            variables[name] = value
        elif name in environment:
            variables[name] = environment[name]
    return variables


def read_environment(files: Iterable[Path], texts: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of files and of `-e`, which win. Raises UsageError for anything else."""
    variables: dict[str, str] = {}
    for file in files:
        variables |= read_env_file(file, environment)
    return variables | parse_env(texts, environment)


def read_env_file(path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Read a file of variables as docker does: one per line, values verbatim, `#` for comments, `NAME` for the value in `environment`.

    Raises UsageError that names the line and does not show it.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or error) if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"cannot read --env-file {path}: {reason}", hint="Name a file with one NAME=VALUE per line.") from error
    variables: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.lstrip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not name or "\0" in text or re.search(r"\s", name):
            raise UsageError(f"--env-file {path}, line {number}: not a variable", hint="Write NAME=VALUE, without spaces in the name.")
        if equals:
            variables[name] = value
        elif name in environment:
            variables[name] = environment[name]
    return variables
