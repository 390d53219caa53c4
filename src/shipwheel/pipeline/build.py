"""The build, stage by stage: detect, lock, base, select, fetch, build, assemble, close, prove, compose, deliver.

Every stage asks the store first, so a build that was interrupted, or that met a damaged blob, goes on from what it had.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import msgspec

from shipwheel.base.base import Bases
from shipwheel.base.base_requirements import Needs, kept_needs, needs_of
from shipwheel.base.standalone_archive import StandaloneSource
from shipwheel.debian.composed import resolve_seed
from shipwheel.debian.package import DebSource
from shipwheel.errors import DamagedBlob
from shipwheel.events import Moved, StageFinished, StageStarted, Warned
from shipwheel.files.entry import Source
from shipwheel.files.segment import Segment, find_segment, known_segment
from shipwheel.oci.image import ImageIndex, LayerBlob
from shipwheel.oci.layer import Layer, LayerSpec, find_layer, make_layer
from shipwheel.pipeline.compose import compose
from shipwheel.pipeline.container import container_path
from shipwheel.pipeline.downloads import Supplies
from shipwheel.pipeline.layers import Ingredients, app_layers, base_layers, fetched_digest, packages_for, standalones_for, wheel_sources
from shipwheel.pipeline.local_builds import Preparation
from shipwheel.pipeline.programs import check_programs, missing_programs, programs_of
from shipwheel.pipeline.proof import Part, Proof, prove
from shipwheel.pipeline.proof_keys import proof_key, proved_key, start_key
from shipwheel.pipeline.python_choice import fitted
from shipwheel.pipeline.resolve import Resolution, Resolved, composed_bases, pinned, resolve
from shipwheel.project.detect import Project, detect
from shipwheel.request import Request
from shipwheel.wheels.bytecode import BytecodeCache, BytecodeCompiler, Interpreter
from shipwheel.wheels.wheel import WheelSource

__all__ = ["Built", "BuiltPlatform", "Request", "build", "healed", "resolved"]

if TYPE_CHECKING:
    from shipwheel.pipeline.publish import Destination
    from shipwheel.wheels.source_builds import BuiltWheel

T = TypeVar("T")

_DAMAGED_TRIES = 5


class BuiltPlatform(msgspec.Struct, frozen=True):
    """One platform of a build, with what the proof said."""

    resolved: Resolved
    layers: tuple[LayerBlob, ...]
    unpacked_size: int
    """Bytes of all layers, a base image's included."""
    proof: Proof
    proved: str
    """The key of all that was found to be true of the image."""
    needs: Needs


class Built(msgspec.Struct, frozen=True):
    """A finished build: the images are in the store, ready to be delivered."""

    resolution: Resolution
    platforms: tuple[BuiltPlatform, ...]
    index: ImageIndex
    wheels: "tuple[BuiltWheel, ...]" = ()
    """What was built from sources."""


def resolved(request: Request) -> Resolution:
    """The stages before anything large is fetched: what `plan` shows. Raises any ShipwheelError."""
    return _resolved(request)[1]


def _resolved(request: Request) -> tuple[Bases, Resolution]:
    """With the best Python version for which the requirements can be had."""

    def attempt(project: Project, bases: Bases | None = None) -> tuple[Bases, Resolution]:
        found = bases or composed_bases(project, request.store, request.reporter)
        return found, resolve(project, request.platforms, found, request.reporter, upgrade_base=request.upgrade_base)

    return fitted(detect(request.path, request.settings), request, attempt)


def build(request: Request, destination: "Destination | None" = None) -> Built:
    """Builds the images of all platforms. A damaged blob is thrown away and made or fetched again.

    What a `destination` has is not made, and what is finished is told to it at once; else all layers are in the store in the end. A
    destination that met a damaged blob takes no more: then it is for the caller to try again, with a new one.
    """
    if destination is not None:
        return _build(request, destination)
    return healed(request, lambda: _build(request, None))


