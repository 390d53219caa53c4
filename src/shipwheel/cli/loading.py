"""Images into engines: what `build --load` and `run` share."""

from typing import TYPE_CHECKING

from shipwheel.events import Reporter

if TYPE_CHECKING:
    from shipwheel.oci.image import ImageIndex
    from shipwheel.oci.reference import Reference
    from shipwheel.store import Store

__all__ = ["load_into"]


def load_into(engine_name: str | None, index: "ImageIndex", store: "Store", name: "Reference", reporter: Reporter) -> str:
    """Makes an engine, the first that answers if none is named, have the image of its own platform; returns what to call it.

    Raises EngineError, UsageError, DamagedBlob as `engine.find` and `Engine.load` do.
    """
    from shipwheel.engine.find import find

    return find(engine_name, reporter).load(index, store, name, reporter)
