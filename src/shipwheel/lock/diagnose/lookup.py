"""Distributions looked up alone, as the project finds them: by its indexes and as of its day, without what holds its versions together."""

import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shipwheel.lock import uv
from shipwheel.lock.synthetic import Synthetic

__all__ = ["Lookup", "alone"]

_PYTHONS = tuple(f"3.{minor}" for minor in range(7, 16))
"""Those whose files are looked at."""

_PATIENCE = 30.0
"""Seconds that uv may take for one question."""


def alone(synthetic: Synthetic, requirements: Sequence[str], names: Sequence[str]) -> Synthetic:
    """A project that asks for these requirements, of distributions of these names, and is set up as the given one."""
    settings = {key: value for key, value in synthetic.settings.items() if not key.endswith("-dependencies")}
    sources = {name: source for name, source in synthetic.sources.items() if name in names}
    return replace(synthetic, dependencies=list(requirements), settings=settings, sources=sources, project="", kept=())


@dataclass(frozen=True, slots=True)
class Lookup:
    """Asks uv for single distributions; `limit` is an RFC 3339 instant after which nothing counts."""

    synthetic: Synthetic
    limit: str | None

    def every_file(self, name: str, specifier: str) -> dict[str, Any] | None:
        """The version that uv takes of a distribution, as a package of a pylock.toml with its files for all systems and Pythons."""
        # A version is not to be had for a Python that is older than it says, and then not for any later one either.
        tried = (self.packages({name: specifier}, python) for python in _PYTHONS)
        return next((package for packages in tried for package in packages if package["name"] == name), None)

    def packages(self, versions: Mapping[str, str], python: str, options: Sequence[str] = ("--universal",)) -> list[dict[str, Any]]:
        """Of each name with its specifier the version that uv takes, as packages of a pylock.toml; none when one of them cannot be had.

        `python` is a version, minor or full; without `options` for one platform, the files for all of them come, for that Python and later.
        """
        requirements = [name + specifier for name, specifier in versions.items()]
        with tempfile.TemporaryDirectory(prefix="shipwheel-files-") as place:
            folder = Path(place).resolve()
            alone(self.synthetic, requirements, list(versions)).write_open(folder)
            asked = folder / "pyproject.toml"
            try:
                text = uv.list_files(folder, asked, python, exclude_newer=self.limit, options=options, timeout=_PATIENCE)
                return list(tomllib.loads(text).get("packages", []))
            except (uv.UvFailed, tomllib.TOMLDecodeError):
                return []
