"""OCI platforms: os/architecture/variant."""

from dataclasses import dataclass

from shipwheel.errors import UsageError

__all__ = ["DEBIAN_ARCHITECTURES", "Platform", "host_platform"]

_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "arm64/v8": "arm64", "armv8": "arm64"}

DEBIAN_ARCHITECTURES = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
"""Debian architecture -> multiarch tuple, for the architectures that images can be composed for."""

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """An OCI platform, for example linux/amd64 (image-spec, image index: platform)."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> "Platform":
        """Reads `linux/amd64`, `amd64`, `linux/arm64/v8` or a machine name; raises UsageError for what cannot be built."""
        head, _, rest = text.strip().lower().partition("/")
        architecture = rest if head == "linux" and rest else text.strip().lower()
        architecture = _ALIASES.get(architecture, architecture)
        if architecture not in DEBIAN_ARCHITECTURES:
            known = ", ".join(f"linux/{name}" for name in DEBIAN_ARCHITECTURES)
            raise UsageError(f"the platform {text!r} cannot be built", hint=f"Platforms that can: {known}.")
        return cls("linux", architecture)

    @property
    def machine(self) -> str:
        """What `platform.machine()` says there: x86_64, aarch64."""
        return _MACHINES[self.architecture]

    @property
    def multiarch(self) -> str:
        """Debian's multiarch tuple, for example x86_64-linux-gnu."""
        return DEBIAN_ARCHITECTURES[self.architecture]

    def matches(self, other: "Platform") -> bool:
        """Whether an image for `other` runs where `self` is asked for: an empty variant matches any."""
        same = (self.os, self.architecture) == (other.os, other.architecture)
        return same and (not self.variant or not other.variant or self.variant == other.variant)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def host_platform() -> Platform:
    """The platform whose containers run on this machine without emulation: Linux on the machine's architecture."""
    import platform

    machine = platform.machine().lower()
    return Platform("linux", _ALIASES.get(machine, machine))
