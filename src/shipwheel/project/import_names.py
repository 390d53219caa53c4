"""The top-level import names that a project's wheel would hold, without building it."""

import re
from collections.abc import Iterator
from pathlib import Path

from shipwheel.project.metadata import Metadata
from shipwheel.versions import normalized

__all__ = ["packaged_names"]

_NEVER_PACKAGED = frozenset({"tests", "test", "docs", "examples", "setup", "conftest", "scripts", "benchmarks"})


def packaged_names(root: Path, metadata: Metadata) -> frozenset[str] | None:
    """Return the names in the wheel; None if the build backend would find nothing, as in an app with a package's metadata."""
    if metadata.packages is not None:
        return frozenset(metadata.packages)
    flat = frozenset(name for name in _names_in(root) if name not in _NEVER_PACKAGED)
    src = frozenset(_names_in(root / "src"))
    if metadata.backend.startswith("setuptools") or not metadata.backend:
        return src or flat or (frozenset() if metadata.origin != "pyproject.toml" else None)
    if re.match(r"poetry|hatchling|flit|uv_build|pdm", metadata.backend):
        own = normalized(metadata.name or "").replace("-", "_")
        matching = frozenset(name for name in flat | src if name.lower() == own)
        fallback = src if re.match(r"hatchling|pdm", metadata.backend) else frozenset()
        return matching or fallback or _single_package(root, metadata.backend, flat)
    return flat | src


def _single_package(root: Path, backend: str, names: frozenset[str]) -> frozenset[str] | None:
    """Return the one package that Hatchling and PDM take when none has the project's name."""
    packages = frozenset(name for name in names if (root / name / "__init__.py").is_file())
    return packages if len(packages) == 1 and re.match(r"hatchling|pdm", backend) else None


def _names_in(directory: Path) -> Iterator[str]:
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir()):
        if path.suffix == ".py" and path.stem.isidentifier() and path.is_file() and directory.name != "src":
            yield path.stem
        elif path.name.isidentifier() and path.is_dir() and _is_package(path, namespace=directory.name == "src"):
            yield path.name


def _is_package(path: Path, *, namespace: bool) -> bool:
    return (path / "__init__.py").is_file() or (namespace and any(path.rglob("*.py")))
