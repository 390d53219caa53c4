"""The supply of layers: from the store, the destination, or this machine, which fetches their sources and makes them."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import msgspec

from shipwheel.base.standalone_archive import Standalone, StandaloneSource
from shipwheel.debian.generated_base import GeneratedBase
from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.digest import Digest
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted
from shipwheel.files.entry import Source
from shipwheel.files.segment import Segment, find_segment, load_segment_metadata
from shipwheel.oci.layer import Layer, LayerSpec, find_layer
from shipwheel.pipeline.assets import AssetsSource
from shipwheel.pipeline.destination import Destination
from shipwheel.pipeline.downloads import Downloads
from shipwheel.pipeline.layer_processes import LayerProcesses
from shipwheel.pipeline.local_builds import LocalBuilds
from shipwheel.pipeline.resolve import Resolved
from shipwheel.pipeline.steps_source import StepsSource
from shipwheel.pipeline.winning_files import WinningFiles
from shipwheel.store.store import Store
from shipwheel.wheels.bytecode import BytecodeSource
from shipwheel.wheels.wheel import WheelSource

__all__ = ["LayerSupply"]

_STAGE = "layers"


class LayerSupply:
    """The layers of one build by their keys, each looked up, fetched and made once for all platforms.

    A layer that only the destination has is known by its descriptor: it has no parts in the store.
    """

    def __init__(
        self,
        platforms: Sequence[Resolved],
        downloads: Downloads,
        local: LocalBuilds,
        destination: Destination | None,
        store: Store,
        reporter: Reporter,
        workers: int,
        processes: LayerProcesses,
    ) -> None:
        self._platforms = platforms
        self._downloads = downloads
        self._local = local
        self._destination = destination
        self._store = store
        self._reporter = reporter
        self._workers = workers
        self._processes = processes
        self._layers: dict[str, Layer] = {}
        self._described: dict[str, Segment] = {}
        self._announce: Callable[[Layer], None] | None = None

    def announce_to(self, listener: Callable[[Layer], None]) -> None:
        """Call the listener with each layer that is made from now on, as soon as it is finished."""
        self._announce = listener

    def ask(self, specs: Iterable[LayerSpec]) -> None:
        """Ask the destination for the missing layers, if making one of them would need a download, or running a program."""
        if self._destination is None:
            return
        missing = self.missing(specs)
        sources = [source for spec in missing for source in spec.sources]
        digests = {_fetched_digest(source) for source in sources} - {None}
        is_slow = any(isinstance(source, (StepsSource, AssetsSource)) for source in sources)
        if is_slow or any(digest is not None and not self._store.has(digest) for digest in digests):
            self._layers |= self._destination.find_layers(missing)

    def fetch(self, specs: Iterable[LayerSpec]) -> None:
        """Fetch the files that the missing layers are made from. Raises FetchError or IntegrityError."""
        sources = [source for spec in self.missing(specs) for source in spec.sources]
        wheels = {wheel.digest for source in sources if (wheel := _wheel(source)) and find_segment(source.key, self._store) is None}
        locked = {item.digest: item for each in self._platforms for item in each.selection.distributions if item.digest in wheels}
        self._processes.expect(sum(item.size or 0 for item in locked.values()))
        if wheels and not self._has_layers_elsewhere():
            # A first build needs the base's packages as well: they are fetched now, and not after the wheels' layers were made.
            self._downloads.standalones([each.base.standalone for each in self._platforms if each.base.standalone is not None])
            self._downloads.packages([package for each in self._platforms for package in each.base.all_packages])
        self._downloads.distributions([*locked.values()])
        self._downloads.standalones([build for source in sources for build in _standalones(source, self._store)])
        self._downloads.packages([package for source in sources for package in _packages(source, self._store)])

    def make(self, specs: Iterable[LayerSpec]) -> None:
        """Make the missing layers side by side, and hand each layer to the destination as soon as it is finished."""
        specs = list({spec.key: spec for spec in specs}.values())
        missing = self.missing(specs)
        if not missing:
            return
        for spec in specs:
            if (layer := self._find(spec)) is not None:
                self._hand_over(layer)
        self._reporter(StageStarted(_STAGE, len(missing), detail=True))
        # The largest first: one that begins last would leave the other processors without work.
        missing.sort(key=self._fetched_bytes, reverse=True)
        for number, layer in enumerate(self._make_all(missing), 1):
            self._layers[layer.key] = layer
            self._hand_over(layer)
            if self._announce is not None:
                self._announce(layer)
            self._reporter(Moved(_STAGE, "", number, len(missing)))
        self._reporter(StageFinished(_STAGE, f"{len(missing)} layer{'' if len(missing) == 1 else 's'}"))

    def layers(self, specs: Sequence[LayerSpec]) -> tuple[Layer, ...]:
        """Return the layers of specs that were made or found before."""
        return tuple(msgspec.structs.replace(self._layers[spec.key], name=spec.name, contents=spec.contents) for spec in specs)

    def read_metadata(self, specs: Sequence[LayerSpec]) -> None:
        """Bring the destination's metadata of segments that are unknown here into the store, as far as it has them."""
        if self._destination is not None and (unknown := self._unknown(specs)):
            self._destination.read_metadata(unknown)

    def describe(self, specs: Sequence[LayerSpec]) -> list[Segment]:
        """Return the segments of all layers: what is in them. A layer that nobody can describe is made here after all."""
        segments = self._segments(specs)
        if None in segments:
            self.read_metadata(specs)
            self._make_here(self._unknown(specs))
            segments = self._segments(specs)
        return [segment for segment in segments if segment is not None]

    def known_segments(self, spec: LayerSpec) -> list[Segment] | None:
        """Return the segments of a layer, None if one is not known here."""
        segments = self._segments([spec])
        return None if None in segments else [segment for segment in segments if segment is not None]

    def bring(self, specs: Iterable[LayerSpec]) -> None:
        """Make here those layers that only the destination has."""
        self._make_here([spec for spec in specs if not self._layers[spec.key].parts])

    def missing(self, specs: Iterable[LayerSpec]) -> list[LayerSpec]:
        """Return the layers that neither the store nor, as far as it was asked, the destination has."""
        return [spec for spec in specs if self._find(spec) is None]

    def _make_here(self, specs: Sequence[LayerSpec]) -> None:
        if not specs:
            return
        for spec in specs:
            self._layers.pop(spec.key, None)
        if self.needs_built_wheels(specs):
            self._local.build()
        self.fetch(specs)
        self.make(specs)

    def needs_built_wheels(self, specs: Iterable[LayerSpec]) -> bool:
        """Return whether a missing layer needs a built wheel of which the store has only the digest."""
        absent = self._local.absent_wheels()
        sources = (source for spec in self.missing(specs) for source in spec.sources)
        return any(wheel.digest in absent for source in sources if (wheel := _wheel(source)))

    def _find(self, spec: LayerSpec) -> Layer | None:
        if (layer := self._layers.get(spec.key) or find_layer(spec, self._store)) is not None:
            self._layers[spec.key] = layer
        return layer

    def _segments(self, specs: Sequence[LayerSpec]) -> list[Segment | None]:
        return [self._segment(source.key) for spec in specs for source in spec.sources]

    def _segment(self, key: str) -> Segment | None:
        """Return what is known of a segment, read once: it is asked for at every stage."""
        if (segment := self._described.get(key) or load_segment_metadata(key, self._store)) is not None:
            self._described[key] = segment
        return segment

    def _unknown(self, specs: Sequence[LayerSpec]) -> list[LayerSpec]:
        return [spec for spec in specs if any(self._segment(source.key) is None for source in spec.sources)]

    def _has_layers_elsewhere(self) -> bool:
        return any(not layer.parts for layer in self._layers.values())

    def _make_all(self, specs: Collection[LayerSpec]) -> Iterator[Layer]:
        with ThreadPoolExecutor(self._workers + 1, thread_name_prefix="layer") as pool:
            jobs = [pool.submit(self._processes.make, spec) for spec in specs]
            try:
                for job in as_completed(jobs):
                    yield job.result()
            except BaseException:
                self._processes.close()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _fetched_bytes(self, spec: LayerSpec) -> int:
        digests = {_fetched_digest(source) for source in spec.sources} - {None}
        return sum(self._store.size(digest) for digest in digests if digest is not None)

    def _hand_over(self, layer: Layer) -> None:
        if self._destination is not None:
            self._destination.layer_ready(layer)


