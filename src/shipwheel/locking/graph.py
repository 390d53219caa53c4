"""The dependency graph in a uv.lock: which package requires which, and which the project itself requires."""

from collections.abc import Collection, Mapping
from typing import Any

from shipwheel.locking.synthetic import SYNTHETIC

__all__ = ["read_graph"]

Edge = Mapping[str, Any]


def read_graph(
    uv_lock: Mapping[str, Any], project: str, extras: Collection[str], groups: Collection[str]
) -> tuple[dict[str, list[dict[str, Any]]], set[str]]:
    """Return each package's dependencies in the form of PEP 751, and the names that the project itself requires.

    `project` is the user's own package in the lock, or empty. Optional dependencies count if any package requires their extra; `extras`
    and `groups` are the chosen ones of the project.
    """
    packages: dict[str, list[Mapping[str, Any]]] = {}
    for package in uv_lock.get("package", []):
        packages.setdefault(package["name"], []).append(package)
    tops = [SYNTHETIC, *([project] if project else [])]
    chosen: dict[str, set[str]] = {tops[-1]: set(extras)}
    queue = [*tops, *packages]
    for name in queue:
        for edge in _edges(packages.get(name, []), chosen.get(name, set()), groups):
            new = set(edge.get("extra", ())) - chosen.get(edge["name"], set())
            if new:
                chosen.setdefault(edge["name"], set()).update(new)
                queue.append(edge["name"])
    dependencies: dict[str, list[dict[str, Any]]] = {}
    for name, versions in packages.items():
        found = {(edge["name"], edge.get("marker", "")): edge for edge in _edges(versions, chosen.get(name, set()), groups)}
        dependencies[name] = [{key: edge[key] for key in ("name", "marker") if key in edge} for edge in found.values()]
    direct = {edge["name"] for top in tops for edge in dependencies.get(top, [])} - set(tops)
    return dependencies, direct


def _edges(versions: list[Mapping[str, Any]], extras: Collection[str], groups: Collection[str]) -> list[Edge]:
    found: list[Edge] = []
    for package in versions:
        found += package.get("dependencies", [])
        for name, some in package.get("optional-dependencies", {}).items():
            found += some if name in extras else []
        for name, some in package.get("dev-dependencies", {}).items():
            found += some if name in groups else []
    return found