def healed(request: Request, work: Callable[[], T]) -> T:
    """Does the work again, after the whole store was checked, when a part of it was found damaged: such parts seldom come alone."""
    for _ in range(_DAMAGED_TRIES):
        try:
            return work()
        except DamagedBlob as damaged:
            request.store.discard(damaged.digest)
            request.reporter(StageStarted("store"))
            found = {damaged.digest, *request.store.sweep()}
            request.reporter(StageFinished("store", "checked"))
            what = f"the stored blob {damaged.digest[:19]}… was" if len(found) == 1 else f"{len(found)} stored blobs were"
            request.reporter(Warned(f"{what} damaged; what is needed is made or fetched again"))
    return work()


def _build(request: Request, destination: "Destination | None") -> Built:
    bases, resolution = _resolved(request)
    launch = resolution.project.launch
    for note in (*resolution.project.notes, *(launch.notes if launch else ())):
        request.reporter(Warned(note))
    work = _Work(request, bases, resolution, destination)
    platforms = work.run()
    lock = resolution.lock
    if any(each.resolved.base != before.base for each, before in zip(platforms, resolution.platforms, strict=True)):
        lock = pinned(lock, [each.resolved for each in platforms], resolution.project.settings.packages)
        lock.write()
    resolution = replace(resolution, lock=lock, platforms=tuple(each.resolved for each in platforms))
    layers, proofs, needs = zip(*((each.layers, each.proved, each.needs) for each in platforms), strict=True)
    return Built(resolution, platforms, compose(resolution, layers, proofs, needs), work.parts.wheels)


