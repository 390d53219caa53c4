"""bubblewrap: runs an image on a Linux machine without an engine. It has no network, no volumes and no images of its own."""

import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from shipwheel.cleanup.kill import kill_with_children
from shipwheel.container.devices import device_flags
from shipwheel.container.signals import signal_number
from shipwheel.engine.bwrap_container import BwrapContainer, make_scratch
from shipwheel.engine.emulation import check_runnable
from shipwheel.engine.interface import RunSpec, check_supported, image_for
from shipwheel.engine.local import Bind, LocalEngine, bind_mounts, last_lines, make_binds, memory_file
from shipwheel.engine.program import ProgramResult, is_installed, run_program
from shipwheel.engine.supervise import Send, supervise
from shipwheel.engine.tee import Tail
from shipwheel.errors import EngineError, NotInstalled
from shipwheel.events import Reporter
from shipwheel.oci.execution import ExecutionConfig
from shipwheel.oci.image import ImageIndex
from shipwheel.oci.read.rootfs import Rootfs
from shipwheel.oci.read.rootfs_cache import unpack_image
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform
from shipwheel.store.directory_cache import CachedDirectory
from shipwheel.store.store import Store

__all__ = ["Bwrap"]

_MAX_HOSTNAME = 64
"""Bytes of a host name that Linux takes, as of sethostname(2)."""
_OVERLAY_VERSION = (0, 11)
"""The first version that can mount a writable layer over a directory."""

_HOST_FILES = ("/etc/hosts", "/etc/resolv.conf")


class Bwrap(LocalEngine):
    """A bubblewrap that can create user namespaces. An image's name is the directory that it is unpacked in."""

    name = "bwrap"
    maps_user = True
    detaches = False
    limits = False

    def __init__(self, version: str) -> None:
        super().__init__(version)
        self._unpacked: list[CachedDirectory] = []

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

    def inspect(self, image: str) -> tuple[ExecutionConfig, Platform]:
        """See `Engine.inspect`. Always raises EngineError."""
        raise EngineError(f"bwrap stores no images, so it has no {image}", hint="Name a project, an image layout or an archive.")

    def run(self, spec: RunSpec, tail: Tail | None = None) -> int:
        """See `Engine.run`."""
        with self._flags_file(spec) as handle:
            read_end, write_end = os.pipe()
            try:
                argv = ["bwrap", "--args", str(handle), "--info-fd", str(write_end), "--", *spec.command]
                status, _ = supervise(argv, _first_process_sender(read_end), spec, tail, pass_fds=(handle, write_end))
            finally:
                os.close(read_end)
                os.close(write_end)
        return status

    def has_started(self, spec: RunSpec) -> bool:  # noqa: ARG002 - the interface's
        """See `Engine.has_started`."""
        return True

    def capture(self, spec: RunSpec, timeout: float) -> ProgramResult:
        """See `Engine.capture`. The container dies with bwrap."""
        with self._flags_file(spec) as handle:
            words = ["bwrap", "--args", str(handle), "--", *spec.command]
            # Ctrl-C in a terminal must not end bubblewrap alone, whose child does not yet end with it while it starts.
            return run_program(words, timeout=timeout, pass_fds=(handle,), own_group=True)

    def start(self, spec: RunSpec) -> BwrapContainer:
        """See `Engine.start`. The container ends with the thread that calls this."""
        scratch = make_scratch()
        binds = make_binds(spec, chown=False)
        try:
            flags = self._flags(spec, binds.mounts, ("--overlay", str(scratch.upper), str(scratch.work), "/"))
            process, pid = _start(flags, spec.command, scratch.log)
        except BaseException:
            scratch.remove()
            binds.remove()
            raise
        return BwrapContainer(spec, process, pid, _environment(spec), scratch, binds)

    @contextmanager
    def _flags_file(self, spec: RunSpec) -> Iterator[int]:
        """Yield a file descriptor with bwrap's flags: as arguments the variables would be in the list of processes."""
        with bind_mounts(spec, chown=False) as binds, memory_file(self._flags(spec, binds, ("--tmp-overlay", "/"))) as handle:
            yield handle

    def _flags(self, spec: RunSpec, binds: Sequence[Bind], overlay: Sequence[str]) -> bytes:
        """Return bwrap's flags as `--args` reads them. `overlay` are those that mount a writable layer over the image."""
        check_runnable(spec.platform, self.platforms(), self.emulation_hint)
        check_supported(self, network=spec.network, limited=spec.cpus is not None or spec.memory is not None)
        if not spec.command:
            raise EngineError("the image has no command", hint="Name one after `--`.")
        rootfs = Rootfs(Path(spec.image))
        words = (
            *_namespaces(spec, rootfs),
            *self._root(spec, overlay),
            *_mounts(spec, binds, rootfs),
            *_process(spec),
            *spec.engine_options,
        )
        return _joined(words)

    def _root(self, spec: RunSpec, overlay: Sequence[str]) -> Iterator[str]:
        if spec.read_only:
            yield from ("--ro-bind", spec.image, "/")
        elif tuple(int(part) for part in self._version.split(".")[:2]) < _OVERLAY_VERSION:
            hint = "Leave out --no-read-only, or install bubblewrap 0.11 or newer."
            raise EngineError(f"bwrap {self._version} cannot make the root writable without changing the unpacked image", hint=hint)
        else:
            yield from ("--overlay-src", spec.image, *overlay)


