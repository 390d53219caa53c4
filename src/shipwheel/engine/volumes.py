"""Volumes for engines that have none: directories of this machine, below the user's data directory."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shipwheel.engine.interface import RunSpec
from shipwheel.errors import EngineError

__all__ = ["logs_root", "volumes", "volumes_root"]


def volumes_root() -> Path:
    """Where named volumes are kept."""
    return _data() / "volumes"


def logs_root() -> Path:
    """Where what containers say is kept for engines that do not keep it."""
    return _data() / "logs"


@contextmanager
def volumes(spec: RunSpec, *, chown: bool) -> Iterator[tuple[tuple[str, str, str], ...]]:
    """(directory of this machine, path in the container, rw or ro) of every mount; throwaway ones are gone after the block.

    A new volume belongs to the container's user if it is to be given to it (`chown`). Raises EngineError if it cannot be made.
    """
    owner = (spec.user or spec.config.user) if chown and hasattr(os, "geteuid") and os.geteuid() == 0 else ""
    temporary: list[Path] = []
    try:
        found = []
        for mount in spec.mounts:
            if mount.is_path:
                source = Path(mount.source)
            elif mount.source:
                source = _made(volumes_root() / mount.source, owner)
            else:
                temporary.append(Path(tempfile.mkdtemp(prefix="shipwheel-volume-")))
                source = _owned(temporary[-1], owner)
            found.append((str(source), mount.target, "ro" if mount.read_only else "rw"))
        yield tuple(found)
    except OSError as error:
        hint = "Set XDG_DATA_HOME to a directory that you can write to, or use --ephemeral."
        raise EngineError(f"a volume cannot be made: {error.filename}: {error.strerror or error}", hint=hint) from error
    finally:
        for directory in temporary:
            shutil.rmtree(directory, ignore_errors=True)


def _data() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("shipwheel")).absolute()


def _made(directory: Path, owner: str) -> Path:
    if directory.is_dir():
        return directory
    directory.mkdir(parents=True)
    return _owned(directory, owner)


def _owned(directory: Path, owner: str) -> Path:
    directory.chmod(0o755)
    uid, _, gid = owner.partition(":")
    if uid.isdecimal():
        os.chown(directory, int(uid), int(gid) if gid.isdecimal() else int(uid))
    return directory
