"""Proving, before delivery, that an image would start; each proof is made once and remembered under the keys of the layers."""

import msgspec

from shipwheel.base.base_requirements import BaseRequirements, cached_requirements, required_libraries
from shipwheel.events import Warned
from shipwheel.files.segment import Segment
from shipwheel.pipeline.container import container_path
from shipwheel.pipeline.context import BuildContext
from shipwheel.pipeline.copied_files import check_copies
from shipwheel.pipeline.import_proof import check_imports, imports_of
from shipwheel.pipeline.programs import check_programs, missing_programs, paths_of, programs_of
from shipwheel.pipeline.proof import Origin, Part, Proof, proof_key, prove, proved_key, start_key
from shipwheel.pipeline.stages import Closed, Proved
from shipwheel.project.project import Project

__all__ = ["image_path", "is_proved", "parent_segments", "prove_image"]


class _Keys(msgspec.Struct, frozen=True):
    """The keys of what is proved: that ELF files load, that the programs to start are there, and both."""

    proof: str
    start: str

    @property
    def both(self) -> str:
        return proved_key(self.proof, self.start)


def prove_image(context: BuildContext, platform: Closed) -> Proved:
    """Prove that the image would start. Raises ProofError with every reason why it would not."""
    keys = _keys(context.project, platform)
    proof = _prove(context, platform, keys)
    for warning in proof.warnings:
        context.reporter(Warned(warning, lasting=True))
    return Proved(platform, proof, keys.both, _needs(context, platform, keys.both))


def is_proved(context: BuildContext, platform: Closed) -> bool:
    """Return whether the same layers were proved before, here or at the destination."""
    keys = _keys(context.project, platform)
    if _remembered(context, keys.proof) is not None:
        return True
    return context.destination is not None and context.destination.is_proved(keys.both)


def parent_segments(context: BuildContext, platform: Closed) -> list[Segment]:
    """Return what is known of the base image's files; nothing for a composed base."""
    base = platform.resolved.base
    if base.parent is None or base.image is None:
        return []
    from shipwheel.oci.read.file_tree import read_file_tree

    return [read_file_tree(base.parent, context.store, base.image.name).segment]


def _prove(context: BuildContext, platform: Closed, keys: _Keys) -> Proof:
    started = context.store.get("start", keys.start) is not None
    if not started and context.destination is not None and context.destination.is_proved(keys.both):
        return Proof(0, ())
    if not started:
        segments = [*parent_segments(context, platform), *context.supply.describe(platform.layers)]
        check_programs(context.project, platform.resolved.base.init_path, image_path(context.project, platform), segments)
        check_copies(context.project, platform.app_layers, segments)
        check_imports(context.project, platform.resolved.target.minor, segments)
        context.store.put("start", keys.start, b"{}")
    if (proof := _remembered(context, keys.proof)) is not None:
        return proof
    parts = [
        *(Part(segment, Origin.PARENT) for segment in parent_segments(context, platform)),
        *(Part(segment, Origin.BASE) for segment in context.supply.describe(platform.base_layers)),
        *(Part(segment, Origin.APP) for segment in context.supply.describe(platform.above_base)),
    ]
    proof = prove(parts, platform.resolved.target.platform, platform.resolved.base.missing_libraries)
    context.store.put("proof", keys.proof, msgspec.json.encode(proof))
    return proof


def _remembered(context: BuildContext, key: str) -> Proof | None:
    return context.store.get_as("proof", key, Proof)


def _needs(context: BuildContext, platform: Closed, key: str) -> BaseRequirements:
    """Find out what the layers of ours need from the base image; nothing for a composed base."""
    if platform.resolved.base.image is None:
        return BaseRequirements()

    def find_out() -> BaseRequirements:
        base, app = context.supply.describe(platform.base_layers), context.supply.describe(platform.above_base)
        path = image_path(context.project, platform)
        programs = missing_programs(context.project, platform.resolved.base.init_path, path, map(paths_of, [*base, *app]))
        parent = parent_segments(context, platform)
        return BaseRequirements(required_libraries(parent, base, app, platform.resolved.target.platform), programs)

    destination = context.destination
    return cached_requirements(key, context.store, lambda: destination.base_requirements(key) if destination else None, find_out)


def _keys(project: Project, platform: Closed) -> _Keys:
    target, base, parent = platform.resolved.target, platform.resolved.base, platform.parent_manifest
    path, programs = image_path(project, platform), programs_of(project, base.init_path)
    return _Keys(
        proof_key(target.platform, base.missing_libraries, parent, platform.keys()),
        start_key(programs, imports_of(project), project.start_directory, path, project.volumes, parent, platform.keys()),
    )


def image_path(project: Project, platform: Closed) -> str:
    """Return the image's PATH."""
    parent = platform.resolved.base.parent
    if parent is None:
        return container_path(project.settings.env)
    return container_path(project.settings.env, parent.execution.environment.get("PATH", ""))
