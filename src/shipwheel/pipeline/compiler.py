"""The bytecode compiler of one build, and which interpreter it runs.

Keys of layers contain the interpreter's identity, and are known before anything is fetched. So it is first assumed that the preferred
interpreter works. If it does not start when it is needed, the compiler raises OtherInterpreter, and the build is planned again.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import msgspec

from shipwheel.base.compile_interpreter import (
    host_identity,
    host_interpreter,
    interpreter_packages,
    local_version,
    needs_image_interpreter,
    runnable_platform,
    sandboxed_interpreter,
    unpacked_interpreter,
)
from shipwheel.base.standalone_archive import StandaloneSource
from shipwheel.debian.package import DebSource
from shipwheel.debian.seed import resolve_seed
from shipwheel.events import Reporter, Warned
from shipwheel.files.entry import Source
from shipwheel.pipeline.downloads import Downloads
from shipwheel.pipeline.resolve import Resolved
from shipwheel.platform import Platform
from shipwheel.project.project import Project
from shipwheel.store.contents import BYTECODE
from shipwheel.store.store import Store
from shipwheel.wheels.bytecode import BytecodeCompiler, Interpreter
from shipwheel.wheels.bytecode_cache import BytecodeCache
from shipwheel.witness.witness import note_unknown

__all__ = ["bytecode_compiler"]


class _Choice(msgspec.Struct, frozen=True):
    """The interpreter that is to compile, by its identity. If it does not start, `warning` says what follows."""

    identity: str
    find: Callable[[], Interpreter]
    warning: Warned | None = None


@contextmanager
def bytecode_compiler(
    project: Project,
    platforms: Sequence[Resolved],
    downloads: Downloads,
    store: Store,
    reporter: Reporter,
    workers: int,
    interpreter: Interpreter | None = None,
) -> Iterator[BytecodeCompiler | None]:
    """Yield the compiler, or None when the settings turn bytecode off. No interpreter is looked for before one is needed.

    `interpreter` is the one to use if the preferred one is known not to start.
    """
    if project.settings.bytecode == "none":
        yield None
        return
    if interpreter is not None:
        identity, start, instead = interpreter.identity, partial(_same, interpreter), None
    else:
        choice = _preferred(platforms, downloads, store, reporter)
        identity, start = choice.identity, partial(_found, choice)
        instead = partial(_instead, choice, platforms[0].target.python, reporter)
    compiler = BytecodeCompiler(start, identity, BytecodeCache(store.root / BYTECODE), workers, instead)
    try:
        yield compiler
    finally:
        compiler.close()


def _same(interpreter: Interpreter) -> Interpreter:
    return interpreter


def _found(choice: _Choice) -> Interpreter:
    found = choice.find()
    return found if found.identity else msgspec.structs.replace(found, identity=choice.identity)


def _instead(choice: _Choice, python: str, reporter: Reporter) -> Interpreter:
    """Return the interpreter to take because the preferred one does not start."""
    if choice.warning is not None:
        reporter(choice.warning)
        note_unknown()  # it may start the next time, without a change of any file
    return host_interpreter(python)


def _preferred(platforms: Sequence[Resolved], downloads: Downloads, store: Store, reporter: Reporter) -> _Choice:
    """Return the base's own interpreter where it runs on this machine, so that every host compiles alike, else one of this machine."""
    host, python = runnable_platform(), platforms[0].target.python
    own = next((each for each in platforms if each.target.platform == host), None)
    suite, image = platforms[0].base.suite, platforms[0].base.image
    if host is not None and image is None and suite is not None and (own or suite.python):
        find = partial(_composed_interpreter, platforms[0], own, host, downloads, store)
        return _Choice(f"cpython-{python}", find, _does_not_start(python, store))
    local, parent = local_version(python), own.base.parent if own is not None else None
    if own is not None and image is not None and parent is not None and needs_image_interpreter(python, local):
        find = partial(sandboxed_interpreter, parent, own.base.interpreter, store, reporter)
        warning = _compiles_instead("the base image's own does not start in bubblewrap", "Allow bubblewrap to create user namespaces")
        # An image can come from anywhere: what its interpreter makes never passes for the output of one that is trusted.
        return _Choice(f"cpython-{python}-{image.digest}", find, warning)
    if local not in (None, python):
        hint = "Install bubblewrap" if own is not None else "Build on Linux with the CPU of one of the platforms"
        reporter(_compiles_instead(f"it has Python {local}, not {python}", hint))
    return _Choice(host_identity(python, local or python), partial(host_interpreter, python))


def _does_not_start(python: str, store: Store) -> Warned:
    no_programs = hasattr(os, "ST_NOEXEC") and os.statvfs(store.root).f_flag & os.ST_NOEXEC
    why = ", whose file system is mounted with noexec" if no_programs else ""
    reason = f"the base's own Python {python} does not start from the store {store.root}{why}"
    return _compiles_instead(reason, "Set SHIPWHEEL_CACHE to a directory from which programs can be started")


def _compiles_instead(reason: str, hint: str) -> Warned:
    return Warned(
        f"a Python of this machine compiles the bytecode, because {reason}: on other machines, the image can have another digest",
        f"{hint}, or build with --no-bytecode.",
    )


def _composed_interpreter(first: Resolved, own: Resolved | None, host: Platform, downloads: Downloads, store: Store) -> Interpreter:
    """Unpack the interpreter of a composed base for this machine.

    `own` is the build's platform that this machine runs. A build for other platforms alone takes the same suite's interpreter.
    """
    suite = first.base.suite
    assert suite is not None  # noqa: S101 - a composed base has a suite
    seed = own.base.seed(()) if own else resolve_seed(downloads.archive.package_index(suite, host), suite)
    packages = interpreter_packages(seed)
    downloads.packages(packages)
    sources: list[Source] = [DebSource(package, store) for package in packages]
    if own is not None and own.base.standalone is not None:
        downloads.standalones([own.base.standalone])
        sources.append(StandaloneSource(own.base.standalone, store))
    path = own.base.interpreter if own else f"/usr/bin/python{first.target.minor}"
    return unpacked_interpreter(sources, host, path, store)
