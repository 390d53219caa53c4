"""The reader for each tool's lock, by file name."""

from collections.abc import Callable

from shipwheel.errors import LockError
from shipwheel.locking.formats.pdm import read_pdm_lock
from shipwheel.locking.formats.pipenv import read_pipfile_lock
from shipwheel.locking.formats.poetry import read_poetry_lock
from shipwheel.locking.formats.tool_lock import ToolLock
from shipwheel.locking.inputs import LockRequest
from shipwheel.project.lock_inputs import OtherLock

__all__ = ["read_tool_lock"]

_READERS: dict[str, tuple[str, Callable[[OtherLock, LockRequest], ToolLock]]] = {
    "poetry.lock": ("poetry", read_poetry_lock),
    "pdm.lock": ("pdm", read_pdm_lock),
    "Pipfile.lock": ("pipenv", read_pipfile_lock),
}


def read_tool_lock(lock: OtherLock, request: LockRequest) -> ToolLock:
    """Read a poetry.lock, pdm.lock or Pipfile.lock for the request's extras and groups. Raises LockError, ProjectError."""
    tool, read = _READERS[lock.path.name]
    try:
        return read(lock, request)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = f"{lock.path} does not have the format of {tool}: {type(error).__name__} {error}"
        raise LockError(message, hint=f"Make it again: {tool} lock.") from error
