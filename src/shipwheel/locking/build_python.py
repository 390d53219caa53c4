"""An interpreter for uv that runs build backends in the sandbox.

While uv resolves, it asks the backends of packages without wheels for their metadata, as its own children: with its environment, which has
the passwords of indexes, and with everything that the user may read. It runs all of them with the interpreter that it is given, through
virtual environments that link to it. So it is given a program that stands for the interpreter, and starts `build_entry.py`.
"""

import hashlib
import os
import shlex
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from shipwheel.locking import build_hook
from shipwheel.locking.bounds import Bounds
from shipwheel.locking.sandbox import bubblewrap, interpreter_paths
from shipwheel.store.store import default_root
from shipwheel.versions import normalized

__all__ = ["build_limits", "build_python", "hook_variables"]

_SCRIPT = '#!/bin/sh\nexec {command} -- "$0" "$@"\n'
_CODE = "import sys; sys.path.insert(0, {root!r}); from shipwheel.locking.build_entry import main; sys.exit(main(sys.argv[1:]))"


def build_python(python: str) -> Path:
    """Return the program that stands for an interpreter. Raise BuildError if the interpreter does not start."""
    executable = Path(python).resolve()
    hook = (sys.executable, "-I", "-S", "-c", _CODE.format(root=str(Path(build_hook.__file__).parents[2])))
    info = executable.stat()
    # uv remembers an interpreter by its path and its time, so another interpreter needs a program at another path.
    facts = (_SCRIPT, *hook, str(executable), info.st_mtime_ns, info.st_size)
    identity = hashlib.sha256(repr(facts).encode(errors="surrogateescape")).hexdigest()
    path = default_root().absolute() / "build-pythons" / identity[:32] / "bin" / executable.name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        command = shlex.join([*hook, *map(str, interpreter_paths(python))])
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(os.fsencode(_SCRIPT.format(command=command)))
        Path(file.name).chmod(0o755)
        Path(file.name).replace(path)
    return path


def hook_variables(environment: Mapping[str, str], readable: Iterable[str], scratch: Path) -> dict[str, str]:
    """Return the variables for the hook beside uv's `environment`: the names in it, the directories that builds in them may read, the one
    for files of its own, which it leaves there if it is killed, and the sandbox's program.
    """
    return {
        build_hook.WITHHELD: " ".join(environment),
        build_hook.READABLE: os.pathsep.join(readable),
        build_hook.SCRATCH: str(scratch),
        build_hook.SANDBOX: bubblewrap(),
    }


def build_limits(with_network: Iterable[str], bounds: Bounds, stated: Iterable[str] = ()) -> dict[str, str]:
    """Return the variables for the hook that name the packages whose builds may use the network, and bound each program of a build.

    Of the `stated` packages, what their sources state of themselves counts if their backends fail.
    """
    return {
        build_hook.NETWORK: " ".join(map(normalized, with_network)),
        build_hook.STATED: " ".join(stated),
        build_hook.BOUNDS: f"{bounds.seconds} {bounds.size}",
    }
