"""A sandbox for programs of others that this machine has to run: bubblewrap, where it works.

A program in it sees /usr read-only, the directories that it is given, and nothing else of this machine: no home directory, no other
process, no network unless it is allowed.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from shipwheel.container.devices import device_flags
from shipwheel.errors import BuildError

__all__ = [
    "SANDBOX_USER",
    "bubblewrap",
    "bubblewrap_user",
    "confined",
    "confined_in_root",
    "interpreter_paths",
    "is_available",
    "is_for_loader",
    "linked_directory",
    "network_binds",
    "top_directories",
    "with_variables",
]

_LOADER_VARIABLES = frozenset({"GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH"})
"""Variables besides LD_… that make the C library load files."""

_SYSTEM_DIRECTORIES = ("bin", "lib", "lib32", "lib64", "sbin")
"""Directories in / that are links into /usr, or stand beside it."""
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/nix/store")
_NETWORK_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/gai.conf")
_START_TIMEOUT_S = 20
SANDBOX_USER = 65532
"""The number of the user, and of its group, that every sandbox has, docker's and podman's, too."""
_MAX_NAMESPACES = Path("/proc/sys/user/max_user_namespaces")
_HOST = "build"
"""The name of the host, which some builds write into what they make."""

_QUERY = """
import os, sys
for path in os.path.realpath(getattr(sys, "_base_executable", sys.executable)), sys.base_prefix, sys.base_exec_prefix:
    print(path)
"""
_QUERY_TIMEOUT_S = 60


def is_available() -> bool:
    """Return whether bubblewrap is installed and may make its namespaces: some systems and containers forbid that."""
    program = shutil.which("bwrap") if sys.platform == "linux" else None
    return program is not None and _may_start(program)


@lru_cache(maxsize=8)
def _may_start(program: str) -> bool:
    command = confined(["/usr/bin/env", "true"], writable=(), readable=(), network=False, program=program)
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=_START_TIMEOUT_S).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def bubblewrap_user() -> tuple[int, int]:
    """Return the numbers of the user and the group in bubblewrap: the caller's where the kernel gives no user namespaces."""
    try:
        has_namespaces = int(_MAX_NAMESPACES.read_bytes()) > 0
    except (OSError, ValueError):
        has_namespaces = True
    return (SANDBOX_USER, SANDBOX_USER) if has_namespaces else (os.getuid(), os.getgid())


def confined(
    command: Sequence[str],
    *,
    writable: Iterable[Path],
    readable: Iterable[Path],
    network: bool,
    placed: Mapping[Path, Path] = MappingProxyType({}),
    program: str = "",
) -> list[str]:
    """Return the command that runs another one in the sandbox.

    Args:
        command: The program and its arguments; its environment and its working directory stay as they are.
        writable: Directories and files that it may change, at the same paths.
        readable: Further ones that it may read, also in a directory that it may change.
        network: Allow it the network of this machine.
        placed: Paths in the sandbox, and the directories of this machine that it finds and may change there.
        program: The path of bubblewrap, where PATH is not the caller's.
    """
    binds = {
        **{path: ("--ro-bind", path) for path in _existing(readable)},
        **{path: ("--bind", path) for path in _existing(writable)},
        **{form: ("--bind", str(source)) for path, source in placed.items() for form in _forms(path)},
    }
    # Parents first: a later mount hides what is below it.
    mounts = [word for path in sorted(binds) for word in (*binds[path], path)]
    return [program or bubblewrap(), *_isolation(network), *_system(network), *mounts, "--", *command]


def bubblewrap() -> str:
    """Return the path of bubblewrap. By its name it would be looked for on the PATH of the build, which has programs of others."""
    return shutil.which("bwrap") or "bwrap"


def _forms(path: Path) -> Iterable[str]:
    """Return a path, and the one without links in it, which is that of the working directory and what many programs make of the first."""
    return dict.fromkeys((str(path), os.path.realpath(path)))


def interpreter_paths(python: str) -> tuple[Path, ...]:
    """Return an interpreter's executable, outside of any virtual environment, and the directories that it needs.

    Raise BuildError if it does not start.
    """
    try:
        # Another interpreter may get the same path: a newer one, or that of a virtual environment that is made anew.
        executable = Path(python).resolve()
        return _interpreter_paths(python, executable, executable.stat().st_mtime_ns)
    except (OSError, subprocess.SubprocessError) as error:
        raise BuildError(f"{python} does not start: {error}", hint="Install this Python again.") from error


@lru_cache(maxsize=8)
def _interpreter_paths(python: str, *_: Path | int) -> tuple[Path, ...]:
    done = subprocess.run([python, "-I", "-c", _QUERY], capture_output=True, text=True, check=True, timeout=_QUERY_TIMEOUT_S)
    executable, *prefixes = map(Path, done.stdout.splitlines())
    return tuple(dict.fromkeys((executable, executable.parent, *prefixes)))


