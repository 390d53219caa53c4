"""Containers, networks and volumes of docker or podman that belong together: each carries the same label.

The two programs agree in everything used here.
"""

import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from shipwheel.decoding import InvalidDocument, decode_json
from shipwheel.engine.interface import MAX_LOG_LINES, Engine, Port
from shipwheel.engine.program import ProgramResult, run_program
from shipwheel.errors import EngineError

__all__ = ["ContainerGroup", "GroupContainer", "aside_name"]

_REMOVE_TIMEOUT_S = 120.0


_Described = TypeVar("_Described")


class _State(msgspec.Struct, frozen=True, rename="pascal"):
    running: bool = False
    restarting: bool = False
    exit_code: int = 0
    out_of_memory: bool = msgspec.field(default=False, name="OOMKilled")


class _Config(msgspec.Struct, frozen=True, rename="pascal"):
    labels: dict[str, str] | None = None


class _HostConfig(msgspec.Struct, frozen=True, rename="pascal"):
    port_bindings: dict[str, list[dict[str, str]] | None] | None = None


class _Inspected(msgspec.Struct, frozen=True, rename="pascal"):
    """The parts of `container inspect` that are used."""

    name: str
    created: str
    state: _State
    config: _Config
    host_config: _HostConfig = _HostConfig()
    restart_count: int = 0


class _Volume(msgspec.Struct, frozen=True, rename="pascal"):
    """The parts of `volume inspect` that are used."""

    name: str
    labels: dict[str, str] | None = None


class GroupContainer(msgspec.Struct, frozen=True):
    """A container of a group. `exit_code` is None while it runs, and before it was started."""

    name: str
    labels: Mapping[str, str]
    exit_code: int | None
    restarts: int
    """Times that the engine started it again."""
    out_of_memory: bool
    created: str
    """The time of its creation, in a form that sorts."""
    ports: tuple[Port, ...]
    """Ports that it publishes on the engine's machine."""

    @property
    def running(self) -> bool:
        """True if its first process runs."""
        return self.exit_code is None


def aside_name(name: str) -> str:
    """Return the name of a container that waits to be replaced."""
    # No service can have this name: that of a service has no dot.
    return f"{name}.replaced"


