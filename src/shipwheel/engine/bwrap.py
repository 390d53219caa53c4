"""bubblewrap: runs an image on a Linux machine without an engine. It has no network, no volumes and no images of its own."""

import json
import os
import re
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shipwheel.engine.emulation import check_runnable
from shipwheel.engine.interface import Detached, RunSpec, detach_error, image_for
from shipwheel.engine.local import Bind, LocalEngine, bind_mounts, memory_file
from shipwheel.engine.program import ProgramResult, is_installed, run_program
from shipwheel.engine.supervise import Send, supervise
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

_OVERLAY_VERSION = (0, 11)
"""The first version that can mount a writable layer over a directory."""

_HOST_FILES = ("/etc/hosts", "/etc/resolv.conf")


class Bwrap(LocalEngine):
    """A bubblewrap that can create user namespaces. An image's name is the directory that it is unpacked in."""

    name = "bwrap"
    maps_user = True
    detaches = False

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self._unpacked: list[CachedRootfs] = []

    @classmethod
    def connect(cls) -> "Bwrap":
        """Return the bwrap on PATH. Raises EngineError that says why it does not work."""
        if sys.platform != "linux":
            raise EngineError("bwrap runs on Linux only", hint="Use docker or podman, which run Linux in a virtual machine.")
        if not is_installed("bwrap"):
            raise NotInstalled("bwrap is not installed", hint="Install bubblewrap; Debian has a package of that name.")
        version = re.search(r"\d+(\.\d+)+", run_program(["bwrap", "--version"]).stdout)
        trial = run_program(["bwrap", "--unshare-user", "--unshare-pid", "--uid", "65532", "--gid", "65532", "--ro-bind", "/", "/", "true"])
        if version is None or not trial.ok:
            hint = "The kernel must allow user namespaces: sysctl kernel.unprivileged_userns_clone=1, or an AppArmor profile for bwrap."
            raise EngineError(f"bwrap does not work: {trial.reason}", hint=hint)
        return cls(version[0])

    def has(self, image: str) -> bool:
        """See `Engine.has`. A directory counts if it looks like an unpacked image."""
        return (Path(image) / "etc").is_dir()

    def load(self, index: ImageIndex, store: Store, name: Reference, reporter: Reporter) -> str:  # noqa: ARG002 - the interface's
        """See `Engine.load`. Returns the directory that the image is unpacked in, which exists as long as this object."""
        root = unpack_image(image_for(index, self.host()), store, reporter)
        self._unpacked.append(root)
        return str(root.path)

    def pull(self, image: str, platform: Platform) -> None:
        """See `Engine.pull`. Always raises EngineError."""
        hint = f"Run shipwheel pull --platform {platform} {image} DIR, then shipwheel run DIR --engine bwrap."
        raise EngineError(f"bwrap stores no images, so it cannot pull {image}", hint=hint)

    def inspect(self, image: str) -> tuple[ContainerConfig, Platform]:
        """See `Engine.inspect`. Always raises EngineError."""
        raise EngineError(f"bwrap stores no images, so it has no {image}", hint="Name a project, an image layout or an archive.")

    def run(self, spec: RunSpec) -> int:
        """See `Engine.run`."""
        with self._arguments(spec) as handle:
            read_end, write_end = os.pipe()
            try:
                argv = ["bwrap", "--args", str(handle), "--info-fd", str(write_end), "--", *spec.command]
                status, _ = supervise(argv, _first_process_sender(read_end), spec, pass_fds=(handle, write_end))
            finally:
                os.close(read_end)
                os.close(write_end)
        return status

    def capture(self, spec: RunSpec, timeout: float) -> ProgramResult:
        """See `Engine.capture`. The container dies with bwrap."""
        with self._arguments(spec) as handle:
            return run_program(["bwrap", "--args", str(handle), "--", *spec.command], timeout=timeout, pass_fds=(handle,))

    @contextmanager
    def _arguments(self, spec: RunSpec) -> Iterator[int]:
        """Yield a file descriptor with bwrap's flags: as arguments the variables would be in the list of processes."""
        check_runnable(spec.platform, self.platforms(), self.emulation_hint)
        if not spec.command:
            raise EngineError("the image has no command", hint="Name one after `--`.")
        rootfs = Rootfs(Path(spec.image))
        with bind_mounts(spec, chown=False) as binds:
            words = [*self._flags(spec, rootfs), *_bind_flags(binds, rootfs)]
            with memory_file(b"".join(os.fsencode(word) + b"\0" for word in words)) as handle:
                yield handle

    def start(self, spec: RunSpec) -> Detached:  # noqa: ARG002 - the interface's
        """See `Engine.start`. Always raises EngineError."""
        raise detach_error(self.name)

    def _flags(self, spec: RunSpec, rootfs: Rootfs) -> Iterator[str]:
        """Yield bwrap's flags, in order: later mounts cover earlier ones (bwrap(1))."""
        uid, gid = _ids(spec.user or spec.config.user, rootfs)
        yield from ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--as-pid-1")
        yield from ("--die-with-parent", "--hostname", spec.name, "--uid", uid, "--gid", gid)
        if spec.network == "none":
            yield "--unshare-net"
        if spec.no_privileges:
            yield from ("--cap-drop", "ALL")
        if not spec.tty:
            yield "--new-session"
        for path in ("/proc", "/dev", "/sys", "/tmp"):  # noqa: S108 - in the container
            rootfs.make_mount_point(path, directory=True)
        for path in _HOST_FILES:
            rootfs.make_mount_point(path, directory=False)
        yield from self._root(spec)
        yield from ("--proc", "/proc", "--dev", "/dev", "--ro-bind-try", "/sys", "/sys")
        yield from ("--perms", "1777", "--tmpfs", "/tmp")  # noqa: S108 - in the container
        for path in _HOST_FILES:
            yield from ("--ro-bind-try", path, path)
        yield from ("--chdir", spec.config.working_dir or "/", "--clearenv")
        for name, value in {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", **spec.config.environment, **spec.env}.items():  # noqa: S108
            yield from ("--setenv", name, value)

    def _root(self, spec: RunSpec) -> Iterator[str]:
        if spec.read_only:
            yield from ("--ro-bind", spec.image, "/")
        elif tuple(int(part) for part in self._version.split(".")[:2]) < _OVERLAY_VERSION:
            hint = "Leave out --no-read-only, or install bubblewrap 0.11 or newer."
            raise EngineError(f"bwrap {self._version} cannot make the root writable without changing the unpacked image", hint=hint)
        else:
            yield from ("--overlay-src", spec.image, "--tmp-overlay", "/")


def _bind_flags(binds: tuple[Bind, ...], rootfs: Rootfs) -> Iterator[str]:
    for bind in binds:
        rootfs.make_mount_point(bind.target, directory=Path(bind.source).is_dir())
        yield from ("--ro-bind" if bind.mode == "ro" else "--bind", bind.source, bind.target)


def _ids(user: str, rootfs: Rootfs) -> tuple[str, str]:
    """Return the numeric user and group of an image's User (image-spec, config.md). Names are looked up in its passwd; none is root."""
    uid, _, gid = user.partition(":")
    if uid and not uid.isdecimal():
        row = next((line.split(":") for line in rootfs.read_text("etc/passwd").splitlines() if line.startswith(f"{uid}:")), [])
        if len(row) < 4:
            raise EngineError(f"the image has no user {uid!r}", hint="Use a numeric one: --user UID:GID.")
        uid, gid = row[2], gid or row[3]
    uid = uid or "0"
    return uid, gid if gid.isdecimal() else uid


def _first_process_sender(info_fd: int) -> Send:
    """Return a function that sends signals to the container's first process, whose PID bwrap writes to `info_fd`."""
    pid: int | None = None

    def send(name: str) -> Callable[[], bool | None]:
        nonlocal pid
        if pid is None and select.select([info_fd], [], [], 0)[0]:
            with suppress(ValueError, KeyError):
                pid = int(json.loads(os.read(info_fd, 65536))["child-pid"])
        if pid is None:
            return lambda: False
        with suppress(ProcessLookupError):
            os.kill(pid, getattr(signal, name))
        return lambda: True

    return send
