"""Look up single packages as the project would find them: in its indexes and as of its day, but without its other requirements."""

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from shipwheel.cleanup.scratch import scratch_directory
from shipwheel.locking import uv
from shipwheel.locking.synthetic import Synthetic

__all__ = ["Lookup", "only"]

_PYTHONS = tuple(f"3.{minor}" for minor in range(7, 16))
"""The Python versions whose files are looked up."""

_TIMEOUT_S = 30.0
"""For one question to uv."""


def only(synthetic: Synthetic, requirements: Sequence[str], names: Sequence[str]) -> Synthetic:
    """Return a project with these requirements, of packages with these names, and with the indexes and settings of another."""
    settings = {key: value for key, value in synthetic.settings.items() if not key.endswith("-dependencies")}
    sources = {name: source for name, source in synthetic.sources.items() if name in names}
    return replace(synthetic, dependencies=tuple(requirements), settings=settings, sources=sources, project="", preferred=())


class Lookup(msgspec.Struct, frozen=True):
    """Ask uv for single packages; `limit` is an RFC 3339 instant, and later files do not count."""

    synthetic: Synthetic
    limit: str | None

    def every_file(self, name: str, specifier: str) -> dict[str, Any] | None:
        """Return the version that uv selects, as a package of a pylock.toml with its files for all systems and Python versions."""
        # uv refuses Pythons that are older than the version requires; the first one that it accepts has the files of all later ones.
        results = (self.packages({name: specifier}, python) for python in _PYTHONS)
        return next((package for packages in results for package in packages if package["name"] == name), None)

    def packages(
        self, versions: Mapping[str, str], python: str, options: Sequence[str] = ("--universal",), *, dependencies: bool = False
    ) -> list[dict[str, Any]]:
        """Return the versions that uv selects for names with specifiers, as packages of a pylock.toml; none if uv cannot find them all.

        `python` is a version, minor or full. By default the files are those for all platforms, for this Python and later ones; `options`
        of `uv pip compile` can restrict them to one platform. With `dependencies`, what they require is returned as well.
        """
        requirements = [name + specifier for name, specifier in versions.items()]
        with scratch_directory("shipwheel-files-") as folder:
            only(self.synthetic, requirements, list(versions)).write_for_all(folder)
            project = folder / "pyproject.toml"
            try:
                alone = () if dependencies else ("--no-deps",)
                text = uv.list_files(folder, project, python, exclude_newer=self.limit, options=(*alone, *options), timeout=_TIMEOUT_S)
                return list(tomllib.loads(text).get("packages", []))
            except (uv.UvFailed, tomllib.TOMLDecodeError):
                return []
