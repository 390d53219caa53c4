"""Builds for accelerators: lock packages of the torch family from their vendor's index of CPU (or CUDA) builds.

uv has a setting for this (`--torch-backend`), but only for its pip commands and not for `uv lock`. The lock gets the same result in two
resolutions: after the first one, each package that uv's setting covers is overridden by the same version from the vendor's index.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from shipwheel.errors import LockError
from shipwheel.locking import uv
from shipwheel.locking.diagnose.uv_errors import IndexUnavailable, ResolutionError
from shipwheel.locking.pylock import file_name
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform
from shipwheel.project.indexes import ACCELERATOR_INDEX

__all__ = ["COVERED", "Switch", "accelerator_error", "accelerator_note", "backend", "find_switch", "record_savings", "use_vendor_urls"]

COVERED = frozenset(
    """
    torch torchao torcharrow torchaudio torchcodec torchcsprng torchdistx torchrec torchserve torchtext torchtune torchvision
    xformers fbgemm-gpu pytorch-triton pytorch-triton-rocm pytorch-triton-xpu
    """.split()  # noqa: SIM905
)
"""The packages that uv's torch backend covers, except triton, which is only ever installed as a dependency of these."""

_INDEX = "shipwheel-accelerator"


class Switch(msgspec.Struct, frozen=True):
    """The packages to lock from the vendor's index `url`: `requirements` with the versions of the first resolution."""

    backend: str
    url: str
    requirements: tuple[str, ...]

    @property
    def build(self) -> str:
        """The kind of build, as users know it."""
        return "CPU" if self.backend == "cpu" else self.backend

    def settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return uv's settings with the index and the overrides added."""
        # The index does not say when files were uploaded; the versions already are those of the day.
        index = {"name": _INDEX, "url": self.url, "explicit": True, "exclude-newer": False}
        return {
            **settings,
            "index": [*settings.get("index", []), index],
            "override-dependencies": [*settings.get("override-dependencies", []), *self.requirements],
        }

    @property
    def sources(self) -> dict[str, Any]:
        """uv's sources that bind the packages to the index."""
        return {name: {"index": _INDEX} for name in dict.fromkeys(map(_name, self.requirements))}

    def without_missing(self, error: LockError) -> "Switch | None":
        """Return the switch without the packages that the index does not have; None if these include torch, or `error` names none."""
        if not isinstance(error, ResolutionError):
            return None
        missing = error.failure.not_found | error.failure.no_version
        rest = tuple(line for line in self.requirements if _name(line) not in missing)
        return replace(self, requirements=rest) if "torch" in map(_name, rest) and rest != self.requirements else None


def _name(requirement: str) -> str:
    return re.split(r"[=;\s]", requirement, maxsplit=1)[0]


def backend(accelerator: str) -> str:
    """Return uv's name of the index for the setting `accelerator`; empty for the default index.

    Without a setting it is "cpu"; for "auto" it is what uv detects on this machine.
    """
    if accelerator == "cuda":
        return ""
    return uv.detected_backend() or "cpu" if accelerator == "auto" else accelerator or "cpu"


def find_switch(accelerator: str, root: str, pylock: Mapping[str, Any], excluded: Collection[str]) -> Switch | None:
    """Return what to change after a first resolution; None if nothing has to change.

    `root` is the URL of the vendor's indexes or a mirror of them, empty for the vendor's own. `excluded` are the names of packages with a
    source or hashes of their own; a package with a local version ("2.5.1+cu121") was chosen by the user and stays as well.
    """
    names = COVERED.difference(excluded)
    packages = [it for it in pylock.get("packages", []) if it["name"] in names and "+" not in it.get("version", "+")]
    name = backend(accelerator) if packages else ""
    if not name:
        return None
    count = Counter(it["name"] for it in packages)
    lines = [
        f"{it['name']}=={it['version']}" + (f" ; {it['marker']}" if count[it["name"]] > 1 and "marker" in it else "") for it in packages
    ]
    return Switch(name, f"{(root or ACCELERATOR_INDEX).rstrip('/')}/{name}", tuple(lines))


