"""The builder that a base image of no known Debian suite is for itself: its own compilers and headers, and no package is added."""

import os
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from shipwheel.builder.complaints import Lack
from shipwheel.builder.interpreter import BuilderPython
from shipwheel.builder.sandbox_run import SandboxRun
from shipwheel.builder.sandboxes import run_in_sandbox
from shipwheel.builder.surroundings import Surroundings
from shipwheel.builder.workshop import BuilderPackages, Workshop
from shipwheel.errors import BuildError
from shipwheel.events import Reporter
from shipwheel.locking.bounds import BOUNDS_HINT, Bounds, OverBounds
from shipwheel.locking.pylock import LockedDeb
from shipwheel.locking.sandbox import linked_directory
from shipwheel.locking.target import Target
from shipwheel.oci.image import Image
from shipwheel.oci.read.rootfs_cache import unpack_image
from shipwheel.platform import host_platform
from shipwheel.store.directory_cache import CachedDirectory
from shipwheel.store.store import Store

__all__ = ["AnyWorkshop", "ImageWorkshop"]

_COMPILER = "gcc"
_OF_DEBIAN = (
    *("CC", "CXX", "CPP", "LD", "AR", "NM", "RANLIB", "STRIP", "LDSHARED", "LDCXXSHARED", "PKG_CONFIG", "PKG_CONFIG_LIBDIR"),
    *("_PYTHON_HOST_PLATFORM", "_PYTHON_SYSCONFIGDATA_NAME"),
)
_MORE_PROGRAMS = ":/bin:/sbin"
"""Directories that are links into /usr on Debian alone."""


class _ImageSurroundings(Surroundings, frozen=True):
    """A build in an image, whose Python and build systems know its tools."""

    def variables(self) -> dict[str, str]:
        """See `Surroundings.variables`."""
        found = {name: value for name, value in super().variables().items() if not _is_of_debian(name)}
        return {**found, "PATH": found["PATH"] + _MORE_PROGRAMS, **self.stated}

    @property
    def strip(self) -> str:
        """See `Surroundings.strip`."""
        return "/usr/bin/strip"


class ImageWorkshop:
    """Compilers of a base image, called `name`, for its own platform: programs of another processor run if the kernel emulates it.

    `interpreter` is the absolute path of its Python. Any thread may use it. Nothing is unpacked before a method is called.
    """

    used: Mapping[str, BuilderPackages] = {}

    def __init__(self, image: Image, name: str, target: Target, interpreter: str, store: Store, reporter: Reporter) -> None:
        self.target = target
        self.python = BuilderPython(target.minor, interpreter, "")
        self.origin = name
        self.identity = image.digest
        self._image = image
        self._store = store
        self._reporter = reporter
        self._lock = threading.Lock()
        self._is_checked = False

    @property
    def label(self) -> str:
        """The way of compiling, for people."""
        emulated = f", which {host_platform().architecture} emulates" if self._is_foreign else ""
        return f"{_COMPILER} of {self.origin}{emulated}"

    @property
    def newer_rust(self) -> str:
        """The way to a newer Rust, for people."""
        return "a base image with a newer Rust"

    @property
    def _is_foreign(self) -> bool:
        return self.target.platform != host_platform()

    def addable(self, _names: Iterable[str]) -> tuple[str, ...]:
        """Return no package. With cargo among them, the image's own would get the user's passwords for crates."""
        return ()

    def deciders(self, _names: Collection[str]) -> tuple[LockedDeb, ...]:
        """Return no package: the image's digest decides."""
        return ()

    def rust(self) -> tuple[str, ...]:
        """Return no package."""
        return ()

    def find(self, _lacks: Sequence[Lack]) -> dict[Lack, str]:
        """Return no package."""
        return {}

    def advice(self, what: str, named: str) -> str:
        """Return what to do about things that a build misses."""
        return f"{self.origin} lacks {what} that it needs ({named}): install them in the base image"

    def surroundings(self, stated: Mapping[str, str]) -> Surroundings:
        """Return what a build sees, with variables that the user states."""
        return _ImageSurroundings(self.target.platform, self.target.platform, self.python, stated)

    def root(self, _names: Iterable[str]) -> CachedDirectory:
        """Return the image's files. Raise BuildError if it has no compiler and Python that run here, and any error of the store."""
        with self._lock:
            root = unpack_image(self._image, self._store, self._reporter)
            if not self._is_checked:
                try:
                    self._check_programs(root.path)
                except BaseException:
                    root.close()
                    raise
                self._is_checked = True
            return root

    def _check_programs(self, root: Path) -> None:
        if link := linked_directory(root):
            raise BuildError(
                f"{self.origin} has a link in place of /{link}, so nothing is compiled in it",
                hint="Choose another base, or versions that have wheels.",
            )
        programs = [root / folder / _COMPILER for folder in ("usr/local/bin", "usr/bin", "bin")]
        if not any(os.path.lexists(program) for program in programs):
            raise BuildError(
                f"{self.origin} is of no Debian suite that shipwheel knows, and has no {_COMPILER} itself, to compile for it",
                hint="Install a C compiler and Python's headers in the base image, choose a base of Debian, or versions that have wheels.",
            )
        for program in (_COMPILER, self.python.path):
            self._check_start(program, root)

    def _check_start(self, program: str, root: Path) -> None:
        run = SandboxRun((program, "--version"), root, {}, "/", self.surroundings({}).variables())
        try:
            finished = run_in_sandbox(run, stop=self._store.closed, bounds=Bounds())
        except OverBounds as error:
            raise BuildError(f"the {program} of {self.origin} does not run here: {error}", hint=BOUNDS_HINT) from None
        if finished.code != 0:
            emulator = f"Let the kernel emulate {self.target.platform} (Debian's package qemu-user-binfmt), or choose"
            choose = emulator if self._is_foreign else "A build sees /usr, /opt and /etc of the image, and none of its variables. Choose"
            raise BuildError(
                f"the {program} of {self.origin} does not run here: {finished.stderr.strip()[-200:]}",
                hint=f"{choose} another base, or versions that have wheels.",
            )


def _is_of_debian(variable: str) -> bool:
    """Return whether a variable has a name that only Debian's compilers have."""
    return variable in _OF_DEBIAN or variable.startswith("CARGO_TARGET_")


AnyWorkshop = Workshop | ImageWorkshop
