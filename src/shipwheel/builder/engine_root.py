"""Programs in an image's unpacked root, in docker or podman, and the files that they write there.

The root becomes an image of the engine. Each program has a container of its own, which starts with the files that the one before left.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from shipwheel.builder.engine_client import BuildContainer, EngineClient
from shipwheel.builder.engine_files import add_directory, add_tree, replace_content, tar_stream
from shipwheel.builder.engine_leftovers import STEP_IMAGES, new_name
from shipwheel.builder.engine_sandbox import check_not_stopped, run_container
from shipwheel.builder.step_run import PROBED_PYTHON, ImageRoot, WrittenFile, written_files
from shipwheel.files.entry import parents
from shipwheel.locking.bounds import Bounds, OverBounds
from shipwheel.locking.process import Finished

__all__ = ["EngineRoot"]

_MADE_BY_ENGINES = (".dockerenv", "etc/group", "etc/hostname", "etc/mtab", "etc/passwd")
"""podman adds the user to two of them."""
_SCRATCH = ("tmp", "var/tmp")
_PROBE = Bounds(seconds=60)


class EngineRoot:
    """An `ImageRoot` whose programs run in containers of an engine. It is for one thread."""

    def __init__(self, client: EngineClient, unpacked: ImageRoot) -> None:
        uid, _, gid = unpacked.user.partition(":")
        self._client = client
        self._unpacked = unpacked
        self._user = (int(uid), int(gid or uid))
        self._images: list[str] = []
        self._last = ""
        """The container of the last program, whose files are those of the next."""

    def prepare(self) -> None:
        """See `ImageRoot.prepare`. Raise BuildError if the engine does not take the files."""
        self._unpacked.place.mkdir(parents=True)
        self._client.send(["import", "-", self._new_image()], self._write_root)

    def run(self, command: Sequence[str], env: Mapping[str, str], *, network: bool) -> Finished:
        """See `ImageRoot.run`."""
        if self._last:
            with self._client.receive(["export", self._last]) as files:
                self._client.send(["import", "-", self._new_image()], lambda stream: shutil.copyfileobj(files, stream, 1 << 20))
            self._client.remove(self._last)
        self._last = self._client.create(self._options(command, env, network=network))
        return run_container(self._client, self._last, self._unpacked.stop, self._unpacked.bounds)

    def starts(self, program: str = PROBED_PYTHON) -> bool:
        """See `ImageRoot.starts`."""
        container = self._client.create(self._options((program, "-c", ""), {}, network=False))
        try:
            return run_container(self._client, container, self._unpacked.stop, _PROBE).code == 0
        except OverBounds:
            return False
        finally:
            self._client.remove(container)

    def written(self) -> tuple[WrittenFile, ...]:
        """See `ImageRoot.written`."""
        if not self._last:
            return ()
        copy = self._unpacked.place / "copy"
        copy.mkdir(exist_ok=True)
        with self._client.receive(["export", self._last]) as stream:
            replace_content(copy, stream, in_one=False)
        return written_files(self._unpacked.root, self._unpacked.tools, copy, _MADE_BY_ENGINES)

    def remove(self) -> None:
        """See `ImageRoot.remove`."""
        if self._last:
            self._client.remove(self._last)
        for name in reversed(self._images):
            self._client.succeeds("image", "rm", "--force", name)
        shutil.rmtree(self._unpacked.place, ignore_errors=True)

    def _new_image(self) -> str:
        self._images.append(f"{STEP_IMAGES}:{new_name()}")
        return self._images[-1]

    def _options(self, command: Sequence[str], env: Mapping[str, str], *, network: bool) -> BuildContainer:
        return BuildContainer(new_name(), self._images[-1], command, self._user, self._unpacked.directory, env, network)

    def _write_root(self, stream: IO[bytes]) -> None:
        with tar_stream(stream) as archive:
            for path, host in _merged(self._unpacked.root, self._unpacked.tools):
                check_not_stopped(self._unpacked.stop)
                if path not in _SCRATCH:
                    add_tree(archive, host, path, self._user, recursive=False)
            for name in _SCRATCH:
                if not any((self._unpacked.root / each).is_symlink() for each in (name, "var")):
                    add_directory(archive, name, 0o1777)


def _merged(root: Path, tools: Path | None) -> Iterator[tuple[str, Path]]:
    """Yield the paths of a root, and those of `tools` that it has nothing at, each once: docker takes no path twice."""
    directories = dict[str, bool]()
    for top in (root, tools) if tools is not None else (root,):
        for folder, names, files in os.walk(top):
            names.sort()
            for name in sorted((*names, *files)):
                host = Path(folder, name)
                path = host.relative_to(top).as_posix()
                # A file or a link of the root hides a directory of the tools.
                if path not in directories and all(directories[parent] for parent in parents(path)):
                    directories[path] = host.is_dir() and not host.is_symlink()
                    yield path, host
