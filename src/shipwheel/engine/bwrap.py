"""bubblewrap: a look at an image on a Linux machine that has no engine. No network, no volumes and no images of its own."""

import json
import os
import re
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from shipwheel.engine.emulation import runnable
from shipwheel.engine.env_file import in_memory
from shipwheel.engine.interface import Detached, RunSpec, image_for, keeps_none
from shipwheel.engine.local import LocalEngine
from shipwheel.engine.program import ask, first_line, found
from shipwheel.engine.supervise import supervise
from shipwheel.engine.volumes import volumes
from shipwheel.errors import EngineError, NotInstalled
from shipwheel.events import Reporter
from shipwheel.oci.image import ImageIndex
from shipwheel.oci.model import ContainerConfig
from shipwheel.oci.read.rootfs import Rootfs
from shipwheel.oci.read.rootfs_cache import CachedRootfs, unpack_image
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform
from shipwheel.store import Store

__all__ = ["Bwrap"]

_OVERLAY = (0, 11)
"""The version from which on it can lay a writable layer over a directory."""

_FROM_HOST = ("/etc/hosts", "/etc/resolv.conf")


class Bwrap(LocalEngine):
    """A bubblewrap that can make user namespaces. An image is called by the directory that it is unpacked in."""

    name = "bwrap"
    maps_user = True
    detaches = False

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self._unpacked: list[CachedRootfs] = []

    @classmethod
    def connect(cls) -> "Bwrap":
        """The bwrap on PATH. Raises EngineError that says what is missing."""
        if sys.platform != "linux":
            raise EngineError("bwrap runs on Linux alone", hint="Use docker or podman, whose machines are Linux.")
        if not found("bwrap"):
            raise NotInstalled("bwrap is not installed", hint="Install bubblewrap; Debian has a package of that name.")
        version = re.search(r"\d+(\.\d+)+", ask(["bwrap", "--version"]).output)
        trial = ask(["bwrap", "--unshare-user", "--unshare-pid", "--uid", "65532", "--gid", "65532", "--ro-bind", "/", "/", "true"])
        if version is None or not trial.ok:
            hint = "The kernel must allow user namespaces: sysctl kernel.unprivileged_userns_clone=1, or an AppArmor profile for bwrap."
            raise EngineError(f"bwrap does not work: {first_line(trial.errors) or trial.status}", hint=hint)
        return cls(version[0])

    def has(self, image: str) -> bool:
        """See `Engine.has`: it keeps none."""
        return (Path(image) / "etc").is_dir()

    def load(self, index: ImageIndex, store: Store, name: Reference, reporter: Reporter) -> str:  # noqa: ARG002 - the interface's
        """See `Engine.load`: the directory that it is unpacked in, which stays there as long as this engine is used."""
        found = unpack_image(image_for(index, self.host()), store, reporter)
        self._unpacked.append(found)
        return str(found.path)

    def pull(self, image: str, platform: Platform) -> None:
        """See `Engine.pull`: it cannot."""
        hint = f"shipwheel pull --platform {platform} {image} DIR, then shipwheel run DIR --engine bwrap."
        raise EngineError(f"bwrap has no images, so there is no {image}", hint=hint)

    def inspect(self, image: str) -> tuple[ContainerConfig, Platform]:
        """See `Engine.inspect`: a directory says nothing."""
        raise EngineError(f"bwrap has no images, so there is no {image}", hint="Name a project, an image layout or an archive.")

    def run(self, spec: RunSpec) -> int:
        """See `Engine.run`."""
        runnable(spec.platform, self.platforms(), self.emulation_hint)
        command = spec.command
        if not command:
            raise EngineError("the image says no command", hint="Name one behind `--`.")
        rootfs = Rootfs(Path(spec.image))
        with volumes(spec, chown=False) as mounts:
            words = [*self._flags(spec, rootfs), *_binds(mounts, rootfs)]
            read_end, write_end = os.pipe()
            try:
                # The variables are in the list of processes for all to see when they are arguments.
                with in_memory(b"".join(os.fsencode(word) + b"\0" for word in words)) as handle:
                    status, _ = supervise(
                        ["bwrap", "--args", str(handle), "--info-fd", str(write_end), "--", *command],
                        _sender(read_end),
                        stop_signal=spec.config.stop_signal or "SIGTERM",
                        grace=spec.grace,
                        interactive=spec.interactive,
                        tty=spec.tty,
                        pass_fds=(handle, write_end),
                    )
            finally:
                os.close(read_end)
                os.close(write_end)
        return status

    def start(self, spec: RunSpec) -> Detached:  # noqa: ARG002 - the interface's
        """See `Engine.start`: it cannot."""
        raise keeps_none(self.name)

    def _flags(self, spec: RunSpec, rootfs: Rootfs) -> Iterator[str]:
        """bwrap(1): what comes later lies over what comes earlier."""
        uid, gid = _ids(spec.user or spec.config.user, rootfs)
        yield from ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--as-pid-1")
        yield from ("--die-with-parent", "--hostname", spec.name, "--uid", uid, "--gid", gid)
        if not spec.tty:
            yield "--new-session"
        for path in ("/proc", "/dev", "/sys", "/tmp"):  # noqa: S108 - in the container
            rootfs.place(path, directory=True)
        for path in _FROM_HOST:
            rootfs.place(path, directory=False)
        yield from self._root(spec)
        yield from ("--proc", "/proc", "--dev", "/dev", "--ro-bind-try", "/sys", "/sys")
        yield from ("--perms", "1777", "--tmpfs", "/tmp")  # noqa: S108 - in the container
        for path in _FROM_HOST:
            yield from ("--ro-bind-try", path, path)
        yield from ("--chdir", spec.config.working_dir or "/", "--clearenv")
        for name, value in {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", **spec.config.environment, **spec.env}.items():  # noqa: S108
            yield from ("--setenv", name, value)

    def _root(self, spec: RunSpec) -> Iterator[str]:
        if spec.read_only:
            yield from ("--ro-bind", spec.image, "/")
        elif tuple(int(part) for part in self._version.split(".")[:2]) < _OVERLAY:
            hint = "Leave out --no-read-only, or install bubblewrap 0.11."
            raise EngineError(f"bwrap {self._version} cannot make the root writable without changing the unpacked image", hint=hint)
        else:
            yield from ("--overlay-src", spec.image, "--tmp-overlay", "/")


def _binds(mounts: tuple[tuple[str, str, str], ...], rootfs: Rootfs) -> Iterator[str]:
    for source, target, mode in mounts:
        rootfs.place(target, directory=Path(source).is_dir())
        yield from ("--ro-bind" if mode == "ro" else "--bind", source, target)


def _ids(user: str, rootfs: Rootfs) -> tuple[str, str]:
    """The numeric user and group of image-spec, config.md, User: a name is looked up in the image's passwd; none is root."""
    uid, _, gid = user.partition(":")
    if uid and not uid.isdecimal():
        row = next((line.split(":") for line in rootfs.text("etc/passwd").splitlines() if line.startswith(f"{uid}:")), [])
        if len(row) < 4:
            raise EngineError(f"the image has no user {uid!r}", hint="Name a numeric one: --user UID:GID.")
        uid, gid = row[2], gid or row[3]
    uid = uid or "0"
    return uid, gid if gid.isdecimal() else uid


def _sender(info: int) -> Callable[[str], Callable[[], bool | None]]:
    """Signals go to the container's first process, whose number bwrap tells when it is there."""
    known: list[int] = []

    def send(name: str) -> Callable[[], bool | None]:
        if not known and select.select([info], [], [], 0)[0]:
            with suppress(ValueError, KeyError):
                known.append(int(json.loads(os.read(info, 65536))["child-pid"]))
        if not known:
            return lambda: False
        with suppress(ProcessLookupError):
            os.kill(known[0], getattr(signal, name))
        return lambda: True

    return send
