"""OCI platforms, for example linux/amd64."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from shipwheel.errors import UsageError

__all__ = ["DEBIAN_ARCHITECTURES", "Platform", "boot_id", "host_platform", "select_platforms", "without_default_variant"]

_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "arm64/v8": "arm64", "armv8": "arm64"}

DEBIAN_ARCHITECTURES = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
"""Debian architecture -> multiarch tuple, for the architectures that shipwheel builds for."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


class Platform(msgspec.Struct, frozen=True, order=True):
    """An OCI platform: operating system, architecture and variant (image-spec, image-index.md: platform)."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> "Platform":
        """Parse `linux/amd64`, `amd64`, `linux/arm64/v8` or a machine name. Raise UsageError for an unsupported platform."""
        head, _, rest = text.strip().lower().partition("/")
        architecture = rest if head == "linux" and rest else text.strip().lower()
        architecture = _ALIASES.get(architecture, architecture)
        if architecture not in DEBIAN_ARCHITECTURES:
            supported = " and ".join(f"linux/{name}" for name in DEBIAN_ARCHITECTURES)
            raise UsageError(f"the platform {text!r} is not supported", hint=f"Supported platforms are {supported}.")
        return cls("linux", architecture)

    @property
    def machine(self) -> str:
        """The value of `platform.machine()` on this platform: x86_64 or aarch64."""
        return _MACHINES[self.architecture]

    @property
    def multiarch(self) -> str:
        """The Debian multiarch tuple, for example x86_64-linux-gnu."""
        return DEBIAN_ARCHITECTURES[self.architecture]

    def matches(self, other: "Platform") -> bool:
        """Return whether an image for `other` runs on this platform. An empty variant matches every variant."""
        same = (self.os, self.architecture) == (other.os, other.architecture)
        return same and (not self.variant or not other.variant or self.variant == other.variant)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def host_platform() -> Platform:
    """Return the platform whose containers run on this machine without emulation: Linux on its architecture."""
    import platform

    machine = platform.machine().lower()
    return Platform("linux", _ALIASES.get(machine, machine))


def boot_id() -> str:
    """Return the name of the time since this machine started (proc(5)). Raise OSError where the system gives it none."""
    return _BOOT_ID.read_text(encoding="ascii").strip()


def select_platforms(available: Sequence[Platform], requested: Sequence[Platform], label: str) -> set[Platform]:
    """Return the available platforms that serve the requested ones. Raise UsageError with all that are missing."""
    selected = set()
    missing = []
    for platform in requested:
        matching = [candidate for candidate in available if without_default_variant(platform).matches(candidate)]
        if not matching:
            missing.append(str(platform))
        # Of several variants the requested one, else the one without a variant.
        selected |= set(sorted(matching, key=lambda candidate: (candidate != platform, candidate.variant))[:1])
    if missing:
        names = ", ".join(map(str, sorted(set(available)))) or "none"
        raise UsageError(f"{label} has no image for {', '.join(missing)}", hint=f"Available platforms: {names}. Name them with --platform.")
    return selected


def without_default_variant(platform: Platform) -> Platform:
    """Return linux/arm64 for linux/arm64/v8, which means the same."""
    return Platform(platform.os, platform.architecture) if (platform.architecture, platform.variant) == ("arm64", "v8") else platform
