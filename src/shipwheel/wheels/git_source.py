"""Requirements that are git repositories: cloned at the locked commit, with their submodules."""

import os
import subprocess
from pathlib import Path

from shipwheel.errors import BuildError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.locking.selection import LockedDistribution

__all__ = ["checkout"]

_TIMEOUT_S = 900
_MAX_CHARACTERS = 500
_COMMIT = lazy_pattern(r"[0-9a-f]{40}([0-9a-f]{24})?")
_PROTOCOLS = "https:ssh:http:git"
"""The transports for a repository and its submodules. Others of git's run programs that the URL names."""
_SETTINGS = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "advice.detachedHead=false")


def checkout(dist: LockedDistribution, directory: Path) -> Path:
    """Clone a repository at the locked commit with its submodules, and return the directory of the package in it.

    Raise BuildError if that fails, or if the lock has no full commit.
    """
    commit, label = dist.commit.lower(), dist.label
    if _COMMIT.fullmatch(commit) is None:
        raise BuildError(f"{label}: {dist.commit!r} in the lock is not a whole commit", hint="Lock again: shipwheel lock --upgrade.")
    url = dist.urls[0] if dist.urls else str(dist.path)
    # A repository on this machine may have submodules on it; one from elsewhere must not read this machine's.
    # The user's git may take another place for a URL (url.<base>.insteadOf).
    place = _git(["ls-remote", "--get-url", "--", url], label, _PROTOCOLS)
    is_local = dist.path is not None or place.startswith(("file:", "/"))
    protocols = f"{_PROTOCOLS}:file" if is_local else _PROTOCOLS
    _git(["clone", "--quiet", "--no-checkout", "--", url, str(directory)], label, protocols)
    inside = ["-C", str(directory)]
    if not _has(directory, commit):
        _git([*inside, "fetch", "--quiet", "origin", commit], label, protocols)
    _git([*inside, "checkout", "--quiet", "--detach", commit], label, protocols)
    _git([*inside, "submodule", "--quiet", "update", "--init", "--recursive"], label, protocols)
    found = _git([*inside, "rev-parse", "HEAD"], label, protocols)
    if found != commit:
        raise BuildError(f"{label}: git checked out {found}, not the locked {commit}", hint="Do not use this repository.")
    return directory / dist.subdirectory


def _has(directory: Path, commit: str) -> bool:
    command = ["git", "-C", str(directory), "cat-file", "-e", f"{commit}^{{commit}}"]
    return subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL).returncode == 0


def _git(arguments: list[str], label: str, protocols: str) -> str:
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": protocols}
    try:
        done = subprocess.run(
            ["git", *_SETTINGS, *arguments], capture_output=True, check=False, env=env, timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{label}: cannot run git: {error}", hint="Install git: this requirement is a git repository.") from None
    if done.returncode != 0:
        text = done.stderr.decode(errors="replace").strip()[-_MAX_CHARACTERS:]
        raise BuildError(
            f"{label}: cannot read its repository: {text}", hint="Check the URL, the network, and that you have access to the repository."
        )
    return done.stdout.decode(errors="replace").strip()
