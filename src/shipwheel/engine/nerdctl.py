"""nerdctl: containerd with docker's command line."""

from shipwheel.engine.delivery import send_archive
from shipwheel.engine.dockerlike import DockerLike, refused
from shipwheel.engine.emulation import kernel, with_emulation
from shipwheel.engine.interface import image_for
from shipwheel.engine.program import ask, document, found
from shipwheel.errors import EngineError, NotInstalled
from shipwheel.events import Reporter
from shipwheel.oci.image import ImageIndex
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform, host_platform
from shipwheel.store import Store

__all__ = ["Nerdctl"]


class Nerdctl(DockerLike):
    """A nerdctl whose containerd answers. CONTAINERD_ADDRESS, CONTAINERD_NAMESPACE and its own settings say which."""

    name = "nerdctl"
    emulation_hint = "nerdctl run --privileged --rm tonistiigi/binfmt --install all"

    @classmethod
    def connect(cls) -> "Nerdctl":
        """The nerdctl on PATH. Raises EngineError that says what is missing."""
        if not found("nerdctl"):
            raise NotInstalled("nerdctl is not installed", hint="Take a release of it from the containerd project.")
        answer = ask(["nerdctl", "info", "--format", "{{json .}}"], seconds=15)
        info = document(answer)
        if not info.get("ServerVersion"):
            hint = "Start containerd (systemctl start containerd), run it as root, or set rootless containerd up."
            raise EngineError(f"nerdctl finds no containerd: {refused(answer, 'nerdctl')}", hint=hint)
        host = Platform.parse(str(info.get("Architecture") or host_platform().architecture))
        return cls(str(info["ServerVersion"]), host, with_emulation(host, str(info.get("KernelVersion") or kernel())))

    def load(self, index: ImageIndex, store: Store, name: Reference, reporter: Reporter) -> str:
        """See `Engine.load`."""
        image, called = image_for(index, self.host()), f"{name.name}:{name.tag_or_latest}"
        if self._tagged((image.config_descriptor.digest, image.digest), called, reporter):
            return called
        # All layers: which of them containerd has, nerdctl does not tell.
        send_archive(self.name, ["nerdctl", "load", "--platform", str(image.platform)], image, store, name, reporter)
        return called
