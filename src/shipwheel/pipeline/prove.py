"""Proving, before delivery, that an image would start; each proof is made once and remembered under the keys of the layers.

Most edits of the project change nothing that a proof looks at. So it is remembered on this machine under what it looks at as well.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from shipwheel.base.base_requirements import BaseRequirements, cached_requirements, required_libraries
from shipwheel.events import Warned
from shipwheel.files.overlaps import replaced_paths
from shipwheel.files.segment import Segment, key_of
from shipwheel.oci.layer import LayerSpec
from shipwheel.pipeline.app_source import AppSource
from shipwheel.pipeline.container import container_path
from shipwheel.pipeline.context import BuildContext
from shipwheel.pipeline.copied_files import check_copies
from shipwheel.pipeline.import_proof import check_imports, imports_of, wanted_imports
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
    keys = _keys(context.project, platform, platform.keys(), imports_of(context.project))
    proof = _prove(context, platform, keys)
    for warning in proof.warnings:
        context.reporter(Warned(warning, lasting=True))
    return Proved(platform, proof, keys.both, _needs(context, platform, keys.both))


def is_proved(context: BuildContext, platform: Closed) -> bool:
    """Return whether the same layers were proved before, here or at the destination."""
    keys = _keys(context.project, platform, platform.keys(), imports_of(context.project))
    if _remembered(context, platform, keys) is not None:
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
    started = any(context.store.get("start", each.start) is not None for each in _known(context, platform, keys))
    if not started and context.destination is not None and context.destination.is_proved(keys.both):
        return Proof(0, ())
    proof = _remembered(context, platform, keys)
    if started and proof is not None:
        return proof
    base, above = context.supply.describe(platform.base_layers), context.supply.describe(platform.above_base)
    parent = parent_segments(context, platform)
    segments = [*parent, *base, *above]
    if not started:
        check_programs(context.project, platform.resolved.base.init_path, image_path(context.project, platform), segments)
        check_copies(context.project, platform.app_layers, segments)
        check_imports(context.project, platform.resolved.target.minor, segments)
    if proof is None:
        origins = (Origin.PARENT,) * len(parent) + (Origin.BASE,) * len(base) + (Origin.APP,) * len(above)
        parts = [Part(*each) for each in zip(segments, origins, strict=True)]
        proof = prove(parts, platform.resolved.target.platform, platform.resolved.base.missing_libraries)
    for each in _known(context, platform, keys) if _are_apart(platform.layers, segments) else (keys,):
        context.store.put("start", each.start, b"{}")
        context.store.put("proof", each.proof, msgspec.json.encode(proof))
    return proof


def _remembered(context: BuildContext, platform: Closed, keys: _Keys) -> Proof | None:
    known = (context.store.get_as("proof", each.proof, Proof) for each in _known(context, platform, keys))
    return next((proof for proof in known if proof is not None), None)


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


def _keys(project: Project, platform: Closed, layers: Iterable[str], imports: Sequence[str]) -> _Keys:
    """Return keys for layers that are named in one way or another, and for what decides which imports are looked for."""
    target, base, parent, named = platform.resolved.target, platform.resolved.base, platform.parent_manifest, tuple(layers)
    path, programs = image_path(project, platform), programs_of(project, base.init_path)
    return _Keys(
        proof_key(target.platform, base.missing_libraries, parent, named),
        start_key(programs, imports, project.start_directory, path, project.volumes, parent, named),
    )


def _known(context: BuildContext, platform: Closed, keys: _Keys) -> Iterator[_Keys]:
    """Yield the keys of the layers, then those under which is remembered what the proofs look at, if there are any of the project's files.

    A proof looks at paths, links and ELF files of segments, and at the imports in the project's files.
    """
    yield keys
    layers = [_look(context, spec) for spec in platform.layers]
    if None in layers or layers == [*platform.keys()]:
        return
    wanted = wanted_imports(context.project, platform.resolved.target.minor)
    yield _keys(context.project, platform, filter(None, layers), wanted.parts)


def _look(context: BuildContext, spec: LayerSpec) -> str | None:
    """Return what stands for a layer in a proof: its key, but what is recorded of the project's own files in place of their content."""
    if not _own_keys((spec,)):
        return spec.key
    segments = context.supply.known_segments(spec)
    if segments is None:
        return None
    facts = [(*(each.label, sorted(each.files), each.links, each.directories), *(each.elf, each.ctypes_libraries)) for each in segments]
    return key_of("seen", msgspec.json.encode(facts, order="sorted").decode())


def _own_keys(layers: Iterable[LayerSpec]) -> frozenset[str]:
    return frozenset(source.key for spec in layers for source in spec.sources if isinstance(source, AppSource))


def _are_apart(layers: Iterable[LayerSpec], segments: Sequence[Segment]) -> bool:
    """Return whether no file of the project has the path of another one. Of two such files, a proof compares the content."""
    own = _own_keys(layers)
    paths = {path for segment in segments if segment.key in own for path in (*segment.files, *segment.links)}
    return all(paths.isdisjoint(replaced) for replaced in replaced_paths(segments))


def image_path(project: Project, platform: Closed) -> str:
    """Return the image's PATH."""
    parent = platform.resolved.base.parent
    if parent is None:
        return container_path(project.settings.env)
    return container_path(project.settings.env, parent.execution.environment.get("PATH", ""))
