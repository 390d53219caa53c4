"""An interpreter that PATH leads to, found without starting those of other versions."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from shipwheel.locking.process import run_process

__all__ = ["python_on_path"]

_ASK = "import sys; print('%s@%d.%d' % (sys.implementation.name, *sys.version_info[:2]), sys.executable)"
_TIMEOUT_S = 20.0


def python_on_path(minor: str, environment: Mapping[str, str]) -> Path | None:
    """Return the CPython of a minor version ("3.11") that the PATH of an environment names; None without one that starts.

    Programs of that name may stand for an interpreter: pyenv's start the real one, or fail.
    """
    for folder in dict.fromkeys(environment.get("PATH", "").split(os.pathsep)):
        found = shutil.which(f"python{minor}", path=folder) if folder else None
        if found is None:
            continue
        try:
            done = run_process([found, "-I", "-c", _ASK], env=environment, timeout=_TIMEOUT_S)
        except OSError:
            # It is for another processor, or a script whose interpreter is gone.
            continue
        version, _, executable = done.stdout.strip().partition(" ")
        if done.code == 0 and version == f"cpython@{minor}" and Path(executable).is_file():
            return Path(executable)
    return None
