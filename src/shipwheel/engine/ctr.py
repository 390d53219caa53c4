"""containerd through its own `ctr`: for machines that have nothing else.

CONTAINERD_ADDRESS and CONTAINERD_NAMESPACE are ctr's own variables, and are heeded by it. It has no network of its own to put containers
in, so they are in this machine's (--net-host, which brings /etc/hosts and /etc/resolv.conf as well), and no volumes: those are directories.
"""

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shipwheel.engine.delivery import present, send_archive
from shipwheel.engine.emulation import runnable
from shipwheel.engine.env_file import env_file
from shipwheel.engine.interface import Detached, RunSpec, image_for
from shipwheel.engine.local import LocalEngine
from shipwheel.engine.program import Answer, ask, first_line, found, tell
from shipwheel.engine.refusal import Refusal, refusal
from shipwheel.engine.supervise import by_program, supervise
from shipwheel.engine.volumes import logs_root, volumes
from shipwheel.errors import EngineError, ImageError, NotInstalled
from shipwheel.events import Reporter
from shipwheel.oci.image import ImageIndex
from shipwheel.oci.model import MEDIA_TYPE_INDEX, ConfigFile, ContainerConfig, Index, Manifest, decode
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform
from shipwheel.store import Store

__all__ = ["Ctr"]

