"""Lock requests for directories that need no command to start."""

from datetime import date
from pathlib import Path
from typing import Any

from shipwheel.locking.inputs import LockRequest
from shipwheel.project.lock_inputs import read_lock_inputs
from shipwheel.project.metadata import read_metadata
from shipwheel.user.files import UserFiles

__all__ = ["lock_path", "lock_request", "read_again"]


def lock_request(
    root: Path, python: str, requirements: tuple[Path, ...] = (), *, script: Path | None = None, as_of: str = "", **choices: Any
) -> LockRequest:
    """Read a directory as it is now; `as_of` is a day ("2024-09-15")."""
    files, pipfile = UserFiles(), root / "Pipfile"
    decides = not requirements and script is None and pipfile.is_file() and read_metadata(files, root) is None
    inputs = read_lock_inputs(files, root, requirements=requirements or None, script=script, pipfile=pipfile if decides else None)
    return LockRequest(inputs, python, date.fromisoformat(as_of) if as_of else None, **choices)


def read_again(request: LockRequest) -> LockRequest:
    """Return a request for the same files as they are now."""
    inputs = request.inputs
    requirements = tuple(inputs.requirements.files)[:1] if inputs.requirements is not None else ()
    choices = {name: getattr(request, name) for name in ("extras", "groups", "added", "accelerator", "accelerator_index", "indexes")}
    script = inputs.root / inputs.script.origin if inputs.script is not None else None
    return lock_request(inputs.root, request.python, requirements, script=script, as_of=request.day, **choices)


def lock_path(root: Path) -> Path:
    """Return where shipwheel's lock of a directory is."""
    return lock_request(root, "3.11").inputs.lock_path
