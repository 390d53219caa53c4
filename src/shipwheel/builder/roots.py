"""An image's root in the sandbox of this machine."""

import threading
from pathlib import Path

from shipwheel.builder.engine_root import EngineRoot
from shipwheel.builder.engine_sandbox import EngineSandbox
from shipwheel.builder.sandboxes import Sandbox
from shipwheel.builder.step_run import ImageRoot
from shipwheel.locking.bounds import Bounds

__all__ = ["AnyRoot", "image_root"]

AnyRoot = ImageRoot | EngineRoot


def image_root(
    sandbox: Sandbox,
    root: Path,
    place: Path,
    user: str,
    directory: str,
    stop: threading.Event,
    bounds: Bounds,
    tools: Path | None = None,
) -> AnyRoot:
    """Return the unpacked files of an image in a sandbox. The values are those of `ImageRoot`."""
    if isinstance(sandbox, EngineSandbox):
        return EngineRoot(sandbox.client, root, place, user, directory, stop, bounds, tools)
    return ImageRoot(root, place, user, directory, stop, bounds, tools)
