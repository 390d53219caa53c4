"""An engine in memory, as far as stacks need one."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from shipwheel.engine.docker import Docker
from shipwheel.engine.group import ContainerGroup, GroupContainer, aside_name
from shipwheel.engine.interface import RunSpec
from shipwheel.engine.program import ProgramResult
from shipwheel.platform import Platform

__all__ = ["FakeGroup"]


class FakeGroup(ContainerGroup):
    """Containers, networks and volumes in memory. `calls` are the changes in their order."""

    def __init__(self) -> None:
        engine = Docker("26", Platform("linux", "amd64"), ())
        engine.start = self._start  # type: ignore[method-assign,assignment]
        super().__init__(engine, "stack", "shop")
        self.calls: list[str] = []
        self.there: dict[str, GroupContainer] = {}
        self.others: dict[str, GroupContainer] = {}
        """Containers that are not of the group."""
        self.own_networks: set[str] = set()
        self.own_volumes: dict[str, Mapping[str, str]] = {}
        self.taken: set[str] = set()
        """Names of networks and volumes of others."""
        self.unwell: set[str] = set()
        """Names of containers whose health check fails."""
        self.on_start: Callable[[RunSpec], int | None] = lambda _spec: None
        """Returns the exit code of a container that is started; None if it runs."""

    def _start(self, spec: RunSpec) -> None:
        self.calls.append(f"start {spec.name}")
        code = self.on_start(spec)
        self.there[spec.name] = GroupContainer(spec.name, spec.labels, code, 0, False, str(len(self.calls)), spec.ports)

    def containers(self) -> tuple[GroupContainer, ...]:
        return tuple(self.there.values())

    def container(self, name: str) -> GroupContainer | None:
        return self.there.get(name) or self.others.get(name)

    def networks(self) -> frozenset[str]:
        return frozenset(self.own_networks)

    def has_network(self, name: str) -> bool:
        return name in self.own_networks | self.taken

    def create_network(self, name: str) -> None:
        self.own_networks.add(name)

    def remove_networks(self, names: Sequence[str]) -> None:
        self.own_networks -= set(names)

    def volumes(self) -> Mapping[str, Mapping[str, str]]:
        return self.own_volumes

    def has_volume(self, name: str) -> bool:
        return name in self.own_volumes or name in self.taken

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        self.own_volumes[name] = labels

    def remove_volumes(self, names: Sequence[str]) -> None:
        for name in names:
            del self.own_volumes[name]

    def stop(self, name: str, grace: int = 10) -> None:
        self.calls.append(f"stop {name}")
        self.there[name] = msgspec.structs.replace(self.there[name], exit_code=143)

    def set_aside(self, name: str) -> None:
        self.stop(name)
        self.there[aside_name(name)] = msgspec.structs.replace(self.there.pop(name), name=aside_name(name))

    def bring_back(self, name: str) -> None:
        self.there[name] = msgspec.structs.replace(self.there.pop(aside_name(name)), name=name, exit_code=None)

    def remove(self, names: Sequence[str]) -> None:
        for name in names:
            self.there.pop(name, None)

    def exec(self, name: str, argv: Sequence[str], timeout: float) -> ProgramResult:
        return ProgramResult(argv[0], int(name in self.unwell), "", "refused" if name in self.unwell else "")

    def log(self, name: str) -> str:
        return f"{name} says this\n"
