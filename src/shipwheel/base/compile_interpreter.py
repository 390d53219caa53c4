"""The interpreter that compiles bytecode: that of the composed base if this machine can run it, else one that uv finds.

The interpreter of a base image comes last, and only in bubblewrap: unlike Debian's signed packages, an image can come from anywhere.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from shipwheel.debian.package import DebianPackage
from shipwheel.errors import BuildError
from shipwheel.events import Reporter
from shipwheel.files.entry import FileEntry, Source, write_entries
from shipwheel.files.segment import key_of
from shipwheel.locking import uv
from shipwheel.oci.image import Image
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform, host_platform
from shipwheel.store import Store
from shipwheel.wheels.bytecode import Interpreter

__all__ = [
    "host_interpreter",
    "interpreter_packages",
    "needs_image_interpreter",
    "runnable_platform",
    "sandboxed_interpreter",
    "unpacked_interpreter",
]

_LOADERS = {"amd64": "ld-linux-x86-64.so.2", "arm64": "ld-linux-aarch64.so.1"}
_LINKED_PACKAGES = ("libc6", "libexpat1", "libgcc-s1", "zlib1g")
_START_TIMEOUT_S = 60


def runnable_platform() -> Platform | None:
    """Return the platform whose Debian programs this machine can run, or None."""
    host = host_platform()
    return host if sys.platform == "linux" and host.architecture in DEBIAN_ARCHITECTURES else None


def interpreter_packages(seed: Sequence[DebianPackage]) -> tuple[DebianPackage, ...]:
    """Return the packages of a base's seed that contain the interpreter, its standard library and the libraries it is linked with."""
    return tuple(package for package in seed if "python" in package.name or package.name in _LINKED_PACKAGES)


def unpacked_interpreter(sources: Sequence[Source], platform: Platform, path: str, store: Store) -> Interpreter | None:
    """Unpack the interpreter at `path` of a base into the store, once. Return None if it does not start on this machine."""
    root = store.root / "interpreters" / key_of("interpreter", *(source.key for source in sources))
    if not root.is_dir():
        _fill_once(root, lambda directory: _unpack_all(sources, directory, store))
    # The base's own loader keeps the host's libraries out. At this path it is a file or a relative link in every suite; the path that
    # programs name can be an absolute link, which would lead to the host's loader.
    libraries, program = root / "usr/lib" / platform.multiarch, root / path.lstrip("/")
    command = (
        str(libraries / _LOADERS[platform.architecture]),
        "--library-path",
        ":".join(dict.fromkeys((str(libraries), f"{root}/usr/lib", str(program.parents[1] / "lib")))),
        str(program),
    )
    interpreter = Interpreter(command, (("PYTHONHOME", str(program.parents[1])),))
    return interpreter if _starts(interpreter) else None


def needs_image_interpreter(minor: str) -> bool:
    """Return whether to compile with a base image's own interpreter: bubblewrap is there, and no other Python of that minor version."""
    return runnable_platform() is not None and shutil.which("bwrap") is not None and uv.local_python(minor) is None


def sandboxed_interpreter(image: Image, path: str, store: Store, reporter: Reporter) -> Interpreter | None:
    """Return the interpreter of a base image, run in bubblewrap: it sees the image's files, read-only, and nothing of this machine.

    Return None if it does not start in there; it is never run outside.
    """
    if runnable_platform() != image.platform:
        return None
    from shipwheel.oci.read.rootfs_cache import unpack_image

    files = unpack_image(image, store, reporter)
    # The interpreter may be started as long as the store is in use.
    weakref.finalize(store, files.close)
    # If root starts bubblewrap, the program keeps all of root's capabilities unless they are dropped.
    isolation = ("--unshare-all", "--cap-drop", "ALL", "--new-session")
    interpreter = Interpreter(("bwrap", *isolation, "--ro-bind", str(files.path), "/", "--proc", "/proc", "--dev", "/dev", path))
    return interpreter if _starts(interpreter) else None


def host_interpreter(minor: str) -> Interpreter:
    """Return a Python of this machine, or one that uv downloads. Raise BuildError if there is none."""
    path = uv.find_python(minor)
    if path is None:
        raise BuildError(
            f"no Python {minor} on this machine to compile bytecode with, and uv cannot download one",
            hint=f"Install Python {minor}, or bubblewrap to use a base image's own; or build with --no-bytecode (the app starts slower).",
        )
    return Interpreter((str(path),))


def _unpack_all(sources: Sequence[Source], directory: Path, store: Store) -> None:
    for source in sources:
        write_entries(_while_open(source.entries(), store), directory, source.label)


def _while_open(entries: Iterable[FileEntry], store: Store) -> Iterator[FileEntry]:
    for entry in entries:
        store.check_open()
        yield entry


def _starts(interpreter: Interpreter) -> bool:
    try:
        process = subprocess.run(
            [*interpreter.command, "-S", "-c", "import marshal"],
            env=dict(interpreter.environment),
            capture_output=True,
            check=False,
            timeout=_START_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return process.returncode == 0


def _fill_once(root: Path, fill: Callable[[Path], None]) -> None:
    """Create a directory with its content in one step, also if another process does the same."""
    root.parent.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(dir=root.parent))
    try:
        fill(directory)
        os.rename(directory, root)  # noqa: PTH104 - fails if another process was first, which is fine
    except OSError:
        if not root.is_dir():
            raise
    finally:
        shutil.rmtree(directory, ignore_errors=True)
