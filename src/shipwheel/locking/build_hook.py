"""Run build backends for uv in the sandbox: the part of the program that stands for its Python, after `build_entry`.

uv starts a script that calls the backend and writes what it returns into the build's virtual environment. That script runs in the sandbox.
It sees the interpreter, the environment and the source, and can change the source alone. The text files that it writes beside those of the
environment are brought to uv afterwards.

Only the standard library is imported, so that this starts quickly.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from shipwheel.cleanup.kill import kill_with_children
from shipwheel.locking.bounds import BOUNDS_HINT, Bounds, BoundsWatch
from shipwheel.locking.environment import build_variables, locale_variables, network_variables
from shipwheel.locking.sandbox import confined
from shipwheel.locking.stated_metadata import answer_from_source
from shipwheel.project.git_history import format_settings

__all__ = ["BOUNDS", "NETWORK", "READABLE", "SANDBOX", "SCRATCH", "STATED", "WITHHELD", "call_backend", "drop_others"]

WITHHELD = "SHIPWHEEL_UV_VARIABLES"
"""The names of the variables that uv was started with. What it adds is for the backend: the settings of its extra-build-variables."""
READABLE = "SHIPWHEEL_BUILD_READABLE"
"""The user's directories, or private copies of them: a build in one may read all of it."""
NETWORK = "SHIPWHEEL_BUILD_NETWORK"
"""Normalized names of the packages whose builds may use the network."""
BOUNDS = "SHIPWHEEL_BUILD_BOUNDS"
"""The seconds that one call of a backend may take, and the bytes that it may fill."""
STATED = "SHIPWHEEL_BUILD_STATED"
"""Normalized names of the packages whose backends fail with this Python: what their sources state counts."""
SANDBOX = "SHIPWHEEL_BUILD_SANDBOX"
"""The path of bubblewrap: the first directory of PATH has the programs of the build's requirements."""

SCRATCH = "SHIPWHEEL_BUILD_SCRATCH"
"""The directory for files of this program: whoever started uv removes it."""

_POLL_S = 0.02
_METADATA = "metadata_directory"
"""The directory in the environment for what prepare_metadata_for_build_wheel writes."""
_MAX_ASKED = 4
"""Versions of a package whose backends are asked in one run of uv. It may look through dozens for one that fits, and each takes seconds."""


def call_backend(arguments: Sequence[str], link: str, words: Sequence[str], directory: str) -> int:
    """Run uv's script in the sandbox with the interpreter of the virtual environment that `link` is in, and return the exit code.

    `arguments` are the interpreter's executable and directories, `words` those of the script, `directory` is that of the source.
    """
    paths, called, source = tuple(map(Path, arguments)), Path(link), Path(directory)
    venv = called.parent.parent
    cache = venv.parent.parent
    if _is_one_of_many(source, cache) and answer_from_source(words[-1], source, venv, venv / _METADATA):
        return 0
    around, network = _around(source, cache), _may_use_network(source, cache)
    with tempfile.TemporaryDirectory(dir=os.environ[SCRATCH]) as name:
        place, programs = Path(name, "venv"), Path(name, "bin")
        place.mkdir()
        programs.mkdir()
        # In place of this program, the environment's link leads to the interpreter.
        (programs / called.readlink().name).symlink_to(paths[0])
        results = [venv / _METADATA, *_wheel_directories(words, venv)]
        command = confined(
            [str(called), *words],
            writable=(source, *results),
            readable=(*paths[1:], around, around / ".git", *_lay_out(venv, place, paths[0])),
            network=network,
            placed={venv: place, called.readlink().parent: programs, **_stand_ins(around / ".git", Path(name))},
            program=os.environ[SANDBOX],
        )
        code = _run(command, _environment(os.environ, network=network), (source, *results, Path(name)))
        _bring(place, venv)
        for path in results:
            drop_others(path)
    if code and _name_of(source, cache) in os.environ.get(STATED, "").split():
        return 0 if answer_from_source(words[-1], source, venv, venv / _METADATA) else code
    return code


def _run(command: Sequence[str], environment: Mapping[str, str], directories: Sequence[Path]) -> int:
    """Run a command that writes to directories, and return its exit code. Kill it at the bounds, and say so where uv finds it."""
    seconds, _, size = os.environ.get(BOUNDS, "").partition(" ")
    watch = BoundsWatch(threading.Event(), Bounds(float(seconds), int(size)) if size else Bounds(), directories)
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        while process.poll() is None:
            if watch.wait(_POLL_S):
                kill_with_children(process)
                sys.stderr.write(f"{watch.reason}. {BOUNDS_HINT}\n")
    return 1 if watch.reason else process.returncode


