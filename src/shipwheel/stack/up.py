"""Start a stack in an engine, or change the one that runs into it. Either all of it runs afterwards, or all is as before."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress

import msgspec

from shipwheel.engine.group import ContainerGroup, GroupContainer, aside_name
from shipwheel.engine.interface import Port, RunSpec
from shipwheel.engine.run_options import is_free
from shipwheel.errors import EngineError, TrialError, UsageError
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted
from shipwheel.stack.containers import (
    LABEL_CONFIG,
    LABEL_ROOT,
    LABEL_SERVICE,
    check_of,
    container_name,
    is_job,
    is_own,
    network_name,
    own_volumes,
    volume_name,
)
from shipwheel.stack.image import PlacedService
from shipwheel.stack.model import ServiceVolume, Stack

__all__ = ["Desired", "Done", "check_owner", "check_stated", "is_well", "start_stack"]

_STAGE = "start"
_POLL_S = 0.3
_MAX_POLL_S = 1.5
"""Each look at a service starts a program in it, which slows down one that takes long to start."""

_SETTLE_S = 1.0
"""Seconds that a service without a health check has to run."""

_CHECK_TIMEOUT_S = 10.0
_LOG_LINES = 15

Explain = Callable[[str], str]
"""Returns what the output of a program says that it lacks, as sentences with a space at the end."""


class Desired(msgspec.Struct, frozen=True):
    """A service as it is to run."""

    placed: PlacedService
    spec: RunSpec

    @property
    def name(self) -> str:
        """The name of the service."""
        return self.placed.service.name


class Done(msgspec.Struct, frozen=True):
    """The services by what became of them."""

    started: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class _Undo(msgspec.Struct):
    """Everything that was made or set aside since the start, for the way back."""

    group: ContainerGroup
    containers: list[str] = msgspec.field(default_factory=list)
    aside: list[str] = msgspec.field(default_factory=list)
    """Containers under the names that they had."""
    networks: list[str] = msgspec.field(default_factory=list)
    volumes: list[str] = msgspec.field(default_factory=list)

    def undo(self) -> None:
        """Remove what was made, and let what was there run again."""
        self.group.remove(self.containers)
        for name in self.aside:
            self.group.bring_back(name)
        # What could not be made cannot be removed.
        with suppress(EngineError):
            self.group.remove_networks(self.networks)
        for name in self.volumes:
            with suppress(EngineError):
                self.group.remove_volumes([name])


def start_stack(stack: Stack, desired: Sequence[Desired], group: ContainerGroup, reporter: Reporter, explain: Explain) -> Done:
    """Make the engine run what is desired, each service behind those that it needs, and wait until all are well.

    A container that runs with the same image and settings stays, as does a job that is done. Another one is replaced, and one whose service
    is gone is removed. Raises UsageError if a port or a volume is another's, TrialError if a service ends or is not well in time; then, and
    after an interruption, everything is as before.
    """
    found = group.containers()
    check_owner(stack, found, group)
    there = {service: it for it in found if it.name == container_name(stack, service := _service(it))}
    new = [it for it in desired if not _is_current(it, there.get(it.name))]
    _check_names(stack, new, there, group)
    _check_ports(stack, desired, new, there, group)
    undo = _Undo(group)
    reporter(StageStarted(_STAGE, len(desired)))
    try:
        _make_network_and_volumes(stack, desired, group, undo)
        names = {it.name for it in new}
        well: set[str] = set()
        for each in desired:
            for need in each.placed.service.needs:
                _await_once(need, desired, group, explain, well, reporter)
            if each.name in names:
                _start(each, there.get(each.name), group, undo)
        for each in desired:
            _await_once(each.name, desired, group, explain, well, reporter)
    except BaseException:
        undo.undo()
        raise
    gone = there.keys() - {each.name for each in desired} - set(stack.inactive)
    group.remove(
        [aside_name(name) for name in undo.aside] + [it.name for it in found if there.get(_service(it)) != it or _service(it) in gone]
    )
    done = Done(
        started=tuple(it.name for it in new if it.name not in there),
        replaced=tuple(it.name for it in new if it.name in there),
        unchanged=tuple(it.name for it in desired if it.name not in names),
        removed=tuple(sorted(gone)),
    )
    reporter(StageFinished(_STAGE, _summary(done), notable=True))
    return done


def is_well(container: GroupContainer, group: ContainerGroup) -> bool:
    """Return whether a service runs and its health check succeeds now, or whether a job is done."""
    if is_job(container):
        return container.exit_code == 0
    return container.running and (not (command := check_of(container)) or group.exec(container.name, command, _CHECK_TIMEOUT_S).ok)


def check_owner(stack: Stack, there: Sequence[GroupContainer], group: ContainerGroup) -> None:
    """Raise UsageError if the containers are those of a stack with the same name in another directory."""
    engine = group.engine.name
    for container in there:
        root = container.labels.get(LABEL_ROOT, "")
        if not is_own(stack, root, group):
            hint = f"Stop that one: shipwheel down {root} --engine {engine}. Or give this one another name: the setting `name`."
            raise UsageError(f"{stack.place}: a stack {stack.name} of {root} is in {engine}", hint=hint)


def _service(container: GroupContainer) -> str:
    return container.labels.get(LABEL_SERVICE, "")


def _is_current(desired: Desired, container: GroupContainer | None) -> bool:
    if container is None or container.labels.get(LABEL_CONFIG) != desired.spec.labels[LABEL_CONFIG]:
        return False
    return container.running or (desired.placed.service.is_job and container.exit_code == 0)


def _check_names(stack: Stack, new: Sequence[Desired], there: Mapping[str, GroupContainer], group: ContainerGroup) -> None:
    """Raise UsageError for a container, volume or network that has a name of the stack and belongs to someone else."""
    engine = group.engine.name
    own, network = own_volumes(stack, group), network_name(stack)
    for each in new:
        if each.name not in there and group.container(each.spec.name) is not None:
            hint = f"Remove it: {engine} rm {each.spec.name}. Or give the project another name: the setting `name`."
            raise UsageError(f"{stack.place}: services.{each.name}: {engine} has another container {each.spec.name}", hint=hint)
        for volume in each.placed.volumes:
            _check_volume(stack, each.name, volume, own, group)
    if network not in group.networks() and group.has_network(network):
        hint = f"Remove it if nothing uses it: {engine} network rm {network}. Or give the project another name: the setting `name`."
        raise UsageError(f"{stack.place}: the network {network} of {engine} is not one of this stack", hint=hint)


def _check_ports(
    stack: Stack, desired: Sequence[Desired], new: Sequence[Desired], there: Mapping[str, GroupContainer], group: ContainerGroup
) -> None:
    """Raise UsageError for a port of this machine that two services want, or that another program has."""
    taken: dict[tuple[int, str], str] = {}
    for each in desired:
        for port in each.placed.ports:
            if (other := taken.get((port.host, port.protocol))) is not None:
                message = f"{stack.place}: services.{each.name}.ports: {other} publishes port {port.host} of this machine too"
                raise UsageError(message, hint=_other_port(port))
            taken[port.host, port.protocol] = each.name
            if each in new:
                _check_port(stack, each.name, port, there.values(), group)


def check_stated(stack: Stack, group: ContainerGroup) -> None:
    """Raise UsageError for a port or a volume in the settings that is another's: that is known before anything is built.

    `start_stack` looks again, and at those that only the images name.
    """
    found = group.containers()
    check_owner(stack, found, group)
    own = own_volumes(stack, group)
    for service in stack.services:
        for volume in service.volumes:
            _check_volume(stack, service.name, volume, own, group)
        # A job that is done needs its ports no more.
        for port in service.ports if not service.is_job else ():
            _check_port(stack, service.name, port, found, group)


def _check_volume(stack: Stack, service: str, volume: ServiceVolume, own: Collection[str], group: ContainerGroup) -> None:
    name, engine = volume_name(stack, volume.name), group.engine.name
    if name not in own and group.has_volume(name):
        hint = f"Name this one differently, or remove the other if nobody needs its data: {engine} volume rm {name}."
        raise UsageError(f"{stack.place}: services.{service}.volumes: the volume {name} of {engine} is not one of this stack", hint=hint)


def _check_port(stack: Stack, service: str, port: Port, there: Iterable[GroupContainer], group: ContainerGroup) -> None:
    """Raise UsageError for a port of this machine that neither is free nor held by a container of the stack."""
    is_held = any(port.host == other.host for it in there for other in it.ports)
    if not is_held and not group.engine.is_remote and not is_free(port):
        message = f"{stack.place}: services.{service}.ports: port {port.host} of this machine is taken"
        raise UsageError(message, hint=f"{_other_port(port)} `ss -ltnp` shows who uses it.")


def _other_port(port: Port) -> str:
    return f'Publish it under another number: ports = ["{_other(port.host)}:{port.container}"].'


def _other(port: int) -> int:
    return port + 1 if port < 65535 else port - 1


def _make_network_and_volumes(stack: Stack, desired: Sequence[Desired], group: ContainerGroup, undo: _Undo) -> None:
    network = network_name(stack)
    if network not in group.networks():
        undo.networks.append(network)
        group.create_network(network)
    known = set(own_volumes(stack, group))
    for name in (volume_name(stack, volume.name) for each in desired for volume in each.placed.volumes):
        if name not in known:
            known.add(name)
            undo.volumes.append(name)
            group.create_volume(name, {LABEL_ROOT: str(stack.root)})


def _start(each: Desired, before: GroupContainer | None, group: ContainerGroup, undo: _Undo) -> None:
    if before is not None:
        undo.aside.append(before.name)
        group.set_aside(before.name)
    undo.containers.append(each.spec.name)
    group.engine.start(each.spec)


def _await_once(name: str, desired: Sequence[Desired], group: ContainerGroup, explain: Explain, well: set[str], reporter: Reporter) -> None:
    """Wait until a service is well, unless it was before."""
    if name in well:
        return
    each = next(it for it in desired if it.name == name)
    _await(each, group, explain)
    well.add(name)
    reporter(Moved(_STAGE, name, 1, 1))


def _await(each: Desired, group: ContainerGroup, explain: Explain) -> None:
    """Wait until a service is well, or a job is done. Raise TrialError with the end of its output if it fails, or takes too long."""
    service, started, pause = each.placed.service, time.monotonic(), _POLL_S
    while True:
        container = group.container(each.spec.name)
        if container is None:
            raise EngineError(f"the container {each.spec.name} is gone", hint=f"Someone removed it. See {group.engine.name} ps -a.")
        ended = container.exit_code is not None and not service.is_job
        if ended or container.restarts or container.exit_code:
            raise _failed(each, container, _end(container), group, explain)
        seconds = time.monotonic() - started
        if is_well(container, group) and (service.is_job or each.placed.health is not None or seconds >= _SETTLE_S):
            return
        if seconds > service.start_timeout:
            what = "is not done" if service.is_job else "is not well"
            raise _failed(each, container, f"{what} after {service.start_timeout} s", group, explain)
        time.sleep(pause)
        pause = min(1.3 * pause, _MAX_POLL_S)


def _end(container: GroupContainer) -> str:
    if container.out_of_memory:
        return "was killed by the kernel since it took too much memory"
    # The status of one that runs again is gone.
    return f"ended with status {container.exit_code}" if container.exit_code is not None else "ended"


def _failed(each: Desired, container: GroupContainer, what: str, group: ContainerGroup, explain: Explain) -> TrialError:
    log, said = group.log(container.name), ""
    if container.running and (command := check_of(container)):
        said = group.exec(container.name, command, _CHECK_TIMEOUT_S).reason
    lines = [f"  its health check: {said}"] if said else []
    lines += [f"  {line}" for line in log.splitlines()[-_LOG_LINES:]]
    hint = f"{explain(log)}Nothing of this start is left; what ran before still runs. `shipwheel check` tries the image alone."
    return TrialError("\n".join((f"{each.name} {what}{':' if lines else ''}", *lines)), hint=hint)


def _summary(done: Done) -> str:
    parts = (("started", done.started), ("replaced", done.replaced), ("unchanged", done.unchanged), ("removed", done.removed))
    return ", ".join(f"{word} {', '.join(names)}" for word, names in parts if names)
