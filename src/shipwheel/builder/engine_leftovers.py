"""Containers and images that builds make in an engine: each has its process in its name, so that the next build removes a killed one's."""

import hashlib
import os
import platform
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path

from shipwheel.builder.engine_client import SANDBOX_LABEL, EngineClient
from shipwheel.errors import BuildError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.platform import boot_id

__all__ = ["STEP_IMAGES", "new_name", "remove_leftovers"]

STEP_IMAGES = "shipwheel-steps"
_ANSWER_S = 30.0
"""How long an engine may take for each answer: a container that hangs must not stop the next build."""
_NAME = lazy_pattern(r"(?:.*[:/])?([0-9a-f]{12})-(\d+)-[0-9a-f]{32}")


def new_name() -> str:
    """Return a name that no other container has, with this process in it."""
    return f"{_system()}-{os.getpid()}-{uuid.uuid4().hex}"


def remove_leftovers(client: EngineClient) -> None:
    """Remove what processes of this machine have made in an engine that no longer run. An engine can serve others, too."""
    with suppress(BuildError):
        containers = client.call("ps", "--all", f"--filter=label={SANDBOX_LABEL}", "--format={{.Names}}", timeout=_ANSWER_S).split()
        images = client.call("image", "ls", "--format={{.Repository}}:{{.Tag}}", STEP_IMAGES, timeout=_ANSWER_S).split()
        removals = [("rm", "--force", "--volumes", name) for name in filter(_is_left, containers)]
        removals += [("image", "rm", "--force", name) for name in filter(_is_left, images)]
        for words in removals:
            with suppress(BuildError):
                client.call(*words, timeout=_ANSWER_S)


def _is_left(name: str) -> bool:
    found = _NAME.fullmatch(name)
    return found is not None and found[1] == _system() and not _runs(int(found[2]))


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True


@cache
def _system() -> str:
    """Return a name of those processes whose numbers this one can tell: those since this start of the machine, in its container."""
    facts = [platform.node(), f"{uuid.getnode():x}"]
    with suppress(OSError):
        facts = [boot_id(), str(Path("/proc/self/ns/pid").stat().st_ino)]
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:12]
