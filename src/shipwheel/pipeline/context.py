"""The constants of one build: the project, where files come from, where layers go, the bytecode compiler."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from shipwheel.base.model import Bases
from shipwheel.events import Reporter, Warned
from shipwheel.pipeline.compiler import bytecode_compiler
from shipwheel.pipeline.destination import Destination
from shipwheel.pipeline.downloads import Downloads
from shipwheel.pipeline.layer_processes import layer_processes
from shipwheel.pipeline.layer_supply import LayerSupply
from shipwheel.pipeline.layers import LayerPlanner
from shipwheel.pipeline.local_builds import LocalBuilds
from shipwheel.pipeline.resolve import Resolution
from shipwheel.project.project import Project
from shipwheel.request import Request
from shipwheel.store.store import Store
from shipwheel.wheels.bytecode import Interpreter

__all__ = ["BuildContext", "build_context"]


class BuildContext(msgspec.Struct, frozen=True):
    """The constants of one build."""

    project: Project
    store: Store
    reporter: Reporter
    downloads: Downloads
    local: LocalBuilds
    supply: LayerSupply
    planner: LayerPlanner
    destination: Destination | None


@contextmanager
def build_context(
    request: Request, bases: Bases, resolution: Resolution, destination: Destination | None, interpreter: Interpreter | None = None
) -> Iterator[BuildContext]:
    """Yield the context of a build; the interpreters that compile bytecode end with the block.

    `interpreter` compiles if it is known that the preferred one does not start.
    """
    project, platforms, store, reporter = resolution.project, resolution.platforms, request.store, request.reporter
    downloads = Downloads(project, bases.archive, store, reporter, request.workers)
    local = LocalBuilds(resolution, downloads, store, reporter, request.workers)
    with (
        bytecode_compiler(project, platforms, downloads, store, reporter, request.workers, interpreter) as compiler,
        layer_processes(store, compiler, request.workers) as processes,
    ):
        supply = LayerSupply(platforms, downloads, local, destination, store, reporter, request.workers, processes)
        planner = LayerPlanner(project, store, compiler, _imports(resolution, reporter))
        yield BuildContext(project, store, reporter, downloads, local, supply, planner, destination)


def _imports(resolution: Resolution, reporter: Reporter) -> Mapping[str, tuple[str, ...]] | None:
    """Return the modules to compile by package, None for all; a warning says that no start was recorded."""
    if resolution.project.settings.bytecode != "used":
        return None
    if resolution.lock.imports is None:
        name = resolution.lock.path.name
        message = f'bytecode = "used", but {name} does not say which modules a start imports: all are compiled'
        reporter(Warned(message, "Let `shipwheel startup --record` start the image and write it down."))
    return resolution.lock.imports
