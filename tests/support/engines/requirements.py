"""The programs that the engine tests need, and the Debian packages that contain them."""

import os
import shutil

__all__ = ["SEARCH_PATH", "missing"]

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The PATH of every engine."""

_PACKAGES = {
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "containerd": "containerd",
    "crun": "crun",
    "curl": "curl",
    "ctr": "containerd",
    "docker": "docker-cli",
    "docker-registry": "docker-registry",
    "dockerd": "docker.io",
    "ip": "iproute2",
    "iptables": "iptables",
    "mount": "mount",
    "newuidmap": "uidmap",
    "nsenter": "util-linux",
    "pasta": "passt",
    "podman": "podman",
    "runc": "runc",
    "setpriv": "util-linux",
    "skopeo": "skopeo",
    "unshare": "util-linux",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
    "/usr/libexec/qemu-binfmt/aarch64-binfmt-P": "qemu-user-binfmt",
}
_SANDBOX = ("ip", "mount", "nsenter", "unshare")
_PROGRAMS = {
    "chromium": ("chromedriver", "chromium"),
    "docker": (*_SANDBOX, "containerd", "curl", "docker", "dockerd", "iptables", "runc", "skopeo"),
    "podman": (*_SANDBOX, "/usr/lib/podman/aardvark-dns", "crun", "curl", "iptables", "podman", "runc"),
    "rootless": (*_SANDBOX, "/usr/lib/podman/aardvark-dns", "crun", "newuidmap", "pasta", "podman", "setpriv"),
    "containerd": (*_SANDBOX, "containerd", "ctr", "runc"),
    "registry": ("docker-registry", "setpriv"),
    "arm64": ("mount", "/usr/libexec/qemu-binfmt/aarch64-binfmt-P"),
}
"""Fixture -> the programs that it starts."""


def missing(fixture: str) -> str:
    """Return what this machine lacks for a fixture, with the command that installs it, or "" if nothing is missing."""
    if os.geteuid() != 0:
        return f"the {fixture} fixture must run as root: it starts a real engine in namespaces of its own"
    packages = sorted({_PACKAGES[program] for program in _PROGRAMS[fixture] if not shutil.which(program, path=SEARCH_PATH)})
    return f"the {fixture} fixture needs more programs: apt-get install {' '.join(packages)}" if packages else ""
