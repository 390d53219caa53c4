"""Layers that are checked while others are still made: the validation of the image then has little left to do."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from shipwheel.oci.layer import Layer, layer_chunks
from shipwheel.oci.read.image_files import StreamedFile
from shipwheel.oci.validate.check import check_early
from shipwheel.store.store import Store

__all__ = ["EarlyChecks"]


class EarlyChecks:
    """Checks layers one after the other, in a thread beside those that make them.

    A context manager: a check that has begun at its end is waited for, unless there is an error; others do not begin.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="check")

    def __enter__(self) -> "EarlyChecks":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown(wait=kind is None, cancel_futures=True)

    def add(self, layer: Layer) -> None:
        """Check a layer whose parts are in the store, when those before it are checked."""
        file = StreamedFile(layer.size, partial(layer_chunks, layer, self._store))
        self._pool.submit(check_early, file, layer.digest, layer.compression.value, self._store)
