"""Which reader a tool's lock has."""

from shipwheel.errors import LockError
from shipwheel.lock.formats.pdm import read_pdm_lock
from shipwheel.lock.formats.pipenv import read_pipfile_lock
from shipwheel.lock.formats.poetry import read_poetry_lock
from shipwheel.lock.formats.tool_lock import ToolLock
from shipwheel.lock.inputs import LockRequest
from shipwheel.project.lock_inputs import OtherLock

__all__ = ["read_tool_lock"]

_TOOLS = {"poetry.lock": "poetry", "pdm.lock": "pdm", "Pipfile.lock": "pipenv"}


def read_tool_lock(lock: OtherLock, request: LockRequest) -> ToolLock:
    """Read a poetry.lock, pdm.lock or Pipfile.lock for the request's extras and groups. Raises LockError, ProjectError."""
    path, inputs = lock.path, request.inputs
    tool = _TOOLS[path.name]
    try:
        if path.name == "poetry.lock":
            return read_poetry_lock(lock, inputs.tables, request.extras, request.groups)
        if path.name == "pdm.lock":
            return read_pdm_lock(lock, inputs.tables, request.extras, request.groups)
        return read_pipfile_lock(lock, inputs.pipfile, request.groups)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise LockError(
            f"{path} is not as {tool} writes it: {type(error).__name__} {error}", hint=f"Make it again: {tool} lock."
        ) from error
