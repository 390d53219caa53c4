"""`shipwheel startup` in bubblewrap: where the time of a real server goes, and an image with the bytecode of what it imports alone."""

import json
import re
import shutil
from pathlib import Path

import pytest
from support.command import shipwheel_json

from shipwheel.locking.pylock import read_lock

EXAMPLE = Path(__file__).parents[2] / "examples" / "fastapi"

pytestmark = pytest.mark.engines


def test_shows_where_the_time_goes_and_records_what_is_imported(tmp_path: Path) -> None:
    project, page = tmp_path / "hello", tmp_path / "startup.html"
    shutil.copytree(EXAMPLE, project)
    report = shipwheel_json("startup", project, "--record", "-o", page, "--engine", "bwrap")
    assert report["serves"]
    assert report["ready"] == pytest.approx(report["interpreter"] + report["imports"] + report["rest"])
    groups = {group["name"]: group for group in report["groups"]}
    assert groups["fastapi"]["modules"] > 10
    assert groups["the application"]["modules"] == 1
    assert groups["the standard library"]["seconds"] > 0
    assert {"fastapi", "pydantic.main", "uvicorn.main", "main"} <= {module["name"] for module in report["modules"]}
    assert not report["unmeasured"]
    assert report["unused_modules"]
    chart = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert chart is not None
    names = {span[0] for lane in json.loads(chart[1])["lanes"] for span in lane["spans"]}
    assert "main" in names

    lock = read_lock(project / "pylock.toml")
    assert lock is not None
    assert lock.imports is not None
    assert "fastapi.routing" in lock.imports["fastapi"]
    assert "pydantic.mypy" not in lock.imports["pydantic"]
    (project / "shipwheel.toml").write_text('bytecode = "used"\n')
    again = shipwheel_json("startup", project, "--engine", "bwrap")
    assert again["used"] == report["used"], "it starts as before, with bytecode for exactly this"
