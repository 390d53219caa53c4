"""What is mounted into a container, and what its environment is: as users write it."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from shipwheel.engine.interface import Mount
from shipwheel.errors import UsageError

__all__ = ["parse_env", "parse_mount", "read_env_file", "slug", "unwritable", "with_volumes"]

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_DRIVE = re.compile(r"[a-zA-Z]:[\\/]")


def parse_mount(text: str) -> Mount:
    """Reads `NAME:/path`, `DIR:/path[:ro|:rw]`, `/path`; a source with a slash or a leading dot is a path of this machine.

    Raises UsageError for anything else, and for a path that is not there: docker would make a directory that belongs to root.
    """
    drive = text[:2] if _DRIVE.match(text) else ""
    source, *rest = text[len(drive) :].split(":")
    source = drive + source
    mode = rest.pop() if len(rest) == 2 else ""
    target = rest[0] if rest else source
    if len(rest) > 1 or mode not in ("", "ro", "rw") or not target.startswith("/") or target == "/" or ".." in target.split("/"):
        raise UsageError(f"-v {text}: not a volume", hint="Write NAME:/path/in/the/container or DIRECTORY:/path/in/the/container[:ro].")
    target = str(PurePosixPath(target))
    if not rest:
        return Mount("", target)
    if drive or "/" in source or source.startswith((".", "~")):
        path = Path(source).expanduser().absolute()
        if not path.exists():
            raise UsageError(f"-v {text}: {path} does not exist", hint="Make it first, or give a name without a slash for a named volume.")
        return Mount(str(path), target, mode == "ro")
    if not _NAME.fullmatch(source):
        raise UsageError(
            f"-v {text}: {source!r} is not the name of a volume", hint="Names are letters, digits, `_`, `.` and `-`, two at least."
        )
    return Mount(source, target, mode == "ro")


def with_volumes(volumes: Iterable[str], asked: Sequence[Mount], project: str, *, ephemeral: bool) -> tuple[Mount, ...]:
    """What was asked for, and a volume for each of the image's others: named after the project, so that its data is there next time."""
    taken = {mount.target.rstrip("/") for mount in asked}
    own = sorted({str(PurePosixPath("/", volume)) for volume in volumes} - taken)
    return (*asked, *(Mount("" if ephemeral else f"{slug(project)}-{slug(volume)}", volume) for volume in own))


def slug(text: str) -> str:
    """A name for volumes and containers, of letters, digits and dashes."""
    return re.sub(r"[^a-zA-Z0-9]+", "-", text).strip("-").lower() or "app"


def unwritable(mounts: Iterable[Mount], user: str) -> tuple[str, ...]:
    """The directories of this machine that are mounted for writing, and that a numeric `UID[:GID]` may not write to."""
    uid, _, gid = user.partition(":")
    if not uid.isdecimal() or uid == "0" or os.name == "nt":
        return ()
    group = int(gid) if gid.isdecimal() else int(uid)
    found = []
    for mount in mounts:
        if mount.is_path and not mount.read_only and (path := Path(mount.source)).is_dir():
            status = path.stat()
            shift = 6 if status.st_uid == int(uid) else 3 if status.st_gid == group else 0
            if (status.st_mode >> shift) & 0o3 != 0o3:
                found.append(mount.source)
    return tuple(found)


def parse_env(texts: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Reads `NAME=VALUE`, and `NAME` for the value that this machine's environment has; one that it does not have is left out."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or any(char.isspace() or char == "\0" for char in name) or "\0" in value:
            raise UsageError(f"-e {name}: not a variable", hint="Write -e NAME=VALUE.")
        if equals:
            found[name] = value
        elif name in environment:
            found[name] = environment[name]
    return found


def read_env_file(path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Reads a file of variables as docker does: a line each, values as they are, `#` for comments, `NAME` alone for this machine's value.

    Raises UsageError that names the line, never what is in it.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or error) if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(
            f"--env-file {path} cannot be read: {why}", hint="Name a file with a line NAME=VALUE for each variable."
        ) from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.lstrip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not name or "\0" in text or re.search(r"\s", name):
            raise UsageError(f"--env-file {path}, line {number}: not a variable", hint="Write NAME=VALUE, without spaces in the name.")
        if equals:
            found[name] = value
        elif name in environment:
            found[name] = environment[name]
    return found
