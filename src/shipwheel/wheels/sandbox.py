"""A sandbox for programs of others that this machine has to run: bubblewrap, where it works.

A program in it sees /usr read-only, the directories that it is given, and nothing else of this machine: no home directory, no other
process, no network unless it is allowed.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

__all__ = ["confined", "is_available"]

_SYSTEM_DIRECTORIES = ("bin", "lib", "lib32", "lib64", "sbin")
"""Directories in / that are links into /usr, or stand beside it."""
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime", "/nix/store")
_NETWORK_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/gai.conf")
_START_TIMEOUT_S = 20


@lru_cache(maxsize=1)
def is_available() -> bool:
    """Return whether bubblewrap is installed and may make its namespaces: some systems and containers forbid that."""
    if sys.platform != "linux" or shutil.which("bwrap") is None:
        return False
    command = confined(["/usr/bin/env", "true"], writable=(), readable=(), network=False)
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=_START_TIMEOUT_S).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def confined(command: Sequence[str], *, writable: Iterable[Path], readable: Iterable[Path], network: bool) -> list[str]:
    """Return the command that runs another one in the sandbox.

    Args:
        command: The program and its arguments; its environment and its working directory stay as they are.
        writable: Directories and files that it may change, at the same paths.
        readable: Further ones that it may read.
        network: Allow it the network of this machine.
    """
    binds = [
        *(word for path in _existing(readable) for word in ("--ro-bind", path, path)),
        *(word for path in _existing(writable) for word in ("--bind", path, path)),
    ]
    return ["bwrap", *_isolation(network), *_system(network), *binds, "--", *command]


def _isolation(network: bool) -> Iterator[str]:
    # If root starts bubblewrap, the program keeps all of root's capabilities unless they are dropped.
    yield from ("--unshare-all", "--cap-drop", "ALL", "--new-session", "--die-with-parent")
    if network:
        yield "--share-net"


def _system(network: bool) -> Iterator[str]:
    yield from ("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--dir", "/var/tmp", "--ro-bind", "/usr", "/usr")  # noqa: S108
    for name in _SYSTEM_DIRECTORIES:
        path = f"/{name}"
        if Path(path).is_symlink():
            yield from ("--symlink", os.readlink(path), path)  # noqa: PTH115 - the link as it is
        elif Path(path).is_dir():
            yield from ("--ro-bind", path, path)
    for path in (*_SYSTEM_FILES, *(_NETWORK_FILES if network else ())):
        yield from ("--ro-bind-try", path, path)


def _existing(paths: Iterable[Path]) -> Iterator[str]:
    """Yield the paths in an order in which a later mount hides none before it: parents first."""
    below_usr = Path("/usr")
    yield from sorted({str(path) for path in paths if path.exists() and not path.is_relative_to(below_usr)})