class ContainerGroup:
    """The containers, networks and volumes with the label `name=value`. Every method raises EngineError if the engine fails."""

    def __init__(self, engine: Engine, name: str, value: str) -> None:
        if not engine.groups:
            hint = "Use docker or podman: --engine docker."
            raise EngineError(f"{engine.name} has no networks in which services find each other by name", hint=hint)
        self.engine = engine
        self._label = f"{name}={value}"

    def containers(self) -> tuple[GroupContainer, ...]:
        """Return the group's containers, the oldest first."""
        return self._inspect(self._lines("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={self._label}"))

    def container(self, name: str) -> GroupContainer | None:
        """Return a container by its name, of this group or not; None if there is none."""
        return next(iter(self._inspect([name])), None)

    def image_id(self, image: str) -> str:
        """Return the ID that the engine has for an image."""
        return self._checked("image", "inspect", "--format", "{{.Id}}", image).stdout.strip()

    def networks(self) -> frozenset[str]:
        """Return the names of the group's networks."""
        return frozenset(self._lines("network", "ls", "--format", "{{.Name}}", "--filter", f"label={self._label}"))

    def has_network(self, name: str) -> bool:
        """Return whether the engine has a network of this name, of this group or not."""
        return self._run("network", "inspect", name).ok

    def create_network(self, name: str) -> None:
        """Create a network of the group."""
        self._checked("network", "create", "--label", self._label, name)

    def remove_networks(self, names: Sequence[str]) -> None:
        """Remove networks that no container uses."""
        for name in names:
            self._checked("network", "rm", name)

    def volumes(self) -> Mapping[str, Mapping[str, str]]:
        """Return the labels of the group's volumes by their names."""
        names = self._lines("volume", "ls", "--quiet", "--filter", f"label={self._label}")
        found = self._described("volume", names, list[_Volume])
        return {it.name: it.labels or {} for it in found}

    def has_volume(self, name: str) -> bool:
        """Return whether the engine has a volume of this name, of this group or not."""
        return self._run("volume", "inspect", name).ok

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a volume of the group, with more labels."""
        more = (word for key, value in labels.items() for word in ("--label", f"{key}={value}"))
        self._checked("volume", "create", "--label", self._label, *more, name)

    def remove_volumes(self, names: Sequence[str]) -> None:
        """Remove volumes, with their data."""
        for name in names:
            self._checked("volume", "rm", name)

    def stop(self, name: str, grace: int = 10) -> None:
        """Stop a container: the stop signal, and the kill after `grace` seconds."""
        self._checked("stop", "-t", str(grace), name, timeout=_REMOVE_TIMEOUT_S + grace)

    def set_aside(self, name: str) -> None:
        """Stop a container and rename it to its `aside_name`: its own name is free for the one that replaces it."""
        self._run("rm", "--force", aside_name(name))
        self.stop(name)
        self._checked("rename", name, aside_name(name))

    def bring_back(self, name: str) -> None:
        """Undo `set_aside`, however far it came. The container runs again if it still can."""
        self._run("rename", aside_name(name), name)
        self._run("start", name)

    def remove(self, names: Sequence[str]) -> None:
        """Kill and remove containers with their throwaway volumes. Does nothing for those that are gone."""
        if names:
            self._run("rm", "--force", "--volumes", *names, timeout=_REMOVE_TIMEOUT_S)

    def exec(self, name: str, argv: Sequence[str], timeout: float) -> ProgramResult:
        """Run a program in a container. The status is 124 after `timeout` seconds."""
        return self._run("exec", name, *argv, timeout=timeout)

    def log(self, name: str) -> str:
        """Return the last MAX_LOG_LINES lines of a container's output."""
        return self._run("logs", "--tail", str(MAX_LOG_LINES), name, merge=True).stdout

    def read_logs(self, names: Sequence[str], lines: int | None, write: Callable[[str, str], None], *, follow: bool) -> None:
        """Pass lines of containers' output to `write`, each with the container's name: the last `lines`, all for None.

        With `follow` also what comes, until all have ended. `write` is called in one thread at a time.
        """
        tail = ["--tail", "all" if lines is None and self.engine.name == "docker" else str(-1 if lines is None else lines)]
        argvs = {name: [self.engine.name, "logs", *(["--follow"] if follow else []), *tail, name] for name in names}
        lock = threading.Lock()

        def read(name: str, process: "subprocess.Popen[str]") -> None:
            assert process.stdout is not None  # noqa: S101 - a pipe
            for line in process.stdout:
                with lock:
                    write(name, line.rstrip("\r\n"))

        processes = {name: _reader(argv) for name, argv in argvs.items()}
        try:
            threads = [threading.Thread(target=read, args=item, daemon=True) for item in processes.items()]
            for thread in threads:
                thread.start()
                if not follow:
                    # One after the other: without --follow the order of the services is easier to read.
                    thread.join()
            for thread in threads:
                thread.join()
        finally:
            for process in processes.values():
                process.kill()
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()

    def _inspect(self, names: Sequence[str]) -> tuple[GroupContainer, ...]:
        found = self._described("container", names, list[_Inspected])
        return tuple(sorted(map(_container, found), key=lambda it: it.created))

    def _described(self, kind: str, names: Sequence[str], form: type[list[_Described]]) -> list[_Described]:
        """Return what the engine says of objects, without those that were removed meanwhile."""
        if not names:
            return []
        # A missing one makes the status bad, but the others are printed.
        text = self._run(kind, "inspect", *names).stdout
        try:
            return decode_json(text or "[]", form)
        except InvalidDocument as error:
            raise EngineError(f"{self.engine.name} describes a {kind} in an unknown way: {error}", hint="Update it.") from error

    def _lines(self, *words: str) -> list[str]:
        return self._checked(*words).stdout.split()

    def _run(self, *words: str, timeout: float = 60.0, merge: bool = False) -> ProgramResult:
        return run_program([self.engine.name, *words], timeout=timeout, merge=merge)

    def _checked(self, *words: str, timeout: float = 60.0) -> ProgramResult:
        result = self._run(*words, timeout=timeout)
        if not result.ok:
            command = " ".join(words[:2])
            raise EngineError(f"{self.engine.name} {command} failed: {result.reason}", hint=f"Check {self.engine.name} ps -a.")
        return result


def _reader(argv: Sequence[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace"
    )


def _container(found: _Inspected) -> GroupContainer:
    up = found.state.running and not found.state.restarting
    return GroupContainer(
        name=found.name.removeprefix("/"),
        labels=found.config.labels or {},
        exit_code=None if up else found.state.exit_code,
        restarts=found.restart_count,
        out_of_memory=found.state.out_of_memory,
        created=found.created,
        ports=tuple(_ports(found.host_config.port_bindings or {})),
    )


def _ports(bindings: Mapping[str, list[dict[str, str]] | None]) -> Iterator[Port]:
    """Yield the ports in bindings such as `{"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8000"}]}`."""
    for inside, bound in bindings.items():
        number, _, protocol = inside.partition("/")
        for address in bound or ():
            host = address.get("HostPort", "")
            if number.isdecimal() and host.isdecimal():
                yield Port(int(number), int(host), protocol or "tcp", address.get("HostIp", ""))
