"""Small project trees, and the command that is found for one."""

from pathlib import Path

from shipwheel.project.entrypoint.find import Evidence, Launch, find_launch
from shipwheel.settings import Settings

__all__ = ["launched", "written"]


def written(root: Path, files: dict[str, str]) -> Path:
    """The directory with these files, by their paths in it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def launched(root: Path, files: dict[str, str], dependencies: str = "", settings: Settings | None = None, **more: object) -> Launch:
    """The command of a project of that kind, `app` unless said, whose dependencies are named, a space between each."""
    given = {"kind": "app", "settings": settings or Settings(), **more}
    return find_launch(Evidence(written(root, files), "demo", dependencies=frozenset(dependencies.split()), **given))  # type: ignore[arg-type]
