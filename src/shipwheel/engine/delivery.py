"""An image on its way into an engine: streamed as an archive, without the layers that the engine has."""

from collections.abc import Callable, Collection, Iterator, Sequence

from shipwheel.engine.program import Answer, feed, first_line
from shipwheel.errors import EngineError
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted
from shipwheel.oci.archive import archive_chunks
from shipwheel.oci.image import Image, ImageIndex, make_index
from shipwheel.oci.reference import Reference
from shipwheel.store import Store

__all__ = ["alone", "present", "send_archive", "shared_bottom"]

STAGE = "load"


def alone(image: Image) -> ImageIndex:
    """An image index of one image: its name stands for the manifest itself."""
    return make_index((image,))


def send_archive(
    engine: str, argv: Sequence[str], image: Image, store: Store, name: Reference, reporter: Reporter, *, without: Collection[str] = ()
) -> Answer:
    """Streams the image into the program's standard input: nothing of it is on disk on the way. Raises EngineError if it is not taken.

    An engine that turns out not to have what was left out `without` gets everything.
    """
    index = alone(image)
    for left_out in (without, ()) if without else ((),):
        layers = {layer.descriptor.digest: layer.descriptor.size for layer in image.layers}
        total = sum(size for digest, size in layers.items() if digest not in left_out)
        reporter(StageStarted(STAGE, total, "bytes"))
        chunks = archive_chunks(index, store, name, docker_platform=image.platform, without=left_out)
        answer = feed(argv, _counted(chunks, engine, total, reporter))
        if not answer.ok and left_out:
            reporter(StageFinished(STAGE, f"{engine} lacks layers that it should have, and gets all: {first_line(answer.errors)}"))
        if answer.ok:
            there = sum(layers.values()) - total
            summary = f"{total / 1e6:.1f} MB to {engine}" + (f" ({there / 1e6:.1f} MB already there)" if there else "")
            reporter(StageFinished(STAGE, summary, notable=True))
            return answer
    said = first_line(answer.errors) or first_line(answer.output) or f"exit status {answer.status}"
    raise EngineError(f"{engine} did not take the image: {said}", hint=f"See that {engine} works and has room on its disk.")


def present(engine: str, reporter: Reporter) -> None:
    """Says that nothing had to be sent."""
    reporter(StageStarted(STAGE))
    reporter(StageFinished(STAGE, f"{engine} has the image already"))


def shared_bottom(image: Image, others: Collection[Sequence[str]]) -> frozenset[str]:
    """The digests of the layers, from the bottom up, that one of the other images has too; those come as lists of diff_ids."""
    ours = [layer.diff_id for layer in image.layers]
    most = max((_common(ours, other) for other in others), default=0)
    return frozenset(layer.descriptor.digest for layer in image.layers[:most])


def _common(ours: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for one, two in zip(ours, other, strict=False):
        if one != two:
            break
        count += 1
    return count


def _counted(chunks: Iterator[bytes], engine: str, total: int, reporter: Callable[[Moved], None]) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        reporter(Moved(STAGE, engine, min(done, total), total))
