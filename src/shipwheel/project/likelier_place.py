"""The place of a project, for a directory that is none: a folder of it, a submodule, what is made from a template."""

from collections.abc import Sequence
from pathlib import Path

from shipwheel.project.conda import CONDA_FILES
from shipwheel.project.nested_projects import has_code, nested_projects
from shipwheel.user.files import UserFiles

__all__ = ["likelier_place", "notebook_hint"]

_MAX_REPORTED = 8


def likelier_place(root: Path, names: Sequence[str]) -> str:
    """Return where the project may be, if not in this directory; empty if nothing shows that."""
    if found := next((name for name in names if name in CONDA_FILES), None):
        return f"Conda environments are read only for Python code: list the Python packages of {found} in a requirements.txt."
    if (root / ".gitmodules").is_file() and (empty := [name for name in names if _is_empty(root / name)]):
        return f"{', '.join(empty)} may be a repository of its own that is not here yet: git submodule update --init."
    if template := next((name for name in names if "{{" in name), None):
        return f"{template} is a template: make a project from it, with cookiecutter or copier, and build that."
    below = [str(path.relative_to(root)) for path in nested_projects(root, UserFiles()) if has_code(path) or not any(root.glob("*.py"))]
    if len(below) == 1:
        return f"There is a project in {root / below[0]}: build that directory."
    named = ", ".join(below[:_MAX_REPORTED]) + (f" and {len(below) - _MAX_REPORTED} more" if len(below) > _MAX_REPORTED else "")
    return f"There are projects in {named}: build one of them, as in `shipwheel build {below[0]}`." if below else ""


def notebook_hint(names: Sequence[str]) -> str:
    """Return how a notebook is served; empty without one."""
    found = next((name for name in names if name.endswith(".ipynb")), None)
    return f"{found} is a notebook: list voila, which serves notebooks, and what it imports in a requirements.txt." if found else ""


def _is_empty(path: Path) -> bool:
    return path.is_dir() and next(path.iterdir(), None) is None
