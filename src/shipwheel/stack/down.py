"""Stop a stack."""

from shipwheel.engine.group import ContainerGroup
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted
from shipwheel.stack.containers import LABEL_SERVICE, own_volumes
from shipwheel.stack.model import Stack
from shipwheel.stack.up import check_owner

__all__ = ["stop_stack"]

_STAGE = "stop"


def stop_stack(stack: Stack, group: ContainerGroup, reporter: Reporter, *, volumes: bool) -> tuple[str, ...]:
    """Stop the containers of a stack, those started last first, and remove them and the network; with `volumes` also these.

    Return the names of the volumes that are left. Raises UsageError if another directory has a stack of that name.
    """
    found = group.containers()
    check_owner(stack, found, group)
    reporter(StageStarted(_STAGE, len(found)))
    for container in reversed(found):
        group.stop(container.name)
        reporter(Moved(_STAGE, container.name, 1, 1))
    group.remove([container.name for container in found])
    group.remove_networks(sorted(group.networks()))
    removed = sorted(own_volumes(stack, group)) if volumes else []
    if removed:
        group.remove_volumes(removed)
    names = ", ".join(container.labels.get(LABEL_SERVICE, container.name) for container in reversed(found)) or "nothing was running"
    reporter(StageFinished(_STAGE, f"{names}; removed the volumes {', '.join(removed)}" if removed else names, notable=True))
    return tuple(sorted(own_volumes(stack, group)))
