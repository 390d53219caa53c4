"""containerd with its own client, `ctr`: for machines that have nothing else.

ctr itself reads CONTAINERD_ADDRESS and CONTAINERD_NAMESPACE. It has no container network, so containers are in this machine's (--net-host,
which also mounts /etc/hosts and /etc/resolv.conf). It has no volumes either: those are directories.
"""

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shipwheel.digest import Digest, as_digest
from shipwheel.engine.ctr_container import CtrContainer, remove_container
from shipwheel.engine.delivery import report_present, send_archive
from shipwheel.engine.emulation import check_runnable
from shipwheel.engine.interface import RunSpec, check_supported, image_for
from shipwheel.engine.local import Bind, LocalEngine, bind_mounts, env_file, logs_directory, make_binds
from shipwheel.engine.program import EngineFailure, ProgramResult, is_installed, run_program, run_with_messages
from shipwheel.engine.supervise import send_with_program, supervise
from shipwheel.engine.tee import Tail
from shipwheel.errors import EngineError, ImageError, NotInstalled
from shipwheel.events import Reporter
from shipwheel.oci.execution import ExecutionConfig, execution_config
from shipwheel.oci.image import ImageIndex
from shipwheel.oci.model import INDEX_TYPES, ConfigFile, Index, Manifest, decode
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform
from shipwheel.store.store import Store

__all__ = ["Ctr"]

_CAPABILITIES = (
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW"),
    *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
)
"""The capabilities that `ctr run` grants by default (containerd, oci/spec.go). It has no option for all of them."""