def _fetched_digest(source: Source) -> Digest | None:
    """Return the digest of the file that a source is downloaded as, None for a source that is not downloaded."""
    if isinstance(source, DebSource):
        return source.package.digest
    if isinstance(source, StandaloneSource):
        return source.build.digest
    wheel = _wheel(source)
    return wheel.digest if wheel is not None else None


def _wheel(source: Source) -> WheelSource | None:
    """Return the wheel that a source is made from, None for other sources."""
    if isinstance(source, WinningFiles):
        return source.wheel
    return source if isinstance(source, WheelSource) else None


def _packages(source: Source, store: Store) -> tuple[DebianPackage, ...]:
    """Return the Debian packages that the source's segment is made from; none if the store has the segment."""
    if find_segment(source.key, store) is not None:
        return ()
    if isinstance(source, GeneratedBase):
        return source.packages_to_fetch()
    return tuple(each.package for each in _underlying(source) if isinstance(each, DebSource))


def _standalones(source: Source, store: Store) -> tuple[Standalone, ...]:
    """Return the standalone Pythons that the source's segment is made from; none if the store has the segment."""
    if find_segment(source.key, store) is not None:
        return ()
    return tuple(each.build for each in _underlying(source) if isinstance(each, StandaloneSource))


def _underlying(source: Source) -> tuple[Source, ...]:
    return source.sources if isinstance(source, BytecodeSource) else (source,)
