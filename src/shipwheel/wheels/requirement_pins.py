"""The exact wheels of build requirements, as a lock has them: "cython==0.29.24 --hash=sha256:…". They are constraints for uv."""

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from shipwheel.digest import as_sha256
from shipwheel.versions import normalized

__all__ = ["merged_pins", "pins_of", "usable_pins"]


def pins_of(*pylocks: str) -> tuple[str, ...]:
    """Return the pins of the packages of the first pylock.toml, with the hashes that any has of the same version.

    uv lists the wheels for one kind of processor. A package of which a wheel in the first has no hash is left out: uv would refuse that.
    """
    first, *others = ([*tomllib.loads(text).get("packages", ())] for text in pylocks)
    found = {_pin(package): hashes for package in first if "version" in package and "" not in (hashes := _hashes(package) or {""})}
    for package in (package for other in others for package in other):
        found.get(_pin(package), set()).update(_hashes(package) - {""})
    return tuple(" ".join((pin, *(f"--hash=sha256:{each}" for each in sorted(hashes)))) for pin, hashes in sorted(found.items()))


def usable_pins(pins: Iterable[str], requirements: Iterable[str], constraints: Iterable[str]) -> tuple[str, ...]:
    """Return the pins if they have a version of each requirement that it and the constraints allow; none if they are of other ones."""
    from packaging.requirements import Requirement

    pins = tuple(pins)
    versions = {_name(pin): pin.partition("==")[2].partition(" ")[0] for pin in pins}
    required = [*map(Requirement, requirements)]
    if any(normalized(each.name) not in versions for each in required if each.marker is None):
        return ()
    limits = [each for each in (*required, *map(Requirement, constraints)) if normalized(each.name) in versions]
    fit = all(each.url is None and each.specifier.contains(versions[normalized(each.name)], prereleases=True) for each in limits)
    return pins if fit else ()


def merged_pins(before: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    """Return the pins of two installations into one environment: the later one decides."""
    return tuple(sorted({_name(pin): pin for pin in (*before, *more)}.values()))


def _name(pin: str) -> str:
    return pin.partition("==")[0]


def _pin(package: Mapping[str, Any]) -> str:
    return f"{normalized(package['name'])}=={package.get('version', '')}"


def _hashes(package: Mapping[str, Any]) -> set[str]:
    """Return the hashes of the wheels of a package, "" for one without."""
    return {str(as_sha256(wheel.get("hashes", {}).get("sha256", "")) or "") for wheel in package.get("wheels", ())}
