"""Distributions that uv refuses since no file of theirs is for the Python in question, on no system.

They are locked all the same, with the files that they have: whoever selects knows the targets, and says what is missing there and why.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from shipwheel.lock.diagnose.lookup import Lookup
from shipwheel.lock.synthetic import SYNTHETIC, Synthetic
from shipwheel.versions import normalized

__all__ = ["Fileless", "fileless"]

_NAME = r"([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)(?:\[[^\]]*\])?(?:\{[^}]*\})?"
_REFUSED = re.compile(rf"{_NAME}((?:[=<>!~]=|[<>])\S+)? (?:has|have) no (?:`[^`]*`-compatible )?(?:usable )?wheels")
_NOWHERE = "python_version < '0'"


@dataclass(frozen=True, slots=True)
class Fileless:
    """A distribution, as a package of a pylock.toml with all its files, and the names of those that ask for it."""

    package: Mapping[str, Any]
    askers: tuple[str, ...]

    def left_out(self, synthetic: Synthetic) -> Synthetic:
        """The project without it, whoever asks for it."""
        settings = synthetic.settings
        overrides = [*settings.get("override-dependencies", []), f"{self.package['name']} ; {_NOWHERE}"]
        return replace(synthetic, settings={**settings, "override-dependencies": overrides})

    def added(self, graph: Mapping[str, Any], pylock: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """uv's lock and the pylock.toml of that project, with it in both."""
        name = str(self.package["name"])
        locked = list(graph.get("package", []))
        askers = set(self.askers) & {package["name"] for package in locked} or {SYNTHETIC}
        packages = [
            {**package, "dependencies": [*package.get("dependencies", []), {"name": name}]} if package["name"] in askers else package
            for package in locked
        ]
        return {**graph, "package": [*packages, {"name": name}]}, {**pylock, "packages": [*pylock.get("packages", []), dict(self.package)]}


def fileless(explanation: str, lookup: Lookup) -> Fileless | None:
    """The distribution of which uv says that it has no file, with those that it has; None for another matter."""
    text = " ".join(explanation.split())
    refused = _REFUSED.search(text)
    if refused is None:
        return None
    name = normalized(refused[1])
    package = lookup.every_file(name, refused[2] or "")
    return Fileless(package, _askers(text, name)) if package is not None and package.get("wheels") else None


def _askers(text: str, name: str) -> tuple[str, ...]:
    spelled = re.escape(name).replace(r"\-", "[-_.]+")
    found = re.finditer(rf"{_NAME}(?:[=<>!~]\S+)? depends? on {spelled}(?![\w-])", text, re.IGNORECASE)
    return tuple(dict.fromkeys(normalized(match[1]) for match in found))
