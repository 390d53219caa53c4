"""An image's root in the sandbox of this machine."""

from shipwheel.builder.engine_root import EngineRoot
from shipwheel.builder.engine_sandbox import EngineSandbox
from shipwheel.builder.sandboxes import Sandbox
from shipwheel.builder.step_run import ImageRoot

__all__ = ["AnyRoot", "in_sandbox"]

AnyRoot = ImageRoot | EngineRoot


def in_sandbox(root: ImageRoot, sandbox: Sandbox) -> AnyRoot:
    """Return a root whose programs run in a sandbox."""
    return EngineRoot(sandbox.client, root) if isinstance(sandbox, EngineSandbox) else root
