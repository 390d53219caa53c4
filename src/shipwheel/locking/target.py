"""A target: the platform, Python version and libc for which files are selected, whatever the machine that builds.

Markers follow PEP 508, platform tags PEP 600 (manylinux_x_y and its legacy aliases) and PEP 656 (musllinux). Tags are ranked as packaging
ranks them.
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
"""The legacy aliases of PEP 600, by the minor version of glibc 2."""

_OLDEST = {"x86_64": 5, "aarch64": 17}
"""The oldest minor version of glibc 2 with a manylinux tag, by machine."""


class Target(msgspec.Struct, frozen=True):
    """A CPython on Linux: `python` is its full version ("3.11.2"), `libc` the version of glibc ((2, 36)), or of musl if `musl` is set."""

    platform: Platform
    python: str
    libc: tuple[int, int]
    musl: bool = False

    @property
    def minor(self) -> str:
        """The Python version without its micro part, as in tags and directories: "3.11"."""
        return minor_version(self.python)

    @property
    def libc_name(self) -> str:
        """The C library with its version: "glibc 2.36", "musl 1.2"."""
        return f"{'musl' if self.musl else 'glibc'} {self.libc[0]}.{self.libc[1]}"

    def markers(self) -> dict[str, str]:
        """Return all eleven variables of PEP 508, and `extra`; packaging would take missing ones from the host."""
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
        """Return the tags of all wheels that the target can use, best first."""
        return _tags(self)

    def __str__(self) -> str:
        return f"{self.platform}, Python {self.python}, {self.libc_name}"


@lru_cache(maxsize=32)
def _tags(target: Target) -> "tuple[Tag, ...]":
    from packaging.tags import compatible_tags, cpython_tags

    version, interpreter, abi = _names(target.minor)
    platforms = (_musl_platforms if target.musl else _glibc_platforms)(target.platform.machine, target.libc)
    return (*cpython_tags(version, abis=[abi], platforms=platforms), *compatible_tags(version, interpreter, platforms))


@lru_cache(maxsize=8)
def python_tags(minor: str) -> frozenset[tuple[str, str]]:
    """Return the (interpreter, abi) pairs of the wheels that a CPython of a minor version can use on some platform."""
    from packaging.tags import compatible_tags, cpython_tags

    version, interpreter, abi = _names(minor)
    tags = (*cpython_tags(version, abis=[abi], platforms=["any"]), *compatible_tags(version, interpreter, ["any"]))
    return frozenset((tag.interpreter, tag.abi) for tag in tags)


def _names(minor: str) -> tuple[tuple[int, int], str, str]:
    """Return a minor version as numbers, and its tags for the interpreter and the ABI; until 3.7, pymalloc was a part of the ABI's name."""
    major, number = map(int, minor.split("."))
    interpreter = f"cp{major}{number}"
    return (major, number), interpreter, interpreter if (major, number) >= (3, 8) else f"{interpreter}m"


def _glibc_platforms(machine: str, libc: tuple[int, int]) -> list[str]:
    tags = []
    for minor in range(libc[1], _OLDEST[machine] - 1, -1):
        tags.append(f"manylinux_2_{minor}_{machine}")
        if minor in _LEGACY:
            tags.append(f"{_LEGACY[minor]}_{machine}")
    return [*tags, f"linux_{machine}"]


def _musl_platforms(machine: str, libc: tuple[int, int]) -> list[str]:
    # PEP 656: a wheel for an older musl 1.x runs on a newer one.
    return [*(f"musllinux_{libc[0]}_{minor}_{machine}" for minor in range(libc[1], -1, -1)), f"linux_{machine}"]
