"""podman: as root or rootless, and in its virtual machine on other systems."""

import os

from shipwheel.engine.delivery import send_archive
from shipwheel.engine.dockerlike import DockerLike, is_elsewhere
from shipwheel.engine.emulation import engine_platforms
from shipwheel.engine.interface import RunSpec, image_for
from shipwheel.engine.program import EngineFailure, ProgramResult, is_installed, run_program
from shipwheel.errors import EngineError, NotInstalled
from shipwheel.events import Reporter
from shipwheel.oci.image import ImageIndex
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform
from shipwheel.store.store import Store

__all__ = ["Podman"]

_KEEP_ID_VERSION = (4, 3)
"""The first version whose --userns=keep-id takes a user."""


class Podman(DockerLike):
    """A podman."""

    name = "podman"
    groups = True

    @classmethod
    def connect(cls) -> "Podman":
        """Return the podman on PATH. Raises EngineError that says why it does not work."""
        if not is_installed("podman"):
            raise NotInstalled("podman is not installed", hint="Install podman; Debian has a package of that name.")
        result = run_program(["podman", "info", "--format", "json"], timeout=30)
        info = result.json_object()
        try:
            host, version = info["host"], str(info["version"]["Version"])
            platform = Platform("linux", str(host["arch"]))
        except (KeyError, TypeError) as error:
            raise _unusable(result) from error
        engine = cls(version, platform, engine_platforms(platform, str(host.get("kernel", ""))))
        engine.is_remote = is_elsewhere(os.environ.get("CONTAINER_HOST", ""))
        security = host.get("security") or {}
        engine.maps_user = bool(security.get("rootless")) and _major_minor(version) >= _KEEP_ID_VERSION
        return engine

    def load(self, index: ImageIndex, store: Store, name: Reference, reporter: Reporter) -> str:
        """See `Engine.load`. Returns a full name: podman asks which registry a short name belongs to."""
        image = image_for(index, self.host())
        # podman's image ID is the config's digest.
        if self._tag_present_image((image.config_descriptor.digest,), name.full, reporter):
            return name.full
        # podman finds a layer by its digest wherever in an image it was (tested with 5.4), so a diff_id in any image will do.
        present = {diff_id for other in self.images() for diff_id in other.diff_ids}
        without = frozenset(layer.descriptor.digest for layer in image.layers if layer.diff_id in present)
        # An archive, since podman takes the wrong platform from a layout directory when a foreign one is requested.
        send_archive(self.name, ["podman", "load", "--quiet"], image, store, name, reporter, without=without)
        return name.full

    def _own_flags(self, spec: RunSpec) -> tuple[str, ...]:
        """Map the image's user to the caller if a directory of this machine is mounted and podman is rootless.

        Otherwise the image's user is one of the caller's subordinate IDs, which does not own the caller's directories. Named volumes
        belong to it in any case.
        """
        user, _, group = (spec.user or spec.config.user).partition(":")
        if not (self.maps_user and user.isascii() and user.isdigit() and any(mount.is_path for mount in spec.mounts)):
            return ()
        return (f"--userns=keep-id:uid={user},gid={group if group.isascii() and group.isdigit() else user}",)


def _major_minor(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("-")[0].split(".")[:2] if part.isdigit())


def _unusable(result: ProgramResult) -> EngineError:
    if result.failure is EngineFailure.NOT_RUNNING:
        hint = "Start it: podman machine init, podman machine start."
        return EngineError(f"podman's machine does not answer: {result.reason}", hint=hint)
    if result.failure is EngineFailure.NO_PERMISSION:
        hint = "Rootless podman needs newuidmap (Debian: uidmap) and lines in /etc/subuid and /etc/subgid."
        return EngineError(f"you have no permission to use podman: {result.reason}", hint=hint)
    return EngineError(f"podman does not answer: {result.reason}", hint="Check that `podman info` works.")
