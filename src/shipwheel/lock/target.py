"""What distributions are chosen for: a platform, a Python version and a libc, never the machine that builds.

Markers follow PEP 508, platform tags PEP 600 (manylinux_x_y and its legacy aliases) and PEP 656 (musllinux), the order is packaging's.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from shipwheel.platform import Platform
from shipwheel.versions import minor_version

if TYPE_CHECKING:
    from packaging.tags import Tag

__all__ = ["Target", "python_tags"]

_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""glibc 2.x -> the alias that PEP 600 keeps for it."""

_OLDEST = {"x86_64": 5, "aarch64": 17}
"""The oldest glibc 2.x a manylinux tag exists for."""


class Target(msgspec.Struct, frozen=True):
    """A CPython on Linux: `python` is the full version ("3.11.2"), `libc` glibc's ((2, 36)), or musl's where `musl` says so ((1, 2))."""

    platform: Platform
    python: str
    libc: tuple[int, int]
    musl: bool = False

    @property
    def minor(self) -> str:
        """The Python version that tags and directories carry: "3.11"."""
        return minor_version(self.python)

    @property
    def libc_name(self) -> str:
        """As it is spoken of: "glibc 2.36", "musl 1.2"."""
        return f"{'musl' if self.musl else 'glibc'} {self.libc[0]}.{self.libc[1]}"

    def markers(self) -> dict[str, str]:
        """All eleven variables of PEP 508, and `extra`: packaging fills what is missing from the host."""
        return {
            "implementation_name": "cpython",
            "implementation_version": self.python,
            "os_name": "posix",
            "platform_machine": self.platform.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": self.python,
            "python_version": self.minor,
            "sys_platform": "linux",
            "extra": "",
        }

    def tags(self) -> "tuple[Tag, ...]":
        """Every tag a wheel for this target may have, the best first."""
        return _tags(self)

    def __str__(self) -> str:
        return f"{self.platform}, Python {self.python}, {self.libc_name}"


@lru_cache(maxsize=32)
def _tags(target: Target) -> "tuple[Tag, ...]":
    from packaging.tags import compatible_tags, cpython_tags

    major, minor = (int(part) for part in target.minor.split("."))
    interpreter = f"cp{major}{minor}"
    platforms = (_musl_platforms if target.musl else _platforms)(target.platform.machine, target.libc)
    native = cpython_tags((major, minor), abis=[interpreter], platforms=platforms)
    return (*native, *compatible_tags((major, minor), interpreter, platforms))


@lru_cache(maxsize=8)
def python_tags(minor: str) -> frozenset[tuple[str, str]]:
    """The (interpreter, abi) pairs of the wheels that a CPython of that minor version takes, whatever their platform."""
    from packaging.tags import compatible_tags, cpython_tags

    version = tuple(int(part) for part in minor.split("."))
    interpreter = f"cp{version[0]}{version[1]}"
    tags = (*cpython_tags(version, abis=[interpreter], platforms=["any"]), *compatible_tags(version, interpreter, ["any"]))
    return frozenset((tag.interpreter, tag.abi) for tag in tags)


def _platforms(machine: str, libc: tuple[int, int]) -> list[str]:
    found = []
    for minor in range(libc[1], _OLDEST[machine] - 1, -1):
        found.append(f"manylinux_2_{minor}_{machine}")
        if minor in _LEGACY:
            found.append(f"{_LEGACY[minor]}_{machine}")
    return [*found, f"linux_{machine}"]


def _musl_platforms(machine: str, libc: tuple[int, int]) -> list[str]:
    """PEP 656: a wheel for an older musl 1.x runs on a newer one."""
    return [*(f"musllinux_{libc[0]}_{minor}_{machine}" for minor in range(libc[1], -1, -1)), f"linux_{machine}"]