def network_binds() -> dict[str, tuple[Path, bool]]:
    """Return the files of this machine that a program needs to reach servers, for `confined_in_root`."""
    return {path: (Path(path), False) for path in _NETWORK_FILES if Path(path).exists()}


def confined_in_root(
    command: Sequence[str], root: Path, binds: Mapping[str, tuple[Path, bool]], directory: str, *, network: bool = False
) -> list[str]:
    """Return the command that runs another one in the sandbox with the programs and libraries of `root`.

    Args:
        command: The program and its arguments, with paths of the sandbox.
        root: A directory with `usr`, into which most systems merge the directories beside it. No `linked_directory` may be in it.
        binds: Paths in the sandbox, each with a path of this machine and whether it may be changed. Nothing else can be changed.
        directory: The working directory in the sandbox.
        network: Allow it the network of this machine. `binds` then have all of /etc.
    """
    words = ["--ro-bind", str(root / "usr"), "/usr", "--proc", "/proc", *device_flags()]
    for name, own in top_directories(root):
        words += ["--symlink", f"usr/{name}", f"/{name}"] if own is None else ["--ro-bind", str(own), f"/{name}"]
    if (root / "etc").is_dir() and not network:
        words += ["--ro-bind", str(root / "etc"), "/etc"]
    if (root / "opt").is_dir():
        words += ["--ro-bind", str(root / "opt"), "/opt"]
    for inside in sorted(binds):
        path, writable = binds[inside]
        words += ["--bind" if writable else "--ro-bind", str(path), inside]
    # The sandbox's own directories are in memory.
    words += ["--remount-ro", "/dev", "--remount-ro", "/"]
    return [bubblewrap(), *_isolation(network), *words, "--chdir", directory, "--", *command]


def linked_directory(root: Path) -> str:
    """Return the name of a directory of `root` that is a link; empty if none is. The sandbox would follow it on this machine."""
    return next((name for name in ("usr", "opt", "etc") if (root / name).is_symlink()), "")


def top_directories(root: Path) -> Iterator[tuple[str, Path | None]]:
    """Yield the directories beside `usr` that programs and the C library need: (name, path), without a path for a link into `usr`."""
    for name in _SYSTEM_DIRECTORIES:
        path = root / name
        if path.is_dir() and not path.is_symlink():
            yield name, path
        elif (root / "usr" / name).is_dir():
            yield name, None


def with_variables(command: Sequence[str], variables: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return a command of bubblewrap and its environment, so that the program in the sandbox has the variables.

    bubblewrap itself runs outside: LD_PRELOAD in its environment would run a library of the project there. It sets such variables inside.
    """
    inside = {name: value for name, value in variables.items() if is_for_loader(name)}
    words = [word for name, value in inside.items() for word in ("--setenv", name, value)]
    return [command[0], *words, *command[1:]], {name: value for name, value in variables.items() if name not in inside}


def is_for_loader(name: str) -> bool:
    """Return whether a variable makes the C library load files into every program that has it."""
    return name.startswith("LD_") or name in _LOADER_VARIABLES


def _isolation(network: bool) -> Iterator[str]:
    # If root starts bubblewrap, the program keeps all of root's capabilities unless they are dropped.
    yield from ("--unshare-all", "--cap-drop", "ALL", "--new-session", "--die-with-parent", "--hostname", _HOST)
    # As root, tar and Python's tarfile want to give the files of an archive to their owners, which root without capabilities cannot.
    uid, gid = bubblewrap_user()
    if uid == SANDBOX_USER:
        yield from ("--uid", str(uid), "--gid", str(gid))
    if network:
        yield "--share-net"


def _system(network: bool) -> Iterator[str]:
    yield from ("--proc", "/proc", *device_flags(), "--tmpfs", "/tmp", "--dir", "/var/tmp", "--ro-bind", "/usr", "/usr")  # noqa: S108
    for name in _SYSTEM_DIRECTORIES:
        path = f"/{name}"
        if Path(path).is_symlink():
            yield from ("--symlink", os.readlink(path), path)  # noqa: PTH115 - the link as it is
        elif Path(path).is_dir():
            yield from ("--ro-bind", path, path)
    for path in (*_SYSTEM_FILES, *(_NETWORK_FILES if network else ())):
        yield from ("--ro-bind-try", path, path)


def _existing(paths: Iterable[Path]) -> Iterator[str]:
    """Yield the paths that exist and that the sandbox does not have anyway."""
    below_usr = Path("/usr")
    yield from (form for path in paths if path.exists() and not path.is_relative_to(below_usr) for form in _forms(path))
