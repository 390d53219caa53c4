"""A build without its layers: what they will hold, and whether the build would be refused.

Wheels are built from sources, since only that shows whether they need a compiler; the build finds them in the store. The programs that the
image starts are looked for where they probably are, such as uvicorn in the wheel of that name. Only if they are not found there, all
stages of the build run up to the proof, which then has the last word.
"""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from shipwheel.base.standalone_archive import StandaloneSource
from shipwheel.debian.generated_base import GeneratedBase
from shipwheel.debian.package import DebSource
from shipwheel.digest import Digest
from shipwheel.events import stage
from shipwheel.files.entry import Source
from shipwheel.files.segment import load_segment_metadata
from shipwheel.oci.layer import LayerSpec, find_layer
from shipwheel.oci.layer_text import layer_texts
from shipwheel.pipeline.app_source import AppSource
from shipwheel.pipeline.assets import AssetsSource
from shipwheel.pipeline.build import complete, make_app_layers, plan_app_layers, retry_damaged, with_context
from shipwheel.pipeline.context import BuildContext
from shipwheel.pipeline.programs import missing_programs, paths_of
from shipwheel.pipeline.prove import image_path, parent_segments, prove_image
from shipwheel.pipeline.resolve import Resolution
from shipwheel.pipeline.stages import Closed, Layered
from shipwheel.pipeline.step_layers import with_steps
from shipwheel.request import Request
from shipwheel.wheels.bytecode import BytecodeSource
from shipwheel.wheels.wheel import WheelSource

__all__ = ["PlannedLayer", "Preview", "preview"]

_SIMILAR = 0.6
"""The similarity, from 0 to 1, of a program's name and that of the package that brings it."""


class PlannedLayer(msgspec.Struct, frozen=True):
    """A layer that the build will make. `size` is in bytes: the layer's own if `made`, else that of the files that it is made from."""

    name: str
    contents: tuple[str, ...]
    size: int
    made: bool


class Preview(msgspec.Struct, frozen=True):
    """The resolution of a request, and the layers of each of its platforms, bottom first, with those of a base image."""

    resolution: Resolution
    layers: tuple[tuple[PlannedLayer, ...], ...]
    ways: Mapping[tuple[str, str], str] = {}
    """Words about how wheels are compiled, by name and architecture."""


def preview(request: Request) -> Preview:
    """Resolve a request, and raise what its build would raise before it makes layers: any ShipwheelError."""

    def work(context: BuildContext, resolution: Resolution, _request: Request) -> Preview:
        bases = [each.base for each in resolution.platforms]
        context.downloads.check_standalones([base.standalone for base in bases if base.standalone is not None])
        layered = plan_app_layers(context, resolution)
        with stage(context.reporter, "check"):
            if any(not _finds_programs(context, platform) for platform in layered):
                _prove(context, layered)
        sizes = _sizes(context, resolution)
        return Preview(resolution, tuple(_layers(context, platform, sizes) for platform in layered), context.local.current.ways)

    return retry_damaged(request, lambda: with_context(request, None, work))


def _prove(context: BuildContext, layered: Sequence[Layered]) -> None:
    for closed in complete(context, make_app_layers(context, layered)):
        prove_image(context, closed)


def _finds_programs(context: BuildContext, platform: Layered) -> bool:
    """Return whether the programs that the image starts are in the sources that are likely to have them."""
    planned = Closed(platform.resolved, context.planner.base_layers(platform.resolved), platform.app_layers)
    init, path = platform.resolved.base.init_path, image_path(context.project, planned)
    packages, others = _by_package(planned.layers)
    found: list[Collection[str]] = [paths_of(segment) for segment in parent_segments(context, planned)]
    found += [_paths(context, platform, source) for source in others]
    for program in missing_programs(context.project, init, path, found):
        # What is named like the program comes first: uvicorn is in uvicorn.
        for name in difflib.get_close_matches(program.rpartition("/")[2], packages, cutoff=_SIMILAR):
            if program in missing_programs(context.project, init, path, found):
                found += [_paths(context, platform, source) for source in packages[name]]
    return not missing_programs(context.project, init, path, found)


def _by_package(layers: Iterable[LayerSpec]) -> tuple[dict[str, list[Source]], list[Source]]:
    """Return the sources that are packages, by name, and those that this machine makes and that may have programs."""
    packages: dict[str, list[Source]] = {}
    others: list[Source] = []
    for source in (source for layer in layers for source in layer.sources):
        if isinstance(source, (WheelSource, DebSource)):
            packages.setdefault(source.label.partition(" ")[0], []).append(source)
        elif not isinstance(source, (AssetsSource, BytecodeSource, GeneratedBase, StandaloneSource)):
            others.append(source)
    return packages, others


def _paths(context: BuildContext, platform: Layered, source: Source) -> Collection[str]:
    """Return the paths of a source's files and links. A package is fetched for that, unless the store knows them."""
    if (known := load_segment_metadata(source.key, context.store)) is not None:
        return paths_of(known)
    if isinstance(source, DebSource):
        context.downloads.packages([source.package])
    elif isinstance(source, WheelSource):
        context.downloads.distributions([item for item in platform.resolved.selection.distributions if item.digest == source.digest])
    # Bytecode has no programs, and takes long to make.
    plain = replace(source, compiler=None) if isinstance(source, (WheelSource, AppSource)) else source
    return {entry.path for entry in plain.entries()}


def _sizes(context: BuildContext, resolution: Resolution) -> dict[Digest, int]:
    """Return the sizes of wheels by their digests."""
    items = (item for each in resolution.platforms for item in each.selection.distributions if item.kind == "wheel")
    locked = {digest: item.size or 0 for item in items if (digest := item.digest) is not None}
    return {**locked, **{wheel.digest: wheel.size for wheel in context.local.current.wheels}}


def _layers(context: BuildContext, platform: Layered, sizes: dict[Digest, int]) -> tuple[PlannedLayer, ...]:
    planned = with_steps(context.project, Closed(platform.resolved, context.planner.base_layers(platform.resolved), platform.app_layers))
    return (*_parent_layers(platform), *(_layer(context, spec, sizes) for spec in planned.layers))


def _parent_layers(platform: Layered) -> Iterator[PlannedLayer]:
    parent = platform.resolved.base.parent
    if parent is not None:
        for layer, text in zip(parent.layers, layer_texts(parent.config_file, len(parent.layers)), strict=True):
            yield PlannedLayer(text.name or layer.descriptor.digest, text.contents, layer.descriptor.size, made=True)


def _layer(context: BuildContext, spec: LayerSpec, sizes: dict[Digest, int]) -> PlannedLayer:
    made = find_layer(spec, context.store)
    size = made.size if made is not None else sum(_size(source, sizes) for source in spec.sources)
    return PlannedLayer(spec.name, spec.contents, size, made is not None)


def _size(source: Source, sizes: dict[Digest, int]) -> int:
    if isinstance(source, WheelSource):
        return sizes.get(source.digest, 0)
    if isinstance(source, DebSource):
        return source.package.size
    return sum(item.size for item in source.tree.files) if isinstance(source, AppSource) else 0
