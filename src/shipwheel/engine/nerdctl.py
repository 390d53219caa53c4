"""nerdctl: containerd with docker's command line."""

from shipwheel.engine.delivery import send_archive
from shipwheel.engine.dockerlike import DockerLike
from shipwheel.engine.emulation import engine_platforms, kernel_release
from shipwheel.engine.interface import image_for
from shipwheel.engine.program import is_installed, run_program
from shipwheel.errors import EngineError, NotInstalled
from shipwheel.events import Reporter
from shipwheel.oci.image import ImageIndex
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform, host_platform
from shipwheel.store.store import Store

__all__ = ["Nerdctl"]


class Nerdctl(DockerLike):
    """A nerdctl with its containerd. CONTAINERD_ADDRESS, CONTAINERD_NAMESPACE and nerdctl's own settings choose which."""

    name = "nerdctl"
    lists_changes = False
    emulation_hint = "nerdctl run --privileged --rm tonistiigi/binfmt --install all"

    @classmethod
    def connect(cls) -> "Nerdctl":
        """Return the nerdctl on PATH. Raises EngineError that says why it does not work."""
        if not is_installed("nerdctl"):
            raise NotInstalled("nerdctl is not installed", hint="Install a release from the containerd project.")
        result = run_program(["nerdctl", "info", "--format", "{{json .}}"], timeout=15)
        info = result.json_object()
        if not info.get("ServerVersion"):
            hint = "Start containerd (systemctl start containerd), run as root, or set up rootless containerd."
            raise EngineError(f"nerdctl cannot reach containerd: {result.reason}", hint=hint)
        host = Platform.parse(str(info.get("Architecture") or host_platform().architecture))
        kernel = str(info.get("KernelVersion") or kernel_release())
        return cls(str(info["ServerVersion"]), host, engine_platforms(host, kernel))

    def load(self, index: ImageIndex, store: Store, name: Reference, reporter: Reporter) -> str:
        """See `Engine.load`."""
        image, short_name = image_for(index, self.host()), f"{name.name}:{name.tag_or_latest}"
        if self._tag_present_image((image.config_descriptor.digest, image.digest), short_name, reporter):
            return short_name
        # Send all layers: nerdctl does not tell which of them containerd has.
        send_archive(self.name, ["nerdctl", "load", "--platform", str(image.platform)], image, store, name, reporter)
        return short_name
