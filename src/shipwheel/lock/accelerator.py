"""Builds for accelerators: which index distributions of the torch family come from, and what that saves.

uv has a setting for it (`--torch-backend`) that only its pip commands know, not `uv lock`. The same is done here by what uv.lock knows:
after a first resolution, each distribution that uv's setting covers is overridden by the same version from its vendor's index.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shipwheel.errors import LockError
from shipwheel.lock import uv
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform
from shipwheel.project.indexes import ACCELERATOR_INDEX

__all__ = ["COVERED", "Switch", "accelerator_note", "backend", "canonical_wheels", "explained_accelerator", "saved", "switch"]

COVERED = frozenset(
    """
    torch torchao torcharrow torchaudio torchcodec torchcsprng torchdistx torchrec torchserve torchtext torchtune torchvision
    xformers fbgemm-gpu pytorch-triton pytorch-triton-rocm pytorch-triton-xpu
    """.split()  # noqa: SIM905
)
"""What uv's torch backend covers, but for triton, which comes with the others or not at all."""

_INDEX = "shipwheel-accelerator"


@dataclass(frozen=True, slots=True)
class Switch:
    """The distributions to take from the vendor's index `url`: requirements with the version that was found before."""

    backend: str
    url: str
    requirements: tuple[str, ...]

    def settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """uv's settings with the index and the overrides in them."""
        # It does not say when files were uploaded; the versions are those of the day already.
        index = {"name": _INDEX, "url": self.url, "explicit": True, "exclude-newer": False}
        return {
            **settings,
            "index": [*settings.get("index", []), index],
            "override-dependencies": [*settings.get("override-dependencies", []), *self.requirements],
        }

    @property
    def sources(self) -> dict[str, Any]:
        """uv's sources for them."""
        return {name: {"index": _INDEX} for name in dict.fromkeys(map(_name, self.requirements))}

    def without_missing(self, error: LockError) -> "Switch | None":
        """The same without what that index does not have, if torch is not among it; None when the error says nothing of the kind."""
        said = set(re.findall(r"([\w.-]+) was not found in", error.message)) | set(
            re.findall(r"no versions? of ([\w.-]+?)[=<>\[ ]", error.message)
        )
        rest = tuple(line for line in self.requirements if _name(line) not in said)
        return replace(self, requirements=rest) if "torch" in map(_name, rest) and rest != self.requirements else None


def _name(requirement: str) -> str:
    return re.split(r"[=;\s]", requirement, maxsplit=1)[0]


def backend(accelerator: str) -> str:
    """uv's name of an index for the setting: cpu when nothing is said; `auto` is what uv finds here; empty: the default index."""
    if accelerator == "cuda":
        return ""
    return uv.detected_backend() or "cpu" if accelerator == "auto" else accelerator or "cpu"


def switch(accelerator: str, root: str, pylock: Mapping[str, Any], kept: Mapping[str, Any]) -> Switch | None:
    """What to change after a first resolution; None when nothing is. `kept` are names with a source, or hashes, of their own.

    They stay, and what has a local version ("2.5.1+cu121") was chosen by whoever wrote it.
    """
    wanted = [
        it for it in pylock.get("packages", []) if it["name"] in COVERED and it["name"] not in kept and "+" not in it.get("version", "+")
    ]
    name = backend(accelerator) if wanted else ""
    if not name:
        return None
    several = {it["name"] for it in wanted if sum(other["name"] == it["name"] for other in wanted) > 1}
    lines = [f"{it['name']}=={it['version']}" + (f" ; {it['marker']}" if it["name"] in several and "marker" in it else "") for it in wanted]
    return Switch(name, f"{(root or ACCELERATOR_INDEX).rstrip('/')}/{name}", tuple(lines))


def saved(before: Mapping[str, Any], after: Mapping[str, Any], found: Switch) -> dict[str, Any]:
    """What the lock records: the kind of build, what is no longer there, and the bytes of it for each architecture, as far as known."""
    staying = {it["name"] for it in after.get("packages", [])}
    gone = [it for it in before.get("packages", []) if it["name"] not in staying]
    sizes = {name: sum(_size(it, Platform("linux", name).machine) for it in gone) for name in DEBIAN_ARCHITECTURES}
    return {
        "build": found.backend,
        "of": sorted(found.sources),
        "without": sorted({f"{it['name']} {it.get('version', '')}".strip() for it in gone}),
        "saves": {name: size for name, size in sizes.items() if size},
    }


def _size(package: Mapping[str, Any], machine: str) -> int:
    marker = str(package.get("marker", ""))
    if "platform_machine == " in marker and f"platform_machine == '{machine}'" not in marker:
        return 0
    return max(
        (wheel.get("size", 0) for wheel in package.get("wheels", []) if re.search(rf"({machine}|any)\.whl$", _file(wheel))), default=0
    )


def _file(wheel: Mapping[str, Any]) -> str:
    return str(wheel.get("name") or wheel.get("url") or wheel.get("path"))


def accelerator_note(found: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence for the plan from what the lock records; none when it records nothing."""
    if not found:
        return ()
    kind = "CPU" if found["build"] == "cpu" else found["build"]
    sizes = ", ".join(
        f"{size / 1e9:.1f} GB on {name}" if size >= 5e7 else f"{size / 1e6:.1f} MB on {name}" for name, size in found["saves"].items()
    )
    gone = (
        f", without {len(found['without'])} other{'s' * (len(found['without']) > 1)}: saves {sizes or 'nothing'}"
        if found["without"]
        else ""
    )
    return (f'{kind} builds of {", ".join(found["of"])}{gone}; accelerator = "cuda" takes the package index\'s own',)


def explained_accelerator(error: LockError, found: Switch, before: Mapping[str, Any]) -> LockError:
    """The error of the second resolution: whose index it was, and what else can be done."""
    kind = "CPU" if found.backend == "cpu" else found.backend
    names = ", ".join(sorted(found.sources))
    heavy = sum(_size(it, "x86_64") for it in before.get("packages", [])) / 1e9
    if re.search(r"Failed to fetch|error sending request|dns error|timed out|tcp connect|Request failed|HTTP status", error.message):
        reason = f"the index of {kind} builds of {names}, {found.url}, cannot be reached"
    else:
        reason = f"the index of {kind} builds, {found.url}, does not have what is asked for: {', '.join(found.requirements)}"
    return LockError(
        f"{reason}:\n{error.message}",
        hint=f"Set accelerator-index to a mirror of {ACCELERATOR_INDEX}; or take the package index's own builds, for CUDA, with"
        f' accelerator = "cuda" ({heavy:.1f} GB of wheels on amd64); or choose another accelerator or another version.',
    )


def canonical_wheels(pylock: Mapping[str, Any], root: str) -> None:
    """The vendor's addresses instead of its mirror's."""
    root = root.rstrip("/")
    for holder in _holders(pylock) if root else ():
        for key in ("url", "index"):
            if str(holder.get(key, "")).startswith(f"{root}/"):
                holder[key] = ACCELERATOR_INDEX + holder[key].removeprefix(root)


def _holders(pylock: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for package in pylock.get("packages", []):
        yield package
        yield from package.get("wheels", [])
        if "sdist" in package:
            yield package["sdist"]
