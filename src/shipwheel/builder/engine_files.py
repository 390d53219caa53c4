"""Files on their way into a container and back: a tar stream in each direction, since the engine may be on another machine.

What comes back was made by programs of others. Nothing is written through a link: each file's directory must have come back before it.
"""

import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from shipwheel.errors import BuildError
from shipwheel.files.entry import checked_path

__all__ = ["add_directory", "add_tree", "read_archive", "replace_content", "tar_stream"]

_CHUNK = 1 << 20
_HINT = "Check that docker or podman works and is up to date, and try again."
_EXECUTE_FOR_ALL, _READ_FOR_ALL = 0o111, 0o444


def tar_stream(stream: IO[bytes]) -> tarfile.TarFile:
    """Return an archive that is written to a stream."""
    return tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape", bufsize=_CHUNK)


def add_tree(
    archive: tarfile.TarFile,
    path: Path,
    inside: str,
    owner: tuple[int, int],
    check: Callable[[], None] = lambda: None,
    *,
    recursive: bool = True,
) -> None:
    """Add a file, or a directory with everything in it, or by itself without `recursive`, under the path `inside`.

    A link stays one. The user and group `owner` own it, and all may read it. `check` is called for each file, and may raise.
    """

    def owned(member: tarfile.TarInfo) -> tarfile.TarInfo:
        check()
        member.uid, member.gid = owner
        member.uname = member.gname = ""
        executable = member.isdir() or member.mode & stat.S_IXUSR
        member.mode |= _READ_FOR_ALL | (_EXECUTE_FOR_ALL if executable else 0)
        return member

    archive.add(path, inside.lstrip("/"), recursive, filter=owned)


def add_directory(archive: tarfile.TarFile, inside: str, mode: int) -> None:
    """Add an empty directory that belongs to root."""
    entry = tarfile.TarInfo(inside)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    archive.addfile(entry)


def replace_content(directory: Path, stream: IO[bytes], *, in_one: bool = True) -> None:
    """Give a directory the content of an archive, with its modes and times. Devices and pipes are left out.

    The files are those of its one directory, or without `in_one` all.

    Raise BuildError if the archive has files that are in none of its directories, or ends too early.
    """
    for entry in list(os.scandir(directory)):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            Path(entry.path).unlink()
    times = list[tuple[Path, float]]()
    with read_archive(stream, in_one=in_one) as entries:
        made = {""}
        for archive, member, path in entries:
            if not path:
                continue
            if checked_path(path, "the engine's archive").rpartition("/")[0] not in made or path in made:
                raise BuildError(f"the engine returned {path[:200]!r} outside of its directory", hint=_HINT)
            if member.isdir():
                made.add(path)
                times.append((directory / path, member.mtime))
            if not member.islnk() or _path_in(member.linkname, in_one=in_one).rpartition("/")[0] in made:
                _write(archive, member, directory / path, directory / _path_in(member.linkname, in_one=in_one))
    for target, time in reversed(times):
        with suppress(OSError):
            os.utime(target, (time, time))


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path, linked: Path) -> None:
    """Write an entry; `linked` is the file that a hard link refers to."""
    if member.isdir():
        target.mkdir()
        target.chmod(member.mode & 0o777 | stat.S_IRWXU)
    elif member.issym():
        target.symlink_to(member.linkname)
    elif member.islnk():
        os.link(linked, target, follow_symlinks=False)
    elif member.isreg() and (content := archive.extractfile(member)) is not None:
        with target.open("xb") as file:
            shutil.copyfileobj(content, file, _CHUNK)
        target.chmod(member.mode & 0o777 | stat.S_IRUSR | stat.S_IWUSR)
        os.utime(target, (member.mtime, member.mtime))


@contextmanager
def read_archive(stream: IO[bytes], *, in_one: bool = True) -> Iterator[Iterator[tuple[tarfile.TarFile, tarfile.TarInfo, str]]]:
    """Yield the entries of an archive, each with its path, which is that in its one directory with `in_one`.

    Raise BuildError if it cannot be read.
    """
    try:
        with tarfile.open(fileobj=stream, mode="r|", encoding="utf-8", errors="surrogateescape") as archive:
            yield ((archive, member, _path_in(member.name, in_one=in_one)) for member in archive)
    except tarfile.TarError as error:
        raise BuildError(f"the engine's files cannot be read: {error}", hint=_HINT) from error


def _path_in(name: str, *, in_one: bool) -> str:
    path = name.removeprefix("./").strip("/")
    return path.partition("/")[2] if in_one else path