def _lay_out(venv: Path, place: Path, executable: Path) -> Iterator[Path]:
    """Fill the directory that stands for the environment, and yield what it gets from there, to be read only."""
    for entry in os.scandir(venv):
        if entry.is_symlink():
            (place / entry.name).symlink_to(Path(entry.path).readlink())
        elif entry.is_dir() and entry.name != _METADATA:
            (place / entry.name).mkdir()
            yield Path(entry.path)
    settings = (venv / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    lines = (f"home = {executable.parent}" if line.startswith("home =") else line for line in settings)
    (place / "pyvenv.cfg").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _stand_ins(git: Path, place: Path) -> dict[Path, Path]:
    """Return what stands in for parts of a repository's directory: settings without passwords, and no submodules.

    git writes the password of the repository's URL into the settings of submodules whose URL is relative.
    """
    found = {}
    settings, modules = git / "config", git / "modules"
    if settings.is_file():
        found[settings] = place / "git-config"
        found[settings].write_bytes(format_settings(settings.read_bytes().decode("latin-1")).encode("latin-1"))
    if modules.is_dir():
        found[modules] = place / "git-modules"
        found[modules].mkdir()
    return found


def _bring(place: Path, venv: Path) -> None:
    """Copy the files that uv's script wrote beside those of the environment. A backend may have put anything there, links as well."""
    for entry in os.scandir(place):
        if entry.name.endswith(".txt") and entry.is_file(follow_symlinks=False):
            shutil.copyfile(entry.path, venv / entry.name)


def drop_others(directory: Path) -> None:
    """Remove all but files and directories: links could lead uv to any file of this machine, and pipes would let it wait forever."""
    for folder, folders, names in os.walk(directory):
        for path in (Path(folder, name) for name in (*folders, *names)):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                path.unlink()


def _wheel_directories(words: Sequence[str], venv: Path) -> Iterator[Path]:
    """Yield the empty directories beside the environment that uv's script names: it puts a wheel there."""
    for text in {part for word in words for part in word.split('"')}:
        if text.startswith(f"{venv.parent}/"):
            path = Path(text)
            if path.parent == venv.parent and path.is_dir() and not any(path.iterdir()):
                yield path


def _around(source: Path, cache: Path) -> Path:
    """Return the directory around a source that belongs to it: a repository, what an archive had, or one of the user's."""
    if source.is_relative_to(cache):
        # git-v0/checkouts/<repository>/<commit>, and sdists-v9/<kind>/<…>/src. The cache may be in a directory of the user's.
        parts = source.relative_to(cache).parts
        if parts[1] == "checkouts":
            return cache.joinpath(*parts[:4])
        return cache.joinpath(*parts[: parts.index("src") + 1]) if "src" in parts else source
    readable = filter(None, os.environ.get(READABLE, "").split(os.pathsep))
    return next((Path(directory) for directory in readable if source.is_relative_to(directory)), source)


def _may_use_network(source: Path, cache: Path) -> bool:
    names = os.environ.get(NETWORK, "").split()
    return bool(names) and _name_of(source, cache) in names


def _name_of(source: Path, cache: Path) -> str:
    """Return the normalized name of the package: by its place in uv's cache, else as its pyproject.toml states it; empty if unknown."""
    import tomllib

    from shipwheel.versions import normalized

    parts = source.relative_to(cache).parts if source.is_relative_to(cache) else ()
    if parts[1:2] == ("pypi",):
        return normalized(parts[2])
    if parts[1:2] == ("index",):
        return normalized(parts[3])
    try:
        tables = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return normalized(str(tables.get("project", {}).get("name", "")))


def _is_one_of_many(source: Path, cache: Path) -> bool:
    """Return whether uv has asked for as many other versions of a package of an index as are worth it; note this one if not."""
    parts = source.relative_to(cache).parts if source.is_relative_to(cache) else ()
    if parts[1:2] not in (("pypi",), ("index",)):
        return False
    asked = Path(os.environ[SCRATCH], "asked", _name_of(source, cache))
    asked.mkdir(parents=True, exist_ok=True)
    version = asked / parts[parts.index("src") - 2 if "src" in parts else -1]
    if not version.exists() and sum(1 for _ in asked.iterdir()) >= _MAX_ASKED:
        return True
    version.touch()
    return False


def _environment(environ: Mapping[str, str], *, network: bool) -> dict[str, str]:
    """Return what a backend gets of the environment: what uv added for it, and what decides the result of a build."""
    withheld = {*environ.get(WITHHELD, "").split(), WITHHELD, READABLE, NETWORK, BOUNDS, STATED, SANDBOX, SCRATCH}
    return {
        **{name: value for name, value in environ.items() if name not in withheld},
        **locale_variables(environ),
        **build_variables(environ),
        **(network_variables(environ) if network else {}),
        "HOME": "/tmp",  # noqa: S108 - the sandbox's own
        "PATH": environ.get("PATH", os.defpath),
    }
