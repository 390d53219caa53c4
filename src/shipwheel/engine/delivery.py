"""Stream an image into an engine as an archive, without the layers that the engine has."""

from collections.abc import Callable, Collection, Iterator, Sequence

from shipwheel.engine.program import ProgramResult, run_with_input
from shipwheel.errors import EngineError
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted
from shipwheel.oci.archive import archive_chunks
from shipwheel.oci.image import Image, make_index
from shipwheel.oci.reference import Reference
from shipwheel.store.store import Store

__all__ = ["report_present", "send_archive", "shared_bottom_layers"]

STAGE = "load"


def send_archive(
    engine: str, argv: Sequence[str], image: Image, store: Store, name: Reference, reporter: Reporter, *, without: Collection[str] = ()
) -> ProgramResult:
    """Stream the image into a program's standard input; nothing touches the disk on the way.

    Leaves out the layers with the digests in `without`; if the engine turns out to lack one of them, sends everything. Raises EngineError
    if the engine rejects the image.
    """
    # The name then stands for the image itself, not for an index of several.
    index = make_index((image,))
    layers = {layer.descriptor.digest: layer.descriptor.size for layer in image.layers}
    for left_out in (without, ()) if without else ((),):
        total = sum(size for digest, size in layers.items() if digest not in left_out)
        reporter(StageStarted(STAGE, total, "bytes"))
        chunks = archive_chunks(index, store, name, docker_platform=image.platform, without=left_out)
        result = run_with_input(argv, _counted(chunks, engine, total, reporter))
        if result.ok:
            present = sum(layers.values()) - total
            summary = f"{total / 1e6:.1f} MB to {engine}" + (f" ({present / 1e6:.1f} MB already there)" if present else "")
            reporter(StageFinished(STAGE, summary, notable=True))
            return result
        if left_out:
            reporter(StageFinished(STAGE, f"{engine} lacks layers that it listed; sending all: {result.reason}"))
    raise EngineError(f"{engine} rejected the image: {result.reason}", hint=f"Check that {engine} works and has free disk space.")


def report_present(engine: str, reporter: Reporter) -> None:
    """Report that the engine has the image already."""
    reporter(StageStarted(STAGE))
    reporter(StageFinished(STAGE, f"{engine} has the image already"))


def shared_bottom_layers(image: Image, others: Collection[Sequence[str]]) -> frozenset[str]:
    """Return the digests of the image's lowest layers, as many as one of the others shares. `others` are images' lists of diff_ids."""
    own = [layer.diff_id for layer in image.layers]
    count = max((_common_prefix(own, other) for other in others), default=0)
    return frozenset(layer.descriptor.digest for layer in image.layers[:count])


def _common_prefix(first: Sequence[str], second: Sequence[str]) -> int:
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count


def _counted(chunks: Iterator[bytes], engine: str, total: int, reporter: Callable[[Moved], None]) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        reporter(Moved(STAGE, engine, min(done, total), total))