class Ctr(LocalEngine):
    """A containerd daemon."""

    name = "containerd"
    maps_user = False
    takes_pipes = False

    @classmethod
    def connect(cls) -> "Ctr":
        """Return the containerd that ctr talks to. Raises EngineError that says why there is none."""
        if not is_installed("ctr"):
            raise NotInstalled("containerd's ctr is not installed", hint="Install containerd; Debian has a package of that name.")
        # Without a listener ctr would wait.
        has_socket = Path(_address().removeprefix("unix://")).exists()
        result = run_program(["ctr", "version"], timeout=15) if has_socket else ProgramResult("ctr", 1, "", "the socket does not exist")
        server = re.search(r"^Server:\s*\n\s*Version:\s*(\S+)", result.stdout, re.MULTILINE)
        if not result.ok or server is None:
            raise _unusable(result)
        return cls(server[1])

    def has(self, image: str) -> bool:
        """See `Engine.has`."""
        return self._target(_full_name(image)) is not None

    def load(self, index: ImageIndex, store: Store, name: Reference, reporter: Reporter) -> str:
        """See `Engine.load`. ctr knows images by their full names only."""
        image = image_for(index, self.host())
        layers = frozenset(layer.descriptor.digest for layer in image.layers)
        present = layers.intersection(run_program(["ctr", "content", "ls", "--quiet"]).stdout.split())
        target = self._target(name.full)
        if target is not None and target[1] == image.digest and present == layers:
            report_present(self.name, reporter)
            return name.full
        # An import finds the layers to unpack by digest, so those that containerd has may be missing in the archive (tested with 1.7).
        argv = ["ctr", "images", "import", "--platform", str(image.platform), "-"]
        send_archive(self.name, argv, image, store, name, reporter, without=present)
        return name.full

    def pull(self, image: str, platform: Platform) -> None:
        """See `Engine.pull`."""
        if run_with_messages(["ctr", "images", "pull", "--platform", str(platform), _full_name(image)]):
            hint = "ctr does not use docker's credentials. `shipwheel pull` does, and `shipwheel run` takes the layout."
            raise EngineError(f"containerd could not pull {image}", hint=hint)

    def inspect(self, image: str) -> tuple[ExecutionConfig, Platform]:
        """See `Engine.inspect`. Of several images returns the host platform's, else the first that was fetched."""
        target = self._target(_full_name(image))
        configs = list(self._configs(*target)) if target is not None else []
        if not configs:
            raise EngineError(f"containerd has no image {image}", hint=f"Load it, or run ctr images pull {_full_name(image)}.")
        host = self.host()
        chosen = next((config for config in configs if host.matches(_platform(config))), configs[0])
        return execution_config(chosen.config, image), _platform(chosen)

    def run(self, spec: RunSpec, tail: Tail | None = None) -> int:
        """See `Engine.run`."""
        check_runnable(spec.platform, self.platforms(), self.emulation_hint)
        if spec.interactive and not spec.tty:
            # ctr loses an end of input that comes before the task exists, and the container waits forever (tested with 1.7).
            hint = "Use a terminal, or docker, podman or nerdctl."
            raise EngineError("containerd's ctr does not forward the end of an input", hint=hint)
        with bind_mounts(spec, chown=True) as binds, self._run_command(spec, binds, "--rm") as (argv, pass_fds):
            send = send_with_program("ctr", "tasks", "kill", "--signal", "{}", spec.name)
            status, stopped = supervise(argv, send, spec, tail, pass_fds=pass_fds)
            if stopped or status:
                # --rm removes the container, unless ctr failed or ended before that.
                remove_container(spec.name)
        return status

    def has_started(self, spec: RunSpec) -> bool:  # noqa: ARG002 - the interface's
        """See `Engine.has_started`."""
        return True

    def capture(self, spec: RunSpec, timeout: float) -> ProgramResult:
        """See `Engine.capture`."""
        check_runnable(spec.platform, self.platforms(), self.emulation_hint)
        ended = False
        with bind_mounts(spec, chown=True) as binds, self._run_command(spec, binds, "--rm") as (argv, pass_fds):
            try:
                result = run_program(argv, timeout=timeout, pass_fds=pass_fds)
                ended = result.status == 0
            finally:
                if not ended:
                    remove_container(spec.name)
        return result

    def start(self, spec: RunSpec) -> CtrContainer:
        """See `Engine.start`. The output goes to a file: without it, ctr waits for a reader of its pipes."""
        check_runnable(spec.platform, self.platforms(), self.emulation_hint)
        log = logs_directory() / f"{spec.name}.log"
        binds = make_binds(spec, chown=True)
        with self._run_command(spec, binds.mounts, "--detach", f"--log-uri={log.as_uri()}") as (argv, pass_fds):
            result = run_program(argv, pass_fds=pass_fds)
        if not result.ok:
            binds.remove()
            if result.failure is not EngineFailure.NAME_TAKEN:
                remove_container(spec.name)
            hint = "Check that the name is free and that the command is in the image."
            raise EngineError(f"containerd could not start {spec.name}: {result.reason}", hint=hint)
        return CtrContainer(spec, log, binds)

    @contextmanager
    def _run_command(self, spec: RunSpec, binds: Sequence[Bind], *more: str) -> Iterator[tuple[list[str], tuple[int, ...]]]:
        """Yield the `ctr run` command of a container, and the file descriptors that it must inherit."""
        with env_file(spec.env) as env:
            flags = [*more, *self._flags(spec), *env.flags]
            flags += spec.engine_options
            flags += [_mount("bind", bind.source, bind.target, f"rbind:{bind.mode}") for bind in binds]
            argv = ["ctr", "run", *flags, _full_name(spec.image), spec.name]
            if spec.entrypoint is not None or spec.args:
                # Without words ctr runs the image's command; words replace both Entrypoint and Cmd.
                argv += spec.command
            yield argv, env.pass_fds

    def _flags(self, spec: RunSpec) -> Iterator[str]:
        # ctr requests CPU shares by default, which fails without that cgroup controller.
        yield from ("--platform", str(spec.platform), "--cpu-shares", "0", "--seccomp")
        check_supported(self, network=spec.network, limited=False)
        if spec.network != "none":
            yield "--net-host"
        if spec.cpus is not None:
            yield f"--cpus={spec.cpus:g}"
        if spec.memory is not None:
            yield f"--memory-limit={spec.memory}"
        if spec.read_only:
            yield "--read-only"
        yield from (_mount("tmpfs", "tmpfs", path, "nosuid:nodev:mode=1777") for path in spec.tmpfs)
        if spec.no_privileges:
            yield from (f"--cap-drop=CAP_{name}" for name in _CAPABILITIES)
        if spec.user:
            yield from ("--user", spec.user)
        if spec.tty:
            yield "--tty"

    def _target(self, image: str) -> tuple[str, Digest] | None:
        """Return the media type and digest of a full name or name@digest, None if containerd does not have it."""
        rows = run_program(["ctr", "images", "list", f"name=={image}"]).stdout.splitlines()[1:]
        words = rows[0].split() if rows else []
        digest = as_digest(words[2]) if len(words) > 2 else None
        return (words[1], digest) if digest is not None else None

    def _configs(self, media_type: str, digest: Digest) -> Iterator[ConfigFile]:
        if media_type in INDEX_TYPES:
            for entry in decode(self._content(digest), Index, digest).manifests:
                if entry.platform is None or entry.platform.os != "unknown":
                    yield from self._configs(entry.media_type, entry.digest)
            return
        try:
            config = decode(self._content(digest), Manifest, digest).config
            yield decode(self._content(config.digest), ConfigFile, config.digest)
        except ImageError:
            # A platform that was not fetched.
            return

    def _content(self, digest: Digest) -> bytes:
        return run_program(["ctr", "content", "get", digest]).stdout.encode()


def _mount(kind: str, source: str, target: str, options: str) -> str:
    """Return a mount's flag: fields as in CSV, because a directory of this machine may have commas and quotes in its name."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([f"type={kind}", f"src={source}", f"dst={target}", f"options={options}"])
    return f"--mount={line.getvalue()}"


def _full_name(image: str) -> str:
    """Return containerd's name of an image."""
    reference = Reference.parse(image)
    return reference.full if reference.digest is None else f"{reference.full.rpartition(':')[0]}@{reference.digest}"


def _platform(config: ConfigFile) -> Platform:
    return Platform(config.os, config.architecture, config.variant)


def _address() -> str:
    return os.environ.get("CONTAINERD_ADDRESS") or "/run/containerd/containerd.sock"


def _unusable(result: ProgramResult) -> EngineError:
    if result.failure is EngineFailure.NO_PERMISSION:
        return EngineError("you have no permission to use containerd's socket", hint="Run as root.")
    hint = f"Start it: systemctl start containerd. ctr looks for it at {_address()} (CONTAINERD_ADDRESS)."
    return EngineError(f"containerd does not answer: {result.reason}", hint=hint)
