"""docker: Docker Engine and Docker Desktop, where DOCKER_HOST or the docker context points."""

from shipwheel import __version__
from shipwheel.engine.delivery import send_archive, shared_bottom_layers
from shipwheel.engine.dockerlike import DockerLike, is_elsewhere
from shipwheel.engine.emulation import engine_platforms
from shipwheel.engine.interface import image_for
from shipwheel.engine.program import EngineFailure, ProgramResult, is_installed, run_program
from shipwheel.errors import EngineError, NotInstalled
from shipwheel.events import Reporter
from shipwheel.oci.image import Image, ImageIndex
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform
from shipwheel.store.store import Store

__all__ = ["Docker"]

_VERSION_LABEL = "io.shipwheel.version"


class Docker(DockerLike):
    """A docker daemon."""

    name = "docker"
    groups = True
    emulation_hint = "docker run --privileged --rm tonistiigi/binfmt --install all"

    @classmethod
    def connect(cls) -> "Docker":
        """Return the daemon that the docker program talks to. Raises EngineError that says why there is none."""
        if not is_installed("docker"):
            raise NotInstalled("docker is not installed", hint="Install docker, or Debian's docker.io and docker-cli.")
        result = run_program(["docker", "version", "--format", "{{json .Server}}"], timeout=15)
        server = result.json_object()
        if not server.get("Version"):
            raise _unusable(result)
        host = Platform("linux", str(server.get("Arch", "")))
        engine = cls(str(server["Version"]), host, engine_platforms(host, str(server.get("KernelVersion", ""))))
        engine.is_remote = is_elsewhere(run_program(["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]).stdout)
        return engine

    def as_caller(self, user: str) -> tuple[str, tuple[str, ...]]:
        """See `Engine.as_caller`. In a rootless daemon root is the caller, and one that remaps users can leave it out for a container."""
        security = run_program(["docker", "info", "--format", "{{json .SecurityOptions}}"]).stdout
        if "name=rootless" in security:
            return "0:0", ()
        found, options = super().as_caller(user)
        return found, (*options, "--userns=host") if "name=userns" in security else options

    def load(self, index: ImageIndex, store: Store, name: Reference, reporter: Reporter) -> str:
        """See `Engine.load`."""
        image, short_name = image_for(index, self.host()), f"{name.name}:{name.tag_or_latest}"
        # docker's own store identifies an image by its config, containerd's by its manifest.
        if self._tag_present_image((image.config_descriptor.digest, image.digest), short_name, reporter):
            return short_name
        send_archive(self.name, ["docker", "load", "--quiet"], image, store, name, reporter, without=self._present_layers(image))
        return short_name

    def _present_layers(self, image: Image) -> frozenset[str]:
        """Return the digests of the layers that docker has.

        docker's own store finds layers by the chain of diff_ids below them, and does not read a layer of a chain that it has (moby,
        image/tarexport/load.go; tested with 26.1). containerd's store finds them by digest, which docker does not print: only in images
        that this version of shipwheel made does the same diff_id mean the same digest.
        """
        images = self.images()
        if "containerd" in run_program(["docker", "info", "--format", "{{json .DriverStatus}}"]).stdout:
            images = tuple(other for other in images if other.labels.get(_VERSION_LABEL) == __version__)
        return shared_bottom_layers(image, [other.diff_ids for other in images])


def _unusable(result: ProgramResult) -> EngineError:
    if result.failure is EngineFailure.NO_PERMISSION:
        hint = "Run as root, or join the group docker (usermod -aG docker NAME) and log in again."
        return EngineError("you have no permission to use docker's socket", hint=hint)
    if result.failure is EngineFailure.NOT_RUNNING:
        hint = "Start it: systemctl start docker, or Docker Desktop. DOCKER_HOST and `docker context ls` say where docker looks for it."
        return EngineError(f"docker's daemon does not answer: {result.reason}", hint=hint)
    return EngineError(f"docker does not answer: {result.reason}", hint="Check that `docker version` works.")
