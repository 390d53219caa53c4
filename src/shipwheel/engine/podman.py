"""podman, with or without root, and its virtual machine on other systems."""

from shipwheel.engine.delivery import send_archive
from shipwheel.engine.dockerlike import DockerLike, refused
from shipwheel.engine.emulation import with_emulation
from shipwheel.engine.interface import RunSpec, image_for
from shipwheel.engine.program import Answer, ask, document, found
from shipwheel.engine.refusal import Refusal, refusal
from shipwheel.errors import EngineError, NotInstalled
from shipwheel.events import Reporter
from shipwheel.oci.image import ImageIndex
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform
from shipwheel.store import Store

__all__ = ["Podman"]

_KEEP_ID = (4, 3)
"""The version from which on --userns=keep-id takes a user."""


class Podman(DockerLike):
    """A podman that works."""

    name = "podman"

    @classmethod
    def connect(cls) -> "Podman":
        """The podman on PATH. Raises EngineError that says what is missing."""
        if not found("podman"):
            raise NotInstalled("podman is not installed", hint="Install podman; Debian has a package of that name.")
        answer = ask(["podman", "info", "--format", "json"], seconds=30)
        try:
            info = document(answer)
            host, version = info["host"], str(info["version"]["Version"])
            own = Platform("linux", str(host["arch"]))
        except (KeyError, TypeError) as error:
            raise _unusable(answer) from error
        engine = cls(version, own, with_emulation(own, str(host.get("kernel", ""))))
        security = host.get("security") or {}
        engine.maps_user = bool(security.get("rootless")) and engine.number >= _KEEP_ID
        return engine

    def load(self, index: ImageIndex, store: Store, name: Reference, reporter: Reporter) -> str:
        """See `Engine.load`. A full name is returned: podman asks which registry a short one is of."""
        image = image_for(index, self.host())
        # The ID of an image is its config's digest.
        if self._tagged((image.config_descriptor.digest,), name.full, reporter):
            return name.full
        # A layer is found again by its digest, wherever in an image it was (tried, 5.4): a diff_id of an image says that it is there.
        known = {diff_id for one in self.images() for diff_id in one.diff_ids}
        without = frozenset(layer.descriptor.digest for layer in image.layers if layer.diff_id in known)
        # An archive, since podman takes the wrong platform from a layout's directory when a foreign one is asked for.
        send_archive(self.name, ["podman", "load", "--quiet"], image, store, name, reporter, without=without)
        return name.full

    def _own_flags(self, spec: RunSpec) -> tuple[str, ...]:
        """Without root, the image's user is one of the caller's subordinate IDs, to whom the caller's own directories do not belong.

        Named volumes do, so only directories of the machine need the image's user to be the caller.
        """
        user, _, group = (spec.user or spec.config.user).partition(":")
        if not (self.maps_user and user.isdigit() and any(mount.is_path for mount in spec.mounts)):
            return ()
        return (f"--userns=keep-id:uid={user},gid={group if group.isdigit() else user}",)

    @property
    def number(self) -> tuple[int, ...]:
        """The version's first two numbers."""
        return tuple(int(part) for part in self._version.split("-")[0].split(".")[:2] if part.isdigit())


def _unusable(answer: Answer) -> EngineError:
    said = refused(answer, "podman")
    reason = refusal(answer)
    if reason is Refusal.NOT_RUNNING:
        return EngineError(f"podman's machine does not answer: {said}", hint="Start it: podman machine init, podman machine start.")
    if reason is Refusal.NO_PERMISSION:
        hint = "Without root podman needs newuidmap (Debian: uidmap) and lines in /etc/subuid and /etc/subgid."
        return EngineError(f"podman may not be used by you: {said}", hint=hint)
    return EngineError(f"podman does not answer: {said}", hint="See that `podman info` works.")
