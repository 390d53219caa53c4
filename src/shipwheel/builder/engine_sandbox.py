"""A sandbox in docker or podman, where bubblewrap may make no namespaces.

The root becomes an image of the engine, once. Each run has a container of its own, which gets the files and gives back those that may have
changed: no directory of this machine is mounted.
"""

import hashlib
import os
import tarfile
import threading
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from shipwheel.builder.engine_client import BuildContainer, EngineClient
from shipwheel.builder.engine_files import add_directory, add_tree, read_archive, replace_content, tar_stream
from shipwheel.builder.engine_leftovers import new_name, remove_leftovers
from shipwheel.builder.sandbox_run import SandboxRun
from shipwheel.errors import BuildError
from shipwheel.locking.bounds import Bounds, OverBounds
from shipwheel.locking.process import Finished, run_bounded
from shipwheel.locking.sandbox import SANDBOX_USER, top_directories
from shipwheel.platform import host_platform

__all__ = ["EngineSandbox", "check_not_stopped", "run_container"]

_IMAGES = "shipwheel-sandbox"
_MAX_IMAGES = 4
_ANSWER_S = 30.0
"""Seconds after which an engine counts as none: one whose daemon hangs never answers."""
_ROOT, _BUILD = (0, 0), (SANDBOX_USER, SANDBOX_USER)
_OF_ROOT = ("usr", "etc", "opt")
_SCRATCH, _EMPTY = ("tmp", "var/tmp"), ("build", "dev", "proc", "run", "sys")
_OF_ENGINE = ("/etc/resolv.conf", "/etc/hosts")
"""Files that the engine itself brings."""


class EngineSandbox:
    """Containers of docker or podman."""

    user = _BUILD

    def __init__(self, client: EngineClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._in_use = defaultdict[Path, threading.Lock](threading.Lock)

    @property
    def name(self) -> str:
        """See `Sandbox.name`."""
        return self._client.name

    @property
    def client(self) -> EngineClient:
        """The engine's program."""
        return self._client

    @classmethod
    def connect(cls, program: str) -> "EngineSandbox | None":
        """Return the sandbox if an engine answers that runs this machine's programs."""
        client = EngineClient(program)
        asked = "{{.OSType}}/{{.Architecture}}" if program == "docker" else "{{.Host.OS}}/{{.Host.Arch}}"
        try:
            system, _, machine = client.call("info", "--format", asked, timeout=_ANSWER_S).strip().partition("/")
        except (BuildError, OSError):
            return None
        host = host_platform()
        if system != "linux" or machine not in (host.architecture, host.machine):
            return None
        remove_leftovers(client)
        return cls(client)

    def run(self, run: SandboxRun, *, stop: threading.Event, bounds: Bounds) -> Finished:
        """See `Sandbox.run`."""
        with ExitStack() as alone:
            # Two front ends of a project share a cache, which comes back as one run left it.
            for path in sorted({path for path, may_change in run.binds.values() if may_change}):
                with self._lock:
                    lock = self._in_use[path]
                alone.enter_context(lock)
            return self._run(run, stop, bounds)

    def _run(self, run: SandboxRun, stop: threading.Event, bounds: Bounds) -> Finished:
        client = self._client
        with self._lock:
            # The image has a container before another thread may prune it.
            image = self._image(run.root, stop)
            container = client.create(BuildContainer(new_name(), image, run.command, _BUILD, run.directory, run.variables, run.network))
        try:
            client.send(["cp", "--archive=false", "-", f"{container}:/"], lambda stream: _write_binds(stream, run))
            finished = run_container(client, container, stop, bounds)
            if finished.code >= 0:
                self._take_back(container, run)
        finally:
            client.remove(container)
        return finished

    def _take_back(self, container: str, run: SandboxRun) -> None:
        for inside, (path, may_change) in run.binds.items():
            if not may_change:
                continue
            with self._client.receive(["cp", f"{container}:{inside}", "-"]) as stream:
                if path.is_dir():
                    replace_content(path, stream)
                else:
                    _replace_file(path, stream)

    def _image(self, root: Path, stop: threading.Event) -> str:
        """Return the name of the image with the files of a root; it is made if the engine does not have it."""
        # A root is a directory of the store, whose name tells its content.
        name = f"{_IMAGES}:{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:40]}"
        if not self._client.succeeds("image", "inspect", name):
            self._client.send(["import", "-", name], lambda stream: _write_root(stream, root, stop))
            self._prune()
        return name

    def _prune(self) -> None:
        """Remove the oldest images of roots."""
        listed = self._client.call("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", _IMAGES).split()
        for name in listed[_MAX_IMAGES:]:
            self._client.succeeds("image", "rm", name)


def run_container(client: EngineClient, container: str, stop: threading.Event, bounds: Bounds) -> Finished:
    """Start a container, and return its end and its output. Raise OverBounds."""
    before = _written_bytes(client, container)
    words = [client.name, "start", "--attach", container]

    def usage() -> int:
        return _written_bytes(client, container) - before

    finished = run_bounded(words, env=os.environ, stop=stop, bounds=bounds, usage=usage)
    if usage() > bounds.size:
        # A file of holes is made at once, and comes back as large as it says it is.
        raise OverBounds(bounds.size_exceeded)
    return finished


def _written_bytes(client: EngineClient, container: str) -> int:
    text = client.call("container", "inspect", "--size", "--format", "{{.SizeRw}}", container).strip()
    return int(text) if text.isdecimal() else 0


def _write_root(stream: IO[bytes], root: Path, stop: threading.Event) -> None:
    with tar_stream(stream) as archive:
        for name in (*_EMPTY, "var", *_SCRATCH):
            add_directory(archive, name, 0o1777 if name in _SCRATCH else 0o755)
        trees = {name: root / name for name in _OF_ROOT if (root / name).is_dir()}
        for name, own in top_directories(root):
            if own is not None:
                trees[name] = own
                continue
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            archive.addfile(link)
        for name, path in trees.items():
            add_tree(archive, path.resolve(), name, _ROOT, lambda: check_not_stopped(stop))


def check_not_stopped(stop: threading.Event) -> None:
    """Raise OverBounds if an event is set."""
    if stop.is_set():
        raise OverBounds("it was stopped")


def _write_binds(stream: IO[bytes], run: SandboxRun) -> None:
    binds = run.every_bind
    with tar_stream(stream) as archive:
        # Parents first: a later one hides what is below it.
        for inside in sorted(set(binds) - set(_OF_ENGINE)):
            path, may_change = binds[inside]
            add_tree(archive, path.resolve(), inside, _BUILD if may_change else _ROOT)


def _replace_file(path: Path, stream: IO[bytes]) -> None:
    with read_archive(stream) as entries:
        for archive, member, _ in entries:
            content = archive.extractfile(member) if member.isreg() else None
            if content is not None:
                path.write_bytes(content.read())
