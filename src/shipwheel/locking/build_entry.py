"""The start of the program that stands for the Python that uv builds with: see `build_hook`, which runs the builds.

uv starts it in two ways. As the interpreter itself, to learn its version and paths; then the real one answers. And through the link in a
build's virtual environment, with a script that calls the backend. Only the second needs `build_hook`, which takes longer to import than the
interpreter to answer.
"""

import os
import sys
from collections.abc import Sequence

__all__ = ["main"]

_SOURCE = "UV_INTERNAL__BUILD_DIR"
"""uv's variable with the directory of the source. It is set when uv calls a backend, and only then."""


def main(arguments: Sequence[str]) -> int:
    """Run the interpreter, or a call of a backend, and return the exit code.

    `arguments` are the interpreter's executable and directories, `--`, the path by which uv started this program, and uv's own.
    """
    end = arguments.index("--")
    paths, called, words = arguments[:end], arguments[end + 1], arguments[end + 2 :]
    if os.path.islink(called):  # noqa: PTH114 - pathlib takes longer to import
        from shipwheel.locking.build_hook import call_backend

        return call_backend(paths, called, words, os.environ[_SOURCE])
    if _SOURCE in os.environ:
        sys.stderr.write("shipwheel does not build without isolation\n")
        return 1
    return _describe(paths[0], called, words)


def _describe(executable: str, called: str, words: Sequence[str]) -> int:
    """Let the interpreter describe itself to uv, as if it were `called`."""
    import json
    import subprocess

    done = subprocess.run([executable, *words], stdout=subprocess.PIPE, check=False)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = None
    if isinstance(answer, dict) and "sys_executable" in answer:
        # As part of a standalone Python, uv would look for the files around it.
        answer |= {"sys_executable": called, "sys_base_executable": called, "standalone": False}
        done.stdout = json.dumps(answer).encode()
    sys.stdout.buffer.write(done.stdout)
    return done.returncode
