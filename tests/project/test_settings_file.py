"""Settings added to the user's own file: nothing that a person wrote is lost, and the result is read back."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipwheel.project.read import find_settings
from shipwheel.project.settings_file import Addition, edit_settings
from shipwheel.settings.build import AssetSettings, stated
from shipwheel.settings.settings import Settings, load_settings

PORT = Addition("ports", ("8000/tcp",), "It listens on port 8000")


def edited(root: Path, files: Mapping[str, str], *additions: Addition) -> str:
    """Write files, add settings, and return the text of the one that changed."""
    for name, text in files.items():
        (root / name).write_text(text, encoding="utf-8", newline="")
    edit = edit_settings(root, additions)
    edit.write()
    return edit.path.read_bytes().decode()


def test_a_project_without_settings_gets_a_file(tmp_path: Path) -> None:
    assert edited(tmp_path, {"requirements.txt": "flask\n"}, PORT) == '# It listens on port 8000\nports = ["8000/tcp"]\n'
    assert load_settings(tmp_path).ports == ("8000/tcp",)


def test_settings_go_where_a_person_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert edit_settings(tmp_path, [PORT]).path == tmp_path / "pyproject.toml"
    (tmp_path / "shipwheel.toml").write_text("")
    assert edit_settings(tmp_path, [PORT]).path == tmp_path / "shipwheel.toml"


def test_nothing_is_written_before_it_is_asked_for(tmp_path: Path) -> None:
    edit = edit_settings(tmp_path, [PORT])
    assert not edit.path.exists()
    assert (edit.before, edit.after != "") == ("", True)


def test_a_comment_stands_above_its_setting_also_before_tables(tmp_path: Path) -> None:
    text = edited(tmp_path, {"shipwheel.toml": "# mine\n[env]\nA = 'b' # why\n"}, PORT)
    assert text == "# mine\n# It listens on port 8000\nports = [\"8000/tcp\"]\n\n[env]\nA = 'b' # why\n"


def test_an_existing_list_is_continued_in_its_own_style(tmp_path: Path) -> None:
    text = "ports = [\n  # the web\n  8000, # http\n]\n"
    assert edited(tmp_path, {"shipwheel.toml": text}, Addition("ports", ("9000/tcp",))) == text.replace("]", '  "9000/tcp",\n]')


@pytest.mark.parametrize(
    ("before", "key", "after"),
    [('requirements = "one"', "requirements", '["one", "two"]'), ("ports = 8000", "ports", '[8000, "two"]')],
)
def test_a_single_value_becomes_a_list(before: str, key: str, after: str, tmp_path: Path) -> None:
    assert edited(tmp_path, {"shipwheel.toml": f"{before} # mine\n"}, Addition(key, ("two",))) == f"{key} = {after} # mine\n"


def test_an_existing_table_gets_what_is_new(tmp_path: Path) -> None:
    text = '[project]\nname = "x"\n\n[tool.shipwheel.env]\nA = "mine" # why\nC = "old" # how\n\n[tool.other]\nb = 1\n'
    after = edited(tmp_path, {"pyproject.toml": text}, Addition("env", {"B": "new", "C": "old:new"}))
    assert after == text.replace('"old" # how\n', '"old:new" # how\nB = "new"\n')


def test_a_command_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    assert edited(tmp_path, {"shipwheel.toml": "command = 'shop' # mine\n"}, Addition("command", ("shop", "serve"))) == (
        'command = ["shop", "serve"] # mine\n'
    )


def test_line_ends_and_a_byte_order_mark_stay(tmp_path: Path) -> None:
    text = edited(tmp_path, {"shipwheel.toml": "\ufeff[env]\r\nA = 'b'\r\n"}, Addition("ports", ("1/tcp",), "two\nlines"))
    assert text == "\ufeff# two\r\n# lines\r\nports = [\"1/tcp\"]\r\n\r\n[env]\r\nA = 'b'\r\n"


SCRIPT = """#!/usr/bin/env python3
# /// script
# dependencies = ["a"]
#
# # mine
# [tool.shipwheel]
# user = 1000 # why
# ///
print("/// not this")
"""


def test_a_script_keeps_its_settings_in_its_own_metadata(tmp_path: Path) -> None:
    script = tmp_path / "report.py"
    script.write_text(SCRIPT)
    edit_settings(script, [PORT]).write()
    expected = SCRIPT.replace("# why\n", '# why\n# # It listens on port 8000\n# ports = ["8000/tcp"]\n')
    assert script.read_text() == expected
    assert find_settings(script).ports == ("8000/tcp",)
    assert [path.name for path in tmp_path.iterdir()] == ["report.py"]


@pytest.mark.parametrize("head", ["", "#!/usr/bin/env python3\n", "#!/bin/x\n# -*- coding: utf-8 -*-\n", "# a comment\n"])
def test_a_script_without_metadata_gets_some(head: str, tmp_path: Path) -> None:
    script = tmp_path / "report.py"
    script.write_text(f"{head}print(1)\n")
    edit_settings(script, [PORT]).write()
    kept = "" if head.startswith("# a") else head
    assert script.read_text().startswith(f"{kept}# /// script\n")
    assert script.read_text().endswith("print(1)\n")
    assert find_settings(script).ports == ("8000/tcp",)


CHUNKS = [
    "[project] # 1\nname = 'x' # 2\n",
    "# 3\n",
    "[tool.other] # 4\nb = [\n  1, # 5\n]\n",
    "[[tool.uv.index]]\nname = 'i' # 6\n",
    "[tool.shipwheel] # 7\nports = [ 80, # 8\n]\n# 9\ndependencies = ['a'] # 10\nenv.A = 'mine' # 11\n",
    "[tool.shipwheel.labels] # 12\na = 'b' # 13\n",
    "[tool.shipwheel.annotations] # 14\n",
    "[build-system] # 15\nrequires = []\n\n\n",
    "[dependency-groups]\ndev = [] # 16\n",
]
ADDITIONS = [
    Addition("ports", ("8000/tcp", "53/udp"), "It listens"),
    Addition("dependencies", ("pyyaml", "setuptools<81"), "Two\nlines, and a \x00 character"),
    Addition("env", {"A": "mine:ours", "B": "'\"\\"}, "It wants it"),
    Addition("labels", {"z": "y"}),
    Addition("command", ("a", "b c"), "It's it"),
    Addition("before-start", (("a", "b"), ("c",)), "Steps"),
    Addition("state", ("uploads/",), "It writes"),
    Addition("bytecode", value=False),
    Addition("python", "3.11", "Old"),
]


def merged(before: Mapping[str, Any], additions: list[Addition]) -> dict[str, Any]:
    """Return the table that a person would have written."""
    table = dict(before)
    for key, value in ((addition.key, addition.value) for addition in additions):
        if isinstance(value, dict):
            table[key] = {**table.get(key, {}), **value}
        elif isinstance(value, tuple):
            table[key] = [*table.get(key, []), *([*item] if isinstance(item, tuple) else item for item in value)]
        else:
            table[key] = value
    return table


@given(st.lists(st.sampled_from(CHUNKS), unique=True), st.lists(st.sampled_from(ADDITIONS), unique_by=lambda each: each.key, min_size=1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_that_a_person_wrote_stays(tmp_path: Path, chunks: list[str], additions: list[Addition]) -> None:
    text = "".join(chunks)
    after = edited(tmp_path, {"pyproject.toml": text}, *additions)
    assert re.findall(r"# \d+", after) == re.findall(r"# \d+", text), "every comment, in order"
    before, found = tomllib.loads(text), tomllib.loads(after)
    ours = before.get("tool", {}).pop("shipwheel", {})
    assert found["tool"].pop("shipwheel") == merged(ours, additions)
    assert found.pop("tool") == before.pop("tool", {})
    assert found == before
    assert load_settings(tmp_path) != Settings()
    assert edited(tmp_path, {"pyproject.toml": after}) == after


@pytest.mark.parametrize("name", ["pyproject.toml", "shipwheel.toml"])
def test_tables_in_a_list_are_written_in_one_line(tmp_path: Path, name: str) -> None:
    assets = AssetSettings(("npm", "run", "build"), "ui/dist", "ui")
    text = edited(tmp_path, {name: ""}, Addition("assets", [stated(assets)], "main.py serves it"), PORT)
    assert 'assets = [{run = "npm run build", output = "ui/dist", in = "ui"}]' in text
    assert load_settings(tmp_path).assets == (assets,)