class _Work:
    """The stages of one build that need the store, the mirror and the interpreters."""

    def __init__(self, request: Request, bases: Bases, resolution: Resolution, destination: "Destination | None") -> None:
        self.destination = destination
        self.store = request.store
        self.reporter = request.reporter
        self.workers = request.workers
        self.bases = bases
        self.platforms = resolution.platforms
        suite = self.platforms[0].base.suite
        self.debian = bases.debian(suite) if suite is not None else None
        self.project = resolution.project
        self.supplies = Supplies(self.project, self.debian, self.store, self.reporter, self.workers)
        self.preparation = Preparation(
            self.project, self.platforms, resolution.lock.as_of, self.supplies, self.store, self.reporter, self.workers
        )
        self.parts = Ingredients({}, None, None)
        self._layers: dict[str, Layer] = {}

    def run(self) -> tuple[BuiltPlatform, ...]:
        """Every platform's layers, closed and proved."""
        with self._compiler() as compiler:
            uppers = self._uppers(compiler)
            self._fetch(uppers)
            upper_layers = self._assemble("wheels", uppers)
            closed = [self._close(each, specs, compiler) for each, specs in zip(self.platforms, uppers, strict=True)]
            lowers = [base_layers(each.base, each, self.project, self.store, compiler) for each in closed]
            self._ask(lowers)
            self._fetch_bases(lowers)
            lower_layers = self._assemble("base", lowers)
        return tuple(
            self._built(each, (*lower, *upper), low, up)
            for each, lower, upper, low, up in zip(closed, lower_layers, upper_layers, lowers, uppers, strict=True)
        )

    def _uppers(self, compiler: BytecodeCompiler | None) -> list[tuple[LayerSpec, ...]]:
        """The layers above the base. What the destination knows of builds is believed if it has the layers of them as well."""
        known = self.destination is not None and self.preparation.is_new() and self.destination.builds()
        for whole in (False, True) if known else (True,):
            parts = self.parts = self.preparation.ingredients(whole=whole)
            wheels = [wheel_sources(each, parts.built, self.store, compiler) for each in self.platforms]
            uppers = [
                app_layers(self.project, each, some, parts, self.store, compiler) for each, some in zip(self.platforms, wheels, strict=True)
            ]
            self._ask([*uppers, *(base_layers(each.base, each, self.project, self.store, compiler) for each in self.platforms)])
            if not self._lacks_builds(uppers):
                break
        return uppers

    def _lacks_builds(self, specs: Sequence[Sequence[LayerSpec]]) -> bool:
        built = {wheel.digest for wheel in self.parts.wheels if not self.store.has(wheel.digest)}
        absent = [source for some in specs for spec in some if self._found(spec) is None for source in spec.sources]
        return any(isinstance(source, WheelSource) and source.digest in built for source in absent)

    def _built(self, each: Resolved, ours: Sequence[Layer], lower: Sequence[LayerSpec], upper: Sequence[LayerSpec]) -> BuiltPlatform:
        proof, proved = self._prove(each, lower, upper)
        below = each.base.image.facts.unpacked_size if each.base.image is not None else 0
        size = below + sum(layer.unpacked_size for layer in ours)
        return BuiltPlatform(each, (*_layers_below(each), *ours), size, proof, proved, self._needs(each, lower, upper, proved))

    def _needs(self, each: Resolved, lower: Sequence[LayerSpec], upper: Sequence[LayerSpec], proved: str) -> Needs:
        """What ours want of the image below, if there is one."""

        def made() -> Needs:
            low, up = self._segments(lower), self._segments(upper)
            programs = missing_programs(self.project, self._path(each), [*low, *up])
            return Needs(needs_of(self._below(each), low, up, each.target.platform), programs)

        if each.base.image is None:
            return Needs()
        return kept_needs(proved, self.store, lambda: self.destination.needs(proved) if self.destination else None, made)

    def _ask(self, specs: Sequence[Sequence[LayerSpec]]) -> None:
        """Asks the destination for all layers that are not here, if anything would have to be fetched for one of them."""
        if self.destination is None:
            return
        absent = [spec for some in specs for spec in some if self._found(spec) is None]
        if any(digest and not self.store.has(digest) for spec in absent for digest in map(fetched_digest, spec.sources)):
            self._layers |= self.destination.found(absent)

    def _fetch(self, uppers: Sequence[Sequence[LayerSpec]]) -> None:
        """All wheels that a missing segment is made of, and, on a first build, the bases' packages beside them."""
        missing = {
            source.digest
            for specs in uppers
            for spec in specs
            if self._found(spec) is None
            for source in spec.sources
            if isinstance(source, WheelSource) and find_segment(source.key, self.store) is None
        }
        if missing and not any(layer for layer in self._layers.values() if not layer.parts):
            self.supplies.standalones([each.base.standalone for each in self.platforms if each.base.standalone is not None])
            self.supplies.packages([package for each in self.platforms for package in each.base.packages])
        self.supplies.distributions([item for each in self.platforms for item in each.selection.distributions if item.digest in missing])

    def _fetch_bases(self, lowers: Sequence[Sequence[LayerSpec]]) -> None:
        sources = [source for specs in lowers for spec in specs if self._found(spec) is None for source in spec.sources]
        self.supplies.standalones([build for source in sources for build in standalones_for(source, self.store)])
        self.supplies.packages([package for source in sources for package in packages_for(source, self.store)])

    def _found(self, spec: LayerSpec) -> Layer | None:
        """The layer, if the store has it; what was found once is not looked for again."""
        if (layer := self._layers.get(spec.key) or find_layer(spec, self.store)) is not None:
            self._layers[spec.key] = layer
        return layer

    def _assemble(self, stage: str, specs: Sequence[Sequence[LayerSpec]]) -> list[tuple[Layer, ...]]:
        """The layers of all platforms, each key made once, side by side."""
        unique = {spec.key: spec for some in specs for spec in some}
        found = {key: layer for key, spec in unique.items() if (layer := self._found(spec)) is not None}
        missing = [spec for key, spec in unique.items() if key not in found]
        if missing:
            for layer in found.values():
                self._ready(layer)
            self.reporter(StageStarted(stage, len(missing)))
            for number, layer in enumerate(self._made(missing), 1):
                found[layer.key] = layer
                self._ready(layer)
                self.reporter(Moved(stage, "", number, len(missing)))
            self.reporter(StageFinished(stage, f"{len(missing)} layers"))
        return [tuple(found[spec.key] for spec in some) for some in specs]

    def _made(self, specs: Sequence[LayerSpec]) -> Iterator[Layer]:
        with ThreadPoolExecutor(self.workers + 1, thread_name_prefix="layer") as pool:
            jobs = [pool.submit(make_layer, spec, self.store) for spec in specs]
            try:
                for job in as_completed(jobs):
                    yield job.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _ready(self, layer: Layer) -> None:
        if self.destination is not None:
            self.destination.ready(layer)

    def _close(self, each: Resolved, specs: Sequence[LayerSpec], compiler: BytecodeCompiler | None) -> Resolved:
        """The platform with all packages that its ELF files need; the archive is asked only for what the lock does not have."""
        lower = base_layers(each.base, each, self.project, self.store, compiler)
        if each.base.locked and (self._proved(each, lower, specs) is not None or self._proved_there(each, lower, specs)):
            return each
        from shipwheel.debian.closure import close, unresolved
        from shipwheel.debian.optional_libraries import lacking, notes

        platform = each.target.platform
        upper, below = self._segments(specs), self._below(each)
        if self.destination is not None and (unknown := self._unknown(lower)):
            self.destination.records(unknown)
        upper += self.supplies.interpreter(each.base.standalone)
        packages = self.supplies.segments(each.base.packages)
        known = set(each.base.absent)
        missing = {*unresolved(packages, upper, platform, below), *lacking((*below, *packages), upper)}
        if each.base.locked and not missing - known:
            return each
        if self.debian is None:
            return replace(each, base=replace(each.base, locked=True, absent=tuple(sorted(missing))))
        if not missing and not self.project.settings.packages and below:
            return replace(each, base=replace(each.base, locked=True, absent=()))
        index = self.debian.index(platform)
        closure = close(
            each.base.packages, index, platform, upper, self.supplies.segments, named=self.project.settings.packages, below=below
        )
        lacked = lacking((*below, *closure.segments), upper)
        for note in notes({name: labels for name, labels in lacked.items() if name not in known}, index):
            self.reporter(note)
        base = replace(each.base, packages=closure.packages, locked=True, absent=tuple(sorted({*closure.unresolved, *lacked})))
        return replace(each, base=base)

    def _proved_there(self, each: Resolved, lower: Sequence[LayerSpec], upper: Sequence[LayerSpec]) -> bool:
        key = proved_key(_proof_key(each, lower, upper), self._start_key(each, [*lower, *upper]))
        return self.destination is not None and self.destination.is_proved(key)

    def _below(self, each: Resolved) -> list[Segment]:
        """What is known of the image that a platform's base is, or nothing."""
        if each.base.below is None or each.base.image is None:
            return []
        from shipwheel.oci.read.tree import read_tree

        return [read_tree(each.base.below, self.store, each.base.image.name).segment]

    def _segments(self, specs: Sequence[LayerSpec]) -> list[Segment]:
        """What is known of the layers' segments. For one that only the destination has, that is found out by making it after all."""
        unknown = self._unknown(specs)
        if unknown and self.destination is not None:
            self.destination.records(unknown)
            unknown = self._unknown(unknown)
        if unknown:
            for spec in unknown:
                self._layers.pop(spec.key, None)
            if self._lacks_builds([unknown]):
                self.parts = self.preparation.ingredients()
            self._fetch([unknown])
            self._fetch_bases([unknown])
            self._assemble("wheels", [unknown])
        found = [known_segment(source.key, self.store) for spec in specs for source in spec.sources]
        return [segment for segment in found if segment is not None]

    def _unknown(self, specs: Sequence[LayerSpec]) -> list[LayerSpec]:
        return [spec for spec in specs if any(known_segment(source.key, self.store) is None for source in spec.sources)]

    def _start_key(self, each: Resolved, specs: Sequence[LayerSpec]) -> str:
        keys, workdir = (spec.key for spec in specs), self.project.settings.workdir
        return start_key(programs_of(self.project), workdir, self._path(each), self.project.volumes, _identity(each), keys)

    def _path(self, each: Resolved) -> str:
        return container_path(self.project.settings.env, _path_below(each))

    def _check_start(self, each: Resolved, specs: Sequence[LayerSpec], key: str) -> None:
        """The programs that the image starts are in it; remembered, since looking reads what is known of every segment."""
        if self.store.get("start", key) is None:
            check_programs(self.project, self._path(each), [*self._below(each), *self._segments(specs)])
            self.store.put("start", key, b"{}")

    def _prove(self, each: Resolved, lower: Sequence[LayerSpec], upper: Sequence[LayerSpec]) -> tuple[Proof, str]:
        """The proof that the image would start, and the key under which it can be found again."""
        start = self._start_key(each, [*lower, *upper])
        whole = proved_key(_proof_key(each, lower, upper), start)
        if self.destination is not None and self.store.get("start", start) is None and self.destination.is_proved(whole):
            return Proof(0, ()), whole
        self._check_start(each, [*lower, *upper], start)
        proof = self._proved(each, lower, upper)
        if proof is None:
            parts = [
                *(Part(it, base=True, given=True) for it in self._below(each)),
                *(Part(it, base=True) for it in self._segments(lower)),
                *(Part(it, base=False) for it in self._segments(upper)),
            ]
            proof = prove(parts, each.target.platform, each.base.absent)
            self.store.put("proof", _proof_key(each, lower, upper), msgspec.json.encode(proof))
        for warning in proof.warnings:
            self.reporter(Warned(warning))
        return proof, whole

    def _proved(self, each: Resolved, lower: Sequence[LayerSpec], upper: Sequence[LayerSpec]) -> Proof | None:
        record = self.store.get("proof", _proof_key(each, lower, upper))
        try:
            return None if record is None else msgspec.json.decode(record, type=Proof)
        except msgspec.MsgspecError:
            return None  # written by another version

    @contextmanager
    def _compiler(self) -> Iterator[BytecodeCompiler | None]:
        if not self.project.settings.bytecode:
            yield None
            return
        cache = BytecodeCache(self.store.root / "bytecode.sqlite3")
        compiler = BytecodeCompiler(self._interpreter, self._compiled_by(), cache, self.workers)
        try:
            yield compiler
        finally:
            compiler.close()

    def _compiled_by(self) -> str:
        """The version of the interpreter that compiles; with the image that it comes from, where that image's own must be taken.

        What an image's interpreter makes of a wheel is then never taken for what a trusted one makes of it.
        """
        from shipwheel.base.interpreter import must_be_contained

        target, image = self.platforms[0].target, self.platforms[0].base.image
        return f"{target.python}-{image.digest}" if image is not None and must_be_contained(target.minor) else target.python

    def _interpreter(self) -> Interpreter:
        """The base's own if it runs here, so that every host compiles with the same one; else what uv finds."""
        from shipwheel.base.interpreter import (
            can_run,
            contained_interpreter,
            found_interpreter,
            interpreter_packages,
            must_be_contained,
            unpacked_interpreter,
        )

        target = self.platforms[0].target
        host = can_run()
        base = next((each.base for each in self.platforms if each.target.platform == host), None)
        own = self.debian is not None and self.platforms[0].base.image is None and (base or self.debian.suite.python)
        if host is not None and self.debian is not None and own:
            packages = interpreter_packages(base.seed(()) if base else resolve_seed(self.debian.index(host), self.debian.suite))
            self.supplies.packages(packages)
            sources: list[Source] = [DebSource(package, self.store) for package in packages]
            if base is not None and base.standalone is not None:
                self.supplies.standalones([base.standalone])
                sources.append(StandaloneSource(base.standalone, self.store))
            found = unpacked_interpreter(sources, host, base.interpreter if base else f"/usr/bin/python{target.minor}", self.store)
            if found is not None:
                return found
        if base is not None and base.below is not None and must_be_contained(target.minor):
            within = contained_interpreter(base.below, base.interpreter, self.store, self.reporter)
            if within is not None:
                return within
        return found_interpreter(target.minor)


def _proof_key(each: Resolved, lower: Sequence[LayerSpec], upper: Sequence[LayerSpec]) -> str:
    return proof_key(each.target.platform, each.base.absent, _identity(each), (spec.key for spec in (*lower, *upper)))


def _identity(each: Resolved) -> str:
    """What stands for the image below in a key; nothing where there is none."""
    return each.base.image.manifest if each.base.image is not None else ""


def _layers_below(each: Resolved) -> tuple[LayerBlob, ...]:
    return each.base.below.layers if each.base.below is not None else ()


def _path_below(each: Resolved) -> str:
    if each.base.below is None:
        return ""
    return each.base.below.config_file.config.environment.get("PATH", "")
