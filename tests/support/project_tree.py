"""Small project trees, and the command that detection finds for one."""

from pathlib import Path

from shipwheel.project.entrypoint.find import Evidence, Launch, find_launch
from shipwheel.settings.settings import Settings

__all__ = ["Layout", "assert_command", "launched", "written"]

Layout = tuple[dict[str, str], str, tuple[str, ...]]
"""(path -> text of each file, the names of the dependencies separated by spaces, the expected command)"""


def written(root: Path, files: dict[str, str]) -> Path:
    """Write files, given as path -> text, below a directory and return it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def launched(root: Path, files: dict[str, str], dependencies: str = "", settings: Settings | None = None, **more: object) -> Launch:
    """Write a project and return how it starts.

    `dependencies` are names separated by spaces; `more` are further fields of `Evidence`. The project is an app unless `kind` is given.
    """
    given = {"kind": "app", "settings": settings or Settings(), **more}
    return find_launch(Evidence(written(root, files), "demo", dependencies=frozenset(dependencies.split()), **given))  # type: ignore[arg-type]


def assert_command(root: Path, layout: Layout) -> None:
    """Assert that an app with this layout starts with the expected command and needs no package beyond its dependencies."""
    files, dependencies, command = layout
    launch = launched(root, files, dependencies)
    assert launch.command == command
    assert launch.extra_requirements == ()
    assert launch.needs_source
    assert launch.reason.endswith(".")
