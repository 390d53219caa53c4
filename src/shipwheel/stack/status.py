"""The state of a stack's services in an engine."""

from enum import Enum

import msgspec

from shipwheel.engine.group import ContainerGroup, GroupContainer
from shipwheel.engine.interface import Port
from shipwheel.stack.containers import LABEL_SERVICE, check_of, is_job
from shipwheel.stack.model import Stack
from shipwheel.stack.up import check_owner, is_well

__all__ = ["ServiceState", "ServiceStatus", "stack_status"]


class ServiceState(Enum):
    """The state of a service, in words for people."""

    MISSING = "missing"
    """It has no container."""
    RUNNING = "running"
    """It runs, and has no health check."""
    WELL = "well"
    UNWELL = "unwell"
    """It runs, and its health check fails."""
    DONE = "done"
    """A job that succeeded."""
    ENDED = "ended"


class ServiceStatus(msgspec.Struct, frozen=True):
    """The state of one service."""

    name: str
    state: ServiceState
    restarts: int = 0
    exit_code: int | None = None
    ports: tuple[Port, ...] = ()

    @property
    def is_good(self) -> bool:
        """True if nobody needs to look at it."""
        return self.state in (ServiceState.RUNNING, ServiceState.WELL, ServiceState.DONE)


def stack_status(stack: Stack, group: ContainerGroup) -> tuple[ServiceStatus, ...]:
    """Return the state of each service, first those of the settings. Raises UsageError if another directory has a stack of that name."""
    found = group.containers()
    check_owner(stack, found, group)
    there = {it.labels.get(LABEL_SERVICE, it.name): it for it in found}
    # Nobody misses a service of a profile that was not started.
    names = dict.fromkeys((*(service.name for service in stack.services if not service.profiles), *there))
    return tuple(_status(name, there[name], group) if name in there else ServiceStatus(name, ServiceState.MISSING) for name in names)


def _status(name: str, container: GroupContainer, group: ContainerGroup) -> ServiceStatus:
    return ServiceStatus(name, _state(container, group), container.restarts, container.exit_code, container.ports)


def _state(container: GroupContainer, group: ContainerGroup) -> ServiceState:
    if container.exit_code is not None:
        return ServiceState.DONE if is_job(container) and container.exit_code == 0 else ServiceState.ENDED
    if not check_of(container):
        return ServiceState.RUNNING
    return ServiceState.WELL if is_well(container, group) else ServiceState.UNWELL