def record_savings(before: Mapping[str, Any], after: Mapping[str, Any], switch: Switch) -> dict[str, Any]:
    """Return what the lock records: the kind of build, the packages that are no longer needed, and their bytes by architecture if known."""
    remaining = {it["name"] for it in after.get("packages", [])}
    removed = [it for it in before.get("packages", []) if it["name"] not in remaining]
    sizes = {name: sum(_size(it, Platform("linux", name).machine) for it in removed) for name in DEBIAN_ARCHITECTURES}
    return {
        "build": switch.backend,
        "of": sorted(switch.sources),
        "without": sorted({f"{it['name']} {it.get('version', '')}".strip() for it in removed}),
        "saves": {name: size for name, size in sizes.items() if size},
    }


def _size(package: Mapping[str, Any], machine: str) -> int:
    """Return the bytes of the largest wheel of a package for a machine; 0 if it has none or the lock does not say."""
    marker = str(package.get("marker", ""))
    if "platform_machine == " in marker and f"platform_machine == '{machine}'" not in marker:
        return 0
    return max(
        (wheel.get("size", 0) for wheel in package.get("wheels", []) if re.search(rf"({machine}|any)\.whl$", file_name(wheel))), default=0
    )


def accelerator_note(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a sentence for the plan from what the lock records; none if it records nothing."""
    if not record:
        return ()
    build = "CPU" if record["build"] == "cpu" else record["build"]
    sizes = ", ".join(
        f"{size / 1e9:.1f} GB on {name}" if size >= 5e7 else f"{size / 1e6:.1f} MB on {name}" for name, size in record["saves"].items()
    )
    count = len(record["without"])
    saved = f", without {count} other package{'s' * (count > 1)}: saves {sizes or 'nothing'}" if count else ""
    return (f'{build} builds of {", ".join(record["of"])}{saved}; accelerator = "cuda" uses those of the package index',)


def accelerator_error(error: LockError, switch: Switch, before: Mapping[str, Any], default_index: str) -> LockError:
    """Return the error for a second resolution that failed: which index is at fault, and what else can be done.

    It is `error` itself if another server, that of `default_index`, gave no answer.
    """
    names = ", ".join(sorted(switch.sources))
    gigabytes = sum(_size(it, "x86_64") for it in before.get("packages", [])) / 1e9
    failure = error.failure if isinstance(error, ResolutionError) else None
    unreachable = failure is not None and failure.unreachable
    if failure is not None and unreachable:
        if default_index and urlsplit(failure.url).hostname == urlsplit(default_index).hostname != urlsplit(switch.url).hostname:
            return error
        reason = f"the index of {switch.build} builds of {names}, {switch.url}, cannot be reached"
    else:
        reason = f"the index of {switch.build} builds, {switch.url}, does not have {', '.join(switch.requirements)}"
    kind = IndexUnavailable if unreachable else LockError
    return kind(
        f"{reason}:\n{error.message}",
        hint=f"Set accelerator-index to a mirror of {ACCELERATOR_INDEX}; or use the builds of the package index, for CUDA, with"
        f' accelerator = "cuda" ({gigabytes:.1f} GB of wheels on amd64); or choose another accelerator or another version.',
    )


def use_vendor_urls(pylock: Mapping[str, Any], mirror: str) -> None:
    """Replace the URLs of a mirror of the vendor's indexes by the vendor's own."""
    mirror = mirror.rstrip("/")
    for table in _tables_with_urls(pylock) if mirror else ():
        for key in ("url", "index"):
            if str(table.get(key, "")).startswith(f"{mirror}/"):
                table[key] = ACCELERATOR_INDEX + table[key].removeprefix(mirror)


def _tables_with_urls(pylock: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for package in pylock.get("packages", []):
        yield package
        yield from package.get("wheels", [])
        if "sdist" in package:
            yield package["sdist"]
