"""Podman with storage of its own."""

import re
from pathlib import Path

from support.engines.command_line import CommandLineEngine
from support.engines.container import NATIVE
from support.engines.sandbox import EngineError

__all__ = ["Podman"]

_CONTAINERS_CONF = """
[containers]
log_driver = "k8s-file"
pids_limit = 0
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
image_copy_tmp_dir = "{root}/tmp"
lock_type = "file"
runtime = "{runtime}"
stop_timeout = 0
static_dir = "{root}/static"
tmp_dir = "{root}/state"
volume_path = "{root}/podman-volumes"
[network]
network_config_dir = "{root}/networks"
"""

_STORAGE_CONF = """
[storage]
driver = "overlay"
graphroot = "{root}/graph"
runroot = "{root}/run"
"""


class Podman(CommandLineEngine):
    """Podman with storage of its own. It has no daemon: each command is a process in the sandbox."""

    name = "podman"
    tool = ("podman",)

    def __init__(self, runtime: str = "crun") -> None:
        """Choose the low-level runtime: crun or runc."""
        self.runtime = runtime
        super().__init__()

    def _start(self) -> None:
        """Write the configuration and check that podman uses it."""
        root = self.sandbox.root
        # Debian's podman uses nft for its firewall by default, which is not among its dependencies.
        self.sandbox.environment["NETAVARK_FW"] = "iptables"
        for variable, text in (("CONTAINERS_CONF", _CONTAINERS_CONF), ("CONTAINERS_STORAGE_CONF", _STORAGE_CONF)):
            path = root / f"{variable.lower()}.toml"
            path.write_text(text.format(root=root, runtime=self.runtime))
            self.sandbox.environment[variable] = str(path)
        used = self.cli("info", "--format", "{{.Store.GraphRoot}} {{.Host.OCIRuntime.Name}}").stdout.split()
        if used != [str(root / "graph"), self.runtime]:
            raise EngineError(f"podman does not use its private configuration: {used}")

    def load(self, source: Path, platform: str = NATIVE) -> str:
        """Load an archive or a layout. Only a foreign platform must be requested by name."""
        source = source.resolve()
        if platform == NATIVE and not source.is_dir():
            printed = self.cli("load", "--quiet", "--input", str(source)).stdout
            return self._pick(re.findall(r"^Loaded image: (\S+)$", printed, re.MULTILINE), platform, source)
        printed = self.cli("pull", "--quiet", "--platform", platform, self._transport(source, platform)).stdout
        return self._pick(printed.split(), platform, source)

    def _transport(self, source: Path, platform: str) -> str:
        """Return what to pull from. Podman confuses the platforms of a layout directory, but not those of an archive."""
        if not source.is_dir():
            return f"oci-archive:{source}"
        return f"oci:{source}" if platform == NATIVE else f"oci-archive:{self._pack(source)}"