_INDEXES = (MEDIA_TYPE_INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")


class Ctr(LocalEngine):
    """A containerd that answers."""

    name = "containerd"
    maps_user = False

    @classmethod
    def connect(cls) -> "Ctr":
        """The containerd that ctr is set to. Raises EngineError that says what is missing."""
        if not found("ctr"):
            raise NotInstalled("containerd's ctr is not installed", hint="Install containerd; Debian has a package of that name.")
        # Where nothing listens, ctr would wait.
        listens = Path(_address().removeprefix("unix://")).exists()
        answer = ask(["ctr", "version"], seconds=15) if listens else Answer(1, "", "there is no socket")
        server = re.search(r"^Server:\s*\n\s*Version:\s*(\S+)", answer.output, re.MULTILINE)
        if not answer.ok or server is None:
            raise _unusable(answer)
        return cls(server[1])

    def has(self, image: str) -> bool:
        """See `Engine.has`."""
        return self._target(_full(image)) is not None

    def load(self, index: ImageIndex, store: Store, name: Reference, reporter: Reporter) -> str:
        """See `Engine.load`. ctr knows images by their full names alone."""
        image = image_for(index, self.host())
        there = frozenset(ask(["ctr", "content", "ls", "--quiet"]).output.split())
        target = self._target(name.full)
        if target is not None and target[1] == image.digest and there.issuperset(layer.descriptor.digest for layer in image.layers):
            present(self.name, reporter)
            return name.full
        # Content that is there may be missing in the archive (tried, 1.7): what an import unpacks is looked up by digest.
        without = frozenset(layer.descriptor.digest for layer in image.layers) & there
        argv = ["ctr", "images", "import", "--platform", str(image.platform), "-"]
        send_archive(self.name, argv, image, store, name, reporter, without=without)
        return name.full

    def pull(self, image: str, platform: Platform) -> None:
        """See `Engine.pull`."""
        if tell(["ctr", "images", "pull", "--platform", str(platform), _full(image)]):
            hint = "ctr knows no credentials of docker's. `shipwheel pull` does, and `shipwheel run` takes the layout."
            raise EngineError(f"containerd could not pull {image}", hint=hint)

    def inspect(self, image: str) -> tuple[ContainerConfig, Platform]:
        """See `Engine.inspect`: the image of the host's platform, else the first whose config is there."""
        target = self._target(_full(image))
        configs = list(self._configs(*target)) if target is not None else []
        if not configs:
            raise EngineError(f"containerd has no image {image}", hint=f"Load it, or ctr images pull {_full(image)}.")
        host = self.host()
        chosen = next((one for one in configs if host.matches(_platform(one))), configs[0])
        return chosen.config, _platform(chosen)

    def run(self, spec: RunSpec) -> int:
        """See `Engine.run`."""
        runnable(spec.platform, self.platforms(), self.emulation_hint)
        if spec.interactive and not spec.tty:
            # It forgets an end that comes before the task is there, and the container waits for ever (tried, 1.7).
            raise EngineError("containerd's ctr does not pass the end of an input on", hint="Use a terminal, or docker, podman or nerdctl.")
        with self._command(spec, "--rm") as (argv, kept):
            status, asked = supervise(
                argv,
                by_program("ctr", "tasks", "kill", "--signal", "{}", spec.name),
                stop_signal=spec.config.stop_signal or "SIGTERM",
                grace=spec.grace,
                interactive=spec.interactive,
                tty=spec.tty,
                pass_fds=kept,
            )
            if asked or status:
                # ctr removes what it has run itself, unless it was ended or failed before it came to that.
                _remove(spec.name)
        return status

    def start(self, spec: RunSpec) -> Detached:
        """See `Engine.start`. What it says goes into a file: ctr's own pipes would have no reader, and it would wait for one."""
        runnable(spec.platform, self.platforms(), self.emulation_hint)
        if any(not mount.source for mount in spec.mounts):
            what = "containerd's ctr does not know when a container that stays is gone, so no volume can be gone with it"
            raise EngineError(what, hint="Leave out --ephemeral, and name what you mount: -v NAME:PATH.")
        log = logs_root() / f"{spec.name}.log"
        with self._command(spec, "--detach", f"--log-uri={log.as_uri()}") as (argv, kept):
            answer = ask(argv, pass_fds=kept)
        if not answer.ok:
            if refusal(answer) is not Refusal.NAME_TAKEN:
                _remove(spec.name)
            said = first_line(answer.errors) or f"ctr ended with {answer.status}"
            raise EngineError(f"containerd did not start {spec.name}: {said}", hint="Is its name taken? Is its command in the image?")
        stop = f"ctr tasks kill --signal {spec.config.stop_signal or 'SIGTERM'} {spec.name}"
        remove = f"ctr tasks delete {spec.name}; ctr containers delete {spec.name}; rm {shlex.quote(str(log))}"
        return Detached(f"tail -f {shlex.quote(str(log))}", stop, remove)

    @contextmanager
    def _command(self, spec: RunSpec, *more: str) -> Iterator[tuple[list[str], tuple[int, ...]]]:
        """`ctr run` for a container, and the descriptors that it needs open."""
        with volumes(spec, chown=True) as mounts, env_file(spec.env) as (path, given, kept):
            flags = [*more, *self._flags(spec), *given, *([f"--env-file={path}"] if path else [])]
            flags += [f"--mount=type=bind,src={src},dst={dst},options=rbind:{mode}" for src, dst, mode in mounts]
            argv = ["ctr", "run", *flags, _full(spec.image), spec.name]
            if spec.entrypoint is not None or spec.args:
                # Without words ctr takes the image's; with some they replace Entrypoint and Cmd alike.
                argv += spec.command
            yield argv, kept

    def _flags(self, spec: RunSpec) -> Iterator[str]:
        # No CPU shares: ctr asks for some by default, which fails where there is no such controller.
        yield from ("--net-host", "--platform", str(spec.platform), "--cpu-shares", "0", "--seccomp")
        if spec.read_only:
            yield from ("--read-only", "--mount=type=tmpfs,src=tmpfs,dst=/tmp,options=nosuid:nodev:mode=1777")
        if spec.user:
            yield from ("--user", spec.user)
        if spec.tty:
            yield "--tty"

    def _target(self, image: str) -> tuple[str, str] | None:
        """The media type and the digest that a full name, or name@digest, stands for."""
        rows = ask(["ctr", "images", "list", f"name=={image}"]).output.splitlines()[1:]
        words = rows[0].split() if rows else []
        return (words[1], words[2]) if len(words) > 2 else None

    def _configs(self, media_type: str, digest: str) -> Iterator[ConfigFile]:
        if media_type in _INDEXES:
            for one in decode(self._content(digest), Index, digest).manifests:
                if one.platform is None or one.platform.os != "unknown":
                    yield from self._configs(one.media_type, one.digest)
            return
        try:
            config = decode(self._content(digest), Manifest, digest).config
            yield decode(self._content(config.digest), ConfigFile, config.digest)
        except ImageError:
            # Of a platform that was not fetched.
            return

    def _content(self, digest: str) -> bytes:
        return ask(["ctr", "content", "get", digest]).output.encode()


def _remove(name: str) -> None:
    ask(["ctr", "tasks", "delete", "--force", name])
    ask(["ctr", "containers", "delete", name])


def _full(image: str) -> str:
    """The name under which containerd keeps an image."""
    reference = Reference.parse(image)
    return reference.full if reference.digest is None else f"{reference.full.rpartition(':')[0]}@{reference.digest}"


def _platform(config: ConfigFile) -> Platform:
    return Platform(config.os, config.architecture, config.variant)


def _address() -> str:
    return os.environ.get("CONTAINERD_ADDRESS") or "/run/containerd/containerd.sock"


def _unusable(answer: Answer) -> EngineError:
    said = first_line(answer.errors) or first_line(answer.output) or f"ctr ended with {answer.status}"
    if refusal(answer) is Refusal.NO_PERMISSION:
        return EngineError("containerd may not be used by you: no permission for its socket", hint="Run it as root.")
    hint = f"Start it: systemctl start containerd. It is looked for at {_address()} (CONTAINERD_ADDRESS)."
    return EngineError(f"containerd does not answer: {said}", hint=hint)
