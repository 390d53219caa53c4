"""uv's workspaces: which project belongs to which."""

from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.project.workspace import workspace_root
from shipwheel.user.files import UserFiles

TOP = '[project]\nname = "top"\n[tool.uv.workspace]\nmembers = ["more", "more/*"]\n'
MEMBER = '[project]\nname = "shop"\n'


@pytest.mark.parametrize(("between", "found"), [("", True), ("[tool.black]\n", True), ('[project]\nname = "more"\n', False)])
def test_a_project_around_another_ends_the_search_as_in_uv(tmp_path: Path, between: str, found: bool) -> None:
    files = {"pyproject.toml": TOP, "more/pyproject.toml": between, "more/shop/pyproject.toml": MEMBER}
    written(tmp_path, files)
    assert workspace_root(UserFiles(), tmp_path / "more/shop") == (tmp_path.resolve() if found else None)
