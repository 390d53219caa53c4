"""The interpreter that compiles bytecode: the composed base's own where this machine can run it, else one that uv finds."""

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
from shipwheel.files.entry import FileEntry, Source
from shipwheel.files.segment import key_of
from shipwheel.files.unpack import unpack
from shipwheel.lock import uv
from shipwheel.oci.image import Image
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform, host_platform
from shipwheel.store import Store
from shipwheel.wheels.bytecode import Interpreter

__all__ = ["can_run", "contained_interpreter", "found_interpreter", "interpreter_packages", "must_be_contained", "unpacked_interpreter"]

_LOADERS = {"amd64": "ld-linux-x86-64.so.2", "arm64": "ld-linux-aarch64.so.1"}

_LINKED = ("libc6", "libexpat1", "libgcc-s1", "zlib1g")


def can_run() -> Platform | None:
    """The platform whose Debian programs this machine runs itself, or None."""
    host = host_platform()
    return host if sys.platform == "linux" and host.architecture in DEBIAN_ARCHITECTURES else None


def interpreter_packages(seed: Sequence[DebianPackage]) -> tuple[DebianPackage, ...]:
    """Those of a base's seed that the interpreter and its standard library are made of and linked with."""
    return tuple(package for package in seed if "python" in package.name or package.name in _LINKED)


def unpacked_interpreter(sources: Sequence[Source], platform: Platform, path: str, store: Store) -> Interpreter | None:
    """The interpreter of a base's packages, unpacked once into the store; None if it does not start here."""
    root = store.root / "interpreters" / key_of("interpreter", *(source.key for source in sources))
    if not root.is_dir():
        _once(root, lambda folder: _unpack_all(sources, folder, store))
    # Through its own loader, so that nothing of the host's libraries is mixed in. It is there a file or a relative link in every suite;
    # the path that programs name may be an absolute link, which would lead to the host's.
    libraries, program = root / "usr/lib" / platform.multiarch, root / path.lstrip("/")
    command = (
        str(libraries / _LOADERS[platform.architecture]),
        "--library-path",
        ":".join(dict.fromkeys((str(libraries), f"{root}/usr/lib", str(program.parents[1] / "lib")))),
        str(program),
    )
    interpreter = Interpreter(command, (("PYTHONHOME", str(program.parents[1])),))
    return interpreter if _starts(interpreter) else None


def must_be_contained(minor: str) -> bool:
    """Whether an image's own interpreter is the one to compile with: there is bubblewrap, and no other of that minor version here."""
    return can_run() is not None and shutil.which("bwrap") is not None and uv.local_python(minor) is None


def contained_interpreter(image: Image, path: str, store: Store, reporter: Reporter) -> Interpreter | None:
    """A base image's own interpreter, in bubblewrap: it sees the image's files, read-only, and nothing of this machine.

    None where the interpreter does not start there: what an image brings is not run on the machine itself.
    """
    if can_run() != image.platform:
        return None
    from shipwheel.oci.read.unpacked import unpacked

    files = unpacked(image, store, reporter)
    # They stay while the store is worked with.
    weakref.finalize(store, files.close)
    # Started by root, bubblewrap leaves a program all of root's capabilities unless it is told not to.
    apart = ("--unshare-all", "--cap-drop", "ALL", "--new-session")
    interpreter = Interpreter(("bwrap", *apart, "--ro-bind", str(files.path), "/", "--proc", "/proc", "--dev", "/dev", path))
    return interpreter if _starts(interpreter) else None


def found_interpreter(minor: str) -> Interpreter:
    """One that is on the machine, or that uv fetches; raises BuildError."""
    path = uv.find_python(minor)
    if path is None:
        raise BuildError(
            f"there is no Python {minor} on this machine to compile bytecode with, and uv cannot fetch one",
            hint=f"Install Python {minor}, or bubblewrap for a base image's own, or build with --no-bytecode: that starts more slowly.",
        )
    return Interpreter((str(path),))


def _unpack_all(sources: Sequence[Source], folder: Path, store: Store) -> None:
    for source in sources:
        unpack(_while_open(source.entries(), store), folder, source.label)


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
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return process.returncode == 0


def _once(root: Path, fill: Callable[[Path], None]) -> None:
    """Fills a directory that is there whole or not at all, whoever else does the same."""
    root.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=root.parent))
    try:
        fill(folder)
        os.rename(folder, root)  # noqa: PTH104 - fails when another process was first, which is as good
    except OSError:
        if not root.is_dir():
            raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
