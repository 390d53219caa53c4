"""The bytecode compiler of one build, and which interpreter it runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from shipwheel.base.standalone_archive import StandaloneSource
from shipwheel.debian.package import DebSource
from shipwheel.debian.seed import resolve_seed
from shipwheel.events import Reporter
from shipwheel.files.entry import Source
from shipwheel.pipeline.downloads import Downloads
from shipwheel.pipeline.resolve import Resolved
from shipwheel.platform import Platform
from shipwheel.project.project import Project
from shipwheel.store import Store
from shipwheel.wheels.bytecode import BytecodeCompiler, Interpreter
from shipwheel.wheels.bytecode_cache import BytecodeCache

__all__ = ["bytecode_compiler"]


@contextmanager
def bytecode_compiler(
    project: Project, platforms: Sequence[Resolved], downloads: Downloads, store: Store, reporter: Reporter, workers: int
) -> Iterator[BytecodeCompiler | None]:
    """Yield the compiler, or None when the settings turn bytecode off. No interpreter is looked for before one is needed."""
    if not project.settings.bytecode:
        yield None
        return
    start = partial(_interpreter, platforms, downloads, store, reporter)
    compiler = BytecodeCompiler(start, _version(platforms[0]), BytecodeCache(store.root / "bytecode.sqlite3"), workers)
    try:
        yield compiler
    finally:
        compiler.close()


def _version(platform: Resolved) -> str:
    """Return the version that bytecode is keyed by.

    It includes the digest of the base image whose own interpreter compiles: what that makes of a wheel never passes for the output of
    an interpreter that is trusted.
    """
    target, image = platform.target, platform.base.image
    if image is None:
        return target.python
    from shipwheel.base.compile_interpreter import needs_image_interpreter

    return f"{target.python}-{image.digest}" if needs_image_interpreter(target.minor) else target.python


def _interpreter(platforms: Sequence[Resolved], downloads: Downloads, store: Store, reporter: Reporter) -> Interpreter:
    """Find the interpreter: the base's own where it runs on this machine, so that every host compiles alike, else one from uv."""
    from shipwheel.base.compile_interpreter import host_interpreter, needs_image_interpreter, runnable_platform, sandboxed_interpreter

    host, minor = runnable_platform(), platforms[0].target.minor
    own = next((each for each in platforms if each.target.platform == host), None)
    if host is not None and (found := _composed_interpreter(platforms[0], own, host, downloads, store)) is not None:
        return found
    if own is not None and own.base.parent is not None and needs_image_interpreter(minor):
        contained = sandboxed_interpreter(own.base.parent, own.base.interpreter, store, reporter)
        if contained is not None:
            return contained
    return host_interpreter(minor)


def _composed_interpreter(first: Resolved, own: Resolved | None, host: Platform, downloads: Downloads, store: Store) -> Interpreter | None:
    """Unpack the interpreter of a composed base for this machine; None for a base image, or if it does not start here.

    `own` is the build's platform that this machine runs. A build for other platforms alone takes the same suite's interpreter.
    """
    from shipwheel.base.compile_interpreter import interpreter_packages, unpacked_interpreter

    suite = first.base.suite
    if suite is None or first.base.image is not None or not (own or suite.python):
        return None
    seed = own.base.seed(()) if own else resolve_seed(downloads.archive.package_index(suite, host), suite)
    packages = interpreter_packages(seed)
    downloads.packages(packages)
    sources: list[Source] = [DebSource(package, store) for package in packages]
    if own is not None and own.base.standalone is not None:
        downloads.standalones([own.base.standalone])
        sources.append(StandaloneSource(own.base.standalone, store))
    path = own.base.interpreter if own else f"/usr/bin/python{first.target.minor}"
    return unpacked_interpreter(sources, host, path, store)