def _joined(words: Iterable[str]) -> bytes:
    """Return the words as `--args` reads them. Raises EngineError for a word with NUL, which would be two."""
    found = tuple(words)
    for word in found:
        if "\0" in word:
            raise EngineError(f"bwrap cannot take the argument {word[:80]!r}, which contains NUL", hint="Leave it out.")
    return b"".join(os.fsencode(word) + b"\0" for word in found)


def _namespaces(spec: RunSpec, rootfs: Rootfs) -> Iterator[str]:
    uid, gid = _ids(spec.user or spec.config.user, rootfs)
    yield from ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--as-pid-1")
    if spec.network == "none":
        yield "--unshare-net"
    if spec.no_privileges:
        yield from ("--cap-drop", "ALL")
    yield from ("--die-with-parent", "--hostname", spec.name[:_MAX_HOSTNAME].rstrip("-._"), "--uid", uid, "--gid", gid)
    if not spec.tty:
        yield "--new-session"


def _mounts(spec: RunSpec, binds: Sequence[Bind], rootfs: Rootfs) -> Iterator[str]:
    """Yield the flags that mount, in order: later mounts cover earlier ones (bwrap(1)).

    bwrap would follow the image's links while the machine's files are in reach, so it gets paths without links.
    """
    yield from ("--proc", rootfs.make_mount_point("/proc", directory=True))
    yield from device_flags(rootfs.make_mount_point("/dev", directory=True))
    yield from ("--ro-bind-try", "/sys", rootfs.make_mount_point("/sys", directory=True))
    for path in spec.tmpfs:
        yield from ("--perms", "1777", "--tmpfs", rootfs.make_mount_point(path, directory=True))
    for file in _HOST_FILES:
        yield from ("--ro-bind-try", file, rootfs.make_mount_point(file, directory=False))
    for bind in binds:
        target = rootfs.make_mount_point(bind.target, directory=Path(bind.source).is_dir())
        yield from ("--ro-bind" if bind.mode == "ro" else "--bind", bind.source, target)


def _process(spec: RunSpec) -> Iterator[str]:
    yield from ("--chdir", spec.config.working_dir, "--clearenv")
    for name, value in _environment(spec).items():
        yield from ("--setenv", name, value)


def _environment(spec: RunSpec) -> dict[str, str]:
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", **spec.config.environment, **spec.env}  # noqa: S108


def _start(flags: bytes, command: Sequence[str], log: Path) -> "tuple[subprocess.Popen[bytes], int]":
    """Start bwrap, and return it with the PID of the container's first process. Raises EngineError if there is none."""
    read_end, write_end = os.pipe()
    with os.fdopen(read_end) as info, memory_file(flags) as handle, log.open("wb") as output:
        argv = ["bwrap", "--args", str(handle), "--info-fd", str(write_end), "--", *command]
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=(handle, write_end), process_group=0
            )
        except OSError as error:
            raise EngineError(f"cannot start bwrap: {error.strerror or error}", hint="Install it again.") from error
        finally:
            os.close(write_end)
        try:
            text = info.read()
        except BaseException:
            kill_with_children(process)
            raise
        if text:
            return process, int(json.loads(text)["child-pid"])
    process.wait()
    raise EngineError(f"bwrap could not start the container: {last_lines(log).strip()}", hint="Check the user, the mounts and the command.")


def _ids(user: str, rootfs: Rootfs) -> tuple[str, str]:
    """Return the numeric user and group of an image's User (image-spec, config.md). Names are looked up in its passwd; none is root."""
    name, _, group = user.partition(":")
    uid, gid = _number(name or "0"), _number(group)
    if uid is None:
        row = next((line.split(":") for line in rootfs.read_text("etc/passwd").splitlines() if line.startswith(f"{name}:")), [])
        uid, own_gid = (_number(field) for field in row[2:4]) if len(row) > 3 else (None, None)
        if uid is None:
            raise EngineError(f"the image has no user {name!r}", hint="Use a numeric one: --user UID:GID.")
        gid = own_gid if gid is None else gid
    return uid, uid if gid is None else gid


def _number(text: str) -> str | None:
    return text if re.fullmatch(r"[0-9]{1,10}", text) else None


def _first_process_sender(info_fd: int) -> Send:
    """Return a function that sends signals to the container's first process, whose PID bwrap writes to `info_fd`."""
    pid: int | None = None

    def send(name: str) -> Callable[[], bool | None]:
        nonlocal pid
        if pid is None and select.select([info_fd], [], [], 0)[0]:
            with suppress(ValueError, KeyError):
                pid = int(json.loads(os.read(info_fd, 65536))["child-pid"])
        number = signal_number(name)
        if pid is None or number is None:
            return lambda: False
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        return lambda: True

    return send
