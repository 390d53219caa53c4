"""docker: Docker Engine and Docker Desktop, wherever DOCKER_HOST or the chosen context says that it is."""

from shipwheel import __version__
from shipwheel.engine.delivery import send_archive, shared_bottom
from shipwheel.engine.dockerlike import DockerLike, refused
from shipwheel.engine.emulation import with_emulation
from shipwheel.engine.interface import image_for
from shipwheel.engine.program import Answer, ask, document, found
from shipwheel.engine.refusal import Refusal, refusal
from shipwheel.errors import EngineError, NotInstalled
from shipwheel.events import Reporter
from shipwheel.oci.image import Image, ImageIndex
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform
from shipwheel.store import Store

__all__ = ["Docker"]

_LABEL = "io.shipwheel.version"


class Docker(DockerLike):
    """A docker daemon that answers."""

    name = "docker"
    emulation_hint = "docker run --privileged --rm tonistiigi/binfmt --install all"

    @classmethod
    def connect(cls) -> "Docker":
        """The daemon that the docker program is set to. Raises EngineError that says what is missing."""
        if not found("docker"):
            raise NotInstalled("docker is not installed", hint="Install docker, or Debian's docker.io and docker-cli.")
        answer = ask(["docker", "version", "--format", "{{json .Server}}"], seconds=15)
        server = document(answer)
        if not server.get("Version"):
            raise _unusable(answer)
        host = Platform("linux", str(server.get("Arch", "")))
        return cls(str(server["Version"]), host, with_emulation(host, str(server.get("KernelVersion", ""))))

    def load(self, index: ImageIndex, store: Store, name: Reference, reporter: Reporter) -> str:
        """See `Engine.load`."""
        image, called = image_for(index, self.host()), f"{name.name}:{name.tag_or_latest}"
        # Docker's own store knows an image by its config, containerd's store by its manifest.
        if self._tagged((image.config_descriptor.digest, image.digest), called, reporter):
            return called
        send_archive(self.name, ["docker", "load", "--quiet"], image, store, name, reporter, without=self._known(image))
        return called

    def _known(self, image: Image) -> frozenset[str]:
        """The layers that need not be sent.

        Docker's own store keeps layers by the chain of diff_ids below them, and does not read a layer of a chain that it has (moby,
        image/tarexport/load.go; tried, 26.1). Containerd's store keeps them by digest, which docker does not tell: of images that this
        version of ours has made, the same diff_id means the same digest.
        """
        images = self.images()
        if "containerd" in ask(["docker", "info", "--format", "{{json .DriverStatus}}"]).output:
            images = tuple(one for one in images if one.labels.get(_LABEL) == __version__)
        return shared_bottom(image, [one.diff_ids for one in images])


def _unusable(answer: Answer) -> EngineError:
    said = refused(answer, "docker")
    reason = refusal(answer)
    if reason is Refusal.NO_PERMISSION:
        hint = "Run it as root, or join the group docker (usermod -aG docker NAME) and log in again."
        return EngineError("docker may not be used by you: no permission for its socket", hint=hint)
    if reason is Refusal.NOT_RUNNING:
        hint = "Start it: systemctl start docker, or Docker Desktop. DOCKER_HOST and `docker context ls` say where it is looked for."
        return EngineError(f"docker's daemon does not answer: {said}", hint=hint)
    return EngineError(f"docker does not answer: {said}", hint="See that `docker version` works.")
