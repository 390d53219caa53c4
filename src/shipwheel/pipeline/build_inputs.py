"""The inputs of a build, by digest: what it fetches, and what programs of others made for it."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from shipwheel.base.image_source import IMAGE_RECORD, fetch_layers, image_record_key
from shipwheel.builder.vendored_crates import CRATE_RECORD
from shipwheel.builder.workshop import BUILDER_RECORD
from shipwheel.digest import Digest
from shipwheel.events import Warned
from shipwheel.files.segment import SEGMENT_RECORD
from shipwheel.oci.image import RemoteLayer
from shipwheel.oci.layer import LAYER_RECORD, Layer, find_layer
from shipwheel.pipeline.assets import AssetsSource, KeptPrograms
from shipwheel.pipeline.build import build, complete, make_app_layers, plan_app_layers, retry_damaged, with_context
from shipwheel.pipeline.context import BuildContext
from shipwheel.pipeline.local_builds import KeptBuilds
from shipwheel.pipeline.resolve import Resolution
from shipwheel.pipeline.stages import Closed
from shipwheel.pipeline.steps_source import StepsSource
from shipwheel.request import Request
from shipwheel.store.store import Store
from shipwheel.wheels.built_wheels import BUILT_RECORD
from shipwheel.wheels.kept_requirements import KEPT_RECORD

__all__ = ["BuildInputs", "StoreRecord", "collect_inputs", "kept_programs"]

_LACK_HINT = "An edited source is built again where there is a network; then make another bundle."


class StoreRecord(msgspec.Struct, frozen=True, order=True):
    """A record of a store: its kind, its key, and its JSON document."""

    kind: str
    key: str
    data: str


class BuildInputs(msgspec.Struct, frozen=True):
    """The blobs and the records of a store from which a build needs no network. `project` is the name of what is built.

    Layers are not among them, unless running something makes them: a build makes them again from the rest.
    """

    project: str
    blobs: frozenset[Digest]
    records: frozenset[StoreRecord]


def collect_inputs(request: Request) -> BuildInputs:
    """Build the project, so that its lock is complete, and bring what another build of the lock needs into the store.

    Raises any ShipwheelError.
    """
    build(request)
    return retry_damaged(request, lambda: with_context(request, None, _collect))


def _collect(context: BuildContext, resolution: Resolution, _: Request) -> BuildInputs:
    platforms = complete(context, make_app_layers(context, plan_app_layers(context, resolution)))
    kept, built = kept_programs(context.local.keep_requirements()), context.local.current.wheels
    made = [*_made_layers(platforms, context.store)]
    blobs = {*_fetched(context, platforms), *(wheel.digest for wheel in built), *(part for layer in made for part in layer.parts)}
    front_ends = [(" ".join(source.settings.run), source.keep()) for source in context.local.current.assets]
    programs = [kept, *(front_end for _, front_end in front_ends), *_shells(context, platforms)]
    blobs |= {digest for each in programs for digest in each.blobs}
    for command in sorted({command for command, front_end in front_ends if not front_end.whole}):
        what = f"no packages of node for `{command}`: the bundle has what was made of the source as it is now"
        context.reporter(Warned(what, _LACK_HINT))
    names = {(BUILT_RECORD, wheel.key) for wheel in built} | {(IMAGE_RECORD, key) for key in _base_images(platforms)}
    names |= {(LAYER_RECORD, layer.key) for layer in made} | {(SEGMENT_RECORD, key) for layer in made for key in layer.segments}
    records = {StoreRecord(*name, data.decode()) for name in names if (data := context.store.get(*name)) is not None}
    records |= {StoreRecord(*name, data.decode()) for each in programs for name, data in each.records.items()}
    return BuildInputs(resolution.project.name, frozenset(blobs), frozenset(records))


def kept_programs(builds: KeptBuilds) -> KeptPrograms:
    """Return what builds of the user's own directories need, and the records by which another store finds it."""
    wheels = (wheel.digest for wheels in builds.wheels.values() for wheel in wheels)
    packages = (package.digest for builder in builds.builders.values() for package in (*builder.core, *builder.added))
    kinds: dict[str, Mapping[str, object]] = {KEPT_RECORD: builds.wheels, BUILDER_RECORD: builds.builders, CRATE_RECORD: builds.crates}
    records = {(kind, key): msgspec.json.encode(value) for kind, values in kinds.items() for key, value in values.items()}
    return KeptPrograms(frozenset((*wheels, *packages, *builds.crates.values())), records)


def _shells(context: BuildContext, platforms: Iterable[Closed]) -> Iterator[KeptPrograms]:
    """Fetch and yield what is put beside images without a shell while steps run that may start one."""
    if not context.project.steps:
        return
    from shipwheel.builder.program_root import PROGRAMS_RECORD, SHELL_PACKAGES, find_programs, programs_key
    from shipwheel.pipeline.steps import wants_shell

    for base, target in ((each.resolved.base, each.resolved.target.platform) for each in platforms):
        if base.suite is None or base.image is not None or not wants_shell(context.project):
            continue
        packages = find_programs(base.suite, target, SHELL_PACKAGES, context.downloads.archive, context.store)
        context.downloads.packages(packages)
        record = {(PROGRAMS_RECORD, programs_key(base.suite, target, SHELL_PACKAGES)): msgspec.json.encode(packages)}
        yield KeptPrograms(frozenset(package.digest for package in packages), record)


def _fetched(context: BuildContext, platforms: Iterable[Closed]) -> Iterator[Digest]:
    """Fetch the files of the lock that layers are made from, and yield their digests."""
    resolved = [platform.resolved for platform in platforms]
    wheels = [item for each in resolved for item in each.selection.distributions if item.kind == "wheel"]
    packages = [package for each in resolved for package in each.base.all_packages]
    standalones = [each.base.standalone for each in resolved if each.base.standalone is not None]
    parents = [each.base.parent for each in resolved if each.base.parent is not None]
    context.downloads.distributions(wheels)
    context.downloads.packages(packages)
    context.downloads.standalones(standalones)
    fetch_layers(parents, context.store, context.reporter)
    yield from (digest for item in wheels if (digest := item.digest) is not None)
    yield from (package.digest for package in packages)
    yield from (build.digest for build in standalones)
    yield from (layer.descriptor.digest for parent in parents for layer in parent.layers if isinstance(layer, RemoteLayer))


def _made_layers(platforms: Iterable[Closed], store: Store) -> Iterator[Layer]:
    """Yield the layers that are made by running programs: front ends, and the files of steps."""
    for spec in (spec for platform in platforms for spec in platform.layers):
        if any(isinstance(source, (AssetsSource, StepsSource)) for source in spec.sources) and (layer := find_layer(spec, store)):
            yield layer


def _base_images(platforms: Iterable[Closed]) -> Iterator[str]:
    """Yield the keys of the records of base images. There is none of an image from a layout on disk."""
    for resolved in (platform.resolved for platform in platforms):
        if resolved.base.image is not None:
            yield image_record_key(resolved.base.image.digest, resolved.target.platform)
