"""Files of an app that are always left out, and those that an ignore file or a setting takes back."""

import re

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["NEVER_INCLUDED", "is_excluded_by_default"]

NEVER_INCLUDED = frozenset(
    """
    .git .hg .svn .bzr .venv venv __pycache__ node_modules .tox .nox .mypy_cache .pytest_cache .ruff_cache .hypothesis .ipynb_checkpoints
    .idea .vscode .eggs .cache .uv-cache __pypackages__ .DS_Store .pytype .pyre .docker
    """.split()  # noqa: SIM905
)
"""Directories of version control, of packages, of editors and of caches."""
_NAMES = frozenset(
    """
    .coverage Thumbs.db desktop.ini .gitignore .gitattributes .gitmodules .dockerignore .github .gitlab-ci.yml .pre-commit-config.yaml
    .editorconfig .devcontainer docker-bake.hcl
    """.split()  # noqa: SIM905
)
_STARTS = (".coverage.", "Dockerfile", "Containerfile")
_ENDS = (".pyc", ".pyo", ".pyd", ".egg-info", ".egg", ".swp", "~", ".Dockerfile")
_COMPOSE_FILE = lazy_pattern(r"(docker-compose.*|compose|compose\..*)\.y.*ml", re.DOTALL)
_AT_TOP = frozenset("shipwheel.toml pylock.toml uv.lock poetry.lock pdm.lock Pipfile.lock .shipwheel".split())  # noqa: SIM905


def is_excluded_by_default(path: str) -> bool:
    """Return whether a path in the app's directory, or a directory above it, has such a name."""
    names = path.split("/")
    return names[0] in _AT_TOP or _is_lock(names[0]) or any(map(_is_excluded, names))


def _is_excluded(name: str) -> bool:
    is_named = name in _NAMES or name.startswith(_STARTS) or name.endswith(_ENDS)
    return is_named or (name.endswith("ml") and _COMPOSE_FILE.fullmatch(name) is not None)


def _is_lock(name: str) -> bool:
    """Return whether a name is that of a lock of PEP 751 with a name of its own: `pylock.dev.toml`."""
    return name.startswith("pylock.") and name.endswith(".toml") and len(name) > len("pylock.toml")
