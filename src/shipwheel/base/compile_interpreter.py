"""The interpreters that can compile bytecode: the composed base's own, the base image's own in bubblewrap, and one of this machine.

Whose it is, is part of its identity, under which bytecode is kept: bytecode of one never passes for that of another.
"""

import shutil
import subprocess
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path

from shipwheel.base.interpreter_tree import unpack_interpreter
from shipwheel.container.devices import device_flags
from shipwheel.debian.package import DebianPackage
from shipwheel.errors import BuildError
from shipwheel.events import Reporter
from shipwheel.files.entry import Source
from shipwheel.oci.image import Image
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform, host_platform
from shipwheel.store.store import Store
from shipwheel.versions import minor_version
from shipwheel.wheels.bytecode import Interpreter

__all__ = [
    "host_identity",
    "host_interpreter",
    "interpreter_packages",
    "local_version",
    "needs_image_interpreter",
    "runnable_platform",
    "sandboxed_interpreter",
    "unpacked_interpreter",
]

_LOADERS = {"amd64": "ld-linux-x86-64.so.2", "arm64": "ld-linux-aarch64.so.1"}
_LINKED_PACKAGES = ("libc6", "libexpat1", "libgcc-s1", "zlib1g")
_START_TIMEOUT_S = 60


def host_identity(python: str, version: str) -> str:
    """Return the identity of an interpreter of this machine, of this full version, that compiles for a base with `python`."""
    return f"cpython-{python}-host-{version}"


def local_version(python: str) -> str | None:
    """Return the full version of this machine's Python of the same minor version, None if it has none."""
    from shipwheel.locking import uv

    path = uv.local_python(minor_version(python))
    return None if path is None else _version(path)


def runnable_platform() -> Platform | None:
    """Return the platform whose Debian programs this machine can run, or None."""
    host = host_platform()
    return host if sys.platform == "linux" and host.architecture in DEBIAN_ARCHITECTURES else None


def interpreter_packages(seed: Sequence[DebianPackage]) -> tuple[DebianPackage, ...]:
    """Return the packages of a base's seed that contain the interpreter, its standard library and the libraries it is linked with."""
    return tuple(package for package in seed if "python" in package.name or package.name in _LINKED_PACKAGES)


def unpacked_interpreter(sources: Sequence[Source], platform: Platform, path: str, store: Store) -> Interpreter:
    """Return the interpreter at `path` of a base, which may not start on this machine."""
    tree = unpack_interpreter(sources, store)
    # It may be started as long as the store is in use.
    weakref.finalize(store, tree.close)
    # The base's own loader keeps the host's libraries out. At this path it is a file or a relative link in every suite; the path that
    # programs name can be an absolute link, which would lead to the host's loader.
    libraries, program = tree.path / "usr/lib" / platform.multiarch, tree.path / path.lstrip("/")
    command = (
        str(libraries / _LOADERS[platform.architecture]),
        "--library-path",
        ":".join(dict.fromkeys((str(libraries), f"{tree.path}/usr/lib", str(program.parents[1] / "lib")))),
        str(program),
    )
    return Interpreter(command, (("PYTHONHOME", str(program.parents[1])),))


def needs_image_interpreter(python: str, local: str | None) -> bool:
    """Return whether to compile with a base image's own interpreter: bubblewrap is there, and `local` is not the same full version."""
    return runnable_platform() is not None and shutil.which("bwrap") is not None and local != python


def sandboxed_interpreter(image: Image, path: str, store: Store, reporter: Reporter) -> Interpreter:
    """Return the interpreter of a base image, run in bubblewrap: it sees the image's files, read-only, and nothing of this machine.

    It may not start in there; it is never run outside.
    """
    from shipwheel.oci.read.rootfs_cache import unpack_image

    files = unpack_image(image, store, reporter)
    weakref.finalize(store, files.close)
    # If root starts bubblewrap, the program keeps all of root's capabilities unless they are dropped.
    isolation = ("--unshare-all", "--cap-drop", "ALL", "--new-session")
    command = ("bwrap", *isolation, "--ro-bind", str(files.path), "/", "--proc", "/proc", *device_flags(), path)
    return Interpreter(command)


def host_interpreter(python: str) -> Interpreter:
    """Return a Python of this machine with the same minor version as `python`, or one that uv downloads, of this very version if possible.

    Raise BuildError if there is none.
    """
    from shipwheel.locking import uv

    minor = minor_version(python)
    path = uv.local_python(minor) or uv.find_python(python) or uv.find_python(minor)
    version = _version(path) if path is not None else None
    if path is None or version is None:
        raise BuildError(
            f"no Python {minor} on this machine to compile bytecode with, and uv cannot download one",
            hint=f"Install Python {minor}, or bubblewrap to use a base image's own; or build with --no-bytecode (the app starts slower).",
        )
    return Interpreter((str(path),), identity=host_identity(python, version))


def _version(path: Path) -> str | None:
    """Return the full version of an interpreter, None if it does not start."""
    return _output(Interpreter((str(path),)), "import sys; print('%d.%d.%d' % sys.version_info[:3])")


def _output(interpreter: Interpreter, program: str) -> str | None:
    try:
        process = subprocess.run(
            # Without -B it would write bytecode into its own tree.
            [*interpreter.command, "-B", "-S", "-c", program],
            env=dict(interpreter.environment),
            capture_output=True,
            check=False,
            text=True,
            timeout=_START_TIMEOUT_S,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return process.stdout.strip() if process.returncode == 0 else None
