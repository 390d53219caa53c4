"""Write action.yml and templates/image.yml, to which pipelines refer, from the code: `python scripts/ci_files.py`."""

from collections.abc import Mapping
from pathlib import Path

from shipwheel import __version__
from shipwheel.stack.gitlab_ci import gitlab_component
from shipwheel.stack.pipelines import github_action

__all__ = ["ci_files"]

ROOT = Path(__file__).resolve().parent.parent


def ci_files() -> Mapping[str, str]:
    """Return the text of each file by its path in the repository."""
    return {"action.yml": github_action(), "templates/image.yml": gitlab_component(__version__)}


if __name__ == "__main__":
    for name, text in ci_files().items():
        (ROOT / name).parent.mkdir(exist_ok=True)
        (ROOT / name).write_text(text, encoding="utf-8")
