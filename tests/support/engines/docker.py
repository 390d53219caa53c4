"""A docker daemon with a containerd, a bridge and a store of its own."""

import json
import re
import tarfile
from pathlib import Path
from typing import Any

from support.engines.command_line import CommandLineEngine
from support.engines.container import NATIVE
from support.engines.containerd import start_containerd

__all__ = ["Dockerd"]


class Dockerd(CommandLineEngine):
    """A docker daemon with a containerd of its own, which starts faster than the one that dockerd would start."""

    name = "docker"

    def __init__(self, *, containerd_store: bool = False) -> None:
        """Keep images in docker's own store, or in containerd's, the default of newer versions, which can hold image indexes."""
        self.containerd_store = containerd_store
        super().__init__()

    def _start(self) -> None:
        """Start both daemons. Published ports go through docker's proxy, without firewall rules."""
        root = self.sandbox.root
        self.tool = ("docker", "--config", str(root / "cli"), "--host", f"unix://{root / 'docker.sock'}")
        containerd = start_containerd(self.sandbox)
        (root / "daemon.json").write_text(json.dumps({"features": {"containerd-snapshotter": self.containerd_store}}))
        argv = ["dockerd", "--config-file", str(root / "daemon.json"), "--log-level", "warn", "--containerd", containerd]
        argv += ["--data-root", str(root / "data"), "--exec-root", str(root / "exec"), "--pidfile", str(root / "docker.pid")]
        argv += ["--host", f"unix://{root / 'docker.sock'}", "--bip=172.30.99.1/24", "--iptables=false", "--ip6tables=false"]
        self.sandbox.serve(argv, [*self.tool, "version"], root / "dockerd.log")

    def load(self, source: Path, platform: str = NATIVE) -> str:
        """Load an archive that contains docker's own index; skopeo copies a layout directory."""
        source = source.resolve()
        if source.is_dir():
            return self._load_layout(source, platform)
        found = re.findall(r"^Loaded image(?: ID)?: (\S+)$", self.cli("load", "--input", str(source)).stdout, re.MULTILINE)
        if self.containerd_store and found:
            return str(found[0])  # An index of all platforms; `run` picks one.
        return self._pick([*found, *_configs(source)], platform, source)

    def _load_layout(self, layout: Path, platform: str) -> str:
        """Copy one platform of a layout into the daemon, which accepts no directories."""
        system, architecture = platform.split("/")[:2]
        name = f"localhost/{self._new_name()}:latest"
        argv = ["skopeo", "copy", "--quiet", "--override-os", system, "--override-arch", architecture]
        argv += ["--dest-daemon-host", f"unix://{self.sandbox.root / 'docker.sock'}", f"oci:{layout}", f"docker-daemon:{name}"]
        self.sandbox.run(argv)
        return self._pick([name], platform, layout)


def _configs(archive: Path) -> list[str]:
    """Return the IDs of the images in docker's index of an archive. Docker prints only the last of several with one name."""
    with tarfile.open(archive) as tar:
        entry = tar.extractfile("manifest.json") if "manifest.json" in tar.getnames() else None
        found: list[dict[str, Any]] = json.load(entry) if entry else []
    return [f"sha256:{Path(image['Config']).stem}" for image in found]
