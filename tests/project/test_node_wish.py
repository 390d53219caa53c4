"""The node that a front end is for, by the files that people write it into."""

import json
from pathlib import Path

import pytest
from support.project_tree import written

from shipwheel.project.node_wish import named_range, node_wish, package_ranges
from shipwheel.settings.build import AssetSettings
from shipwheel.user.files import UserFiles

UI = AssetSettings(("npm", "run", "build"), "ui/dist", "ui")


CI = "jobs:\n  js:\n    steps:\n      - uses: actions/setup-node@v4\n        with:\n          node-version: {}\n"


def engines(node: object) -> str:
    return json.dumps({"engines": {"node": node}})


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, ("*", "")),
        ({"ui/.nvmrc": "v20.11.1\n"}, ("^20.11.1", "ui/.nvmrc")),
        ({"ui/.nvmrc": "\n# ours\nlts/iron\n"}, ("20", "ui/.nvmrc")),
        ({"ui/.nvmrc": "lts/*\n", ".node-version": "22\n"}, ("22", ".node-version")),
        ({".tool-versions": "python 3.12.1\nnodejs 18.19.0\n"}, ("^18.19.0", ".tool-versions")),
        ({"mise.toml": '[tools]\nnode = "24"\n'}, ("24", "mise.toml")),
        ({"ui/package.json": '{"volta": {"node": "16.20.2"}}'}, ("^16.20.2", "ui/package.json")),
        ({"ui/package.json": engines("^20.19.0 || >=22.12.0")}, ("^20.19.0 || >=22.12.0", "ui/package.json")),
        ({"ui/package.json": engines(">=18"), "package.json": engines("20")}, (">=18", "ui/package.json")),
        ({"ui/package.json": engines(">=18"), ".nvmrc": "22"}, ("22", ".nvmrc")),
        ({"ui/package.json": engines("*"), "package.json": engines("20.x")}, ("20.x", "package.json")),
        ({"ui/package.json": engines(18), ".nvmrc": "", "mise.toml": "[tools]\nnode = ["}, ("*", "")),
        ({"ui/package.json": "[]", "package.json": "{"}, ("*", "")),
        ({"ui/.nvmrc": "current\n"}, ("*", "")),
        ({".github/workflows/ci.yml": CI.format("'22'"), "ui/package.json": engines(">=18")}, ("22", ".github/workflows")),
        ({".github/workflows/ci.yml": CI.format("20.x"), ".github/workflows/docs.yaml": CI.format("22")}, ("*", "")),
        ({".github/workflows/ci.yml": CI.format("${{ matrix.node }}")}, ("*", "")),
        ({".github/workflows/ci.yml": CI.format("lts/*  # the newest")}, ("*", "")),
        ({".github/workflows/ci.yml": CI.format("22"), "ui/.nvmrc": "24"}, ("24", "ui/.nvmrc")),
    ],
)
def test_the_nearest_file_that_names_a_version_says_it(tmp_path: Path, files: dict[str, str], expected: tuple[str, str]) -> None:
    wish = node_wish(UserFiles(), written(tmp_path, files), UI)
    assert (wish.range, wish.place) == expected


def test_the_settings_say_it_first(tmp_path: Path) -> None:
    wish = node_wish(UserFiles(), written(tmp_path, {"ui/.nvmrc": "20"}), AssetSettings(("npm",), in_="ui", node="22"))
    assert (wish.range, wish.place) == ("22", "[[tool.shipwheel.assets]]")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("LTS/Jod", "22"), ("iron", "20"), ("node", ""), ("lts/*", ""), ("22.12.0", "^22.12.0"), ("20.x", "20.x"), ("", ""), ("a b", "")],
)
def test_a_name_stands_for_its_version(text: str, expected: str) -> None:
    assert named_range(text) == expected


NPM = """{
  "lockfileVersion": 3,
  "packages": {
    "": {"name": "ui", "engines": {"node": ">=20"}},
    "node_modules/vite": {
      "version": "7.0.0",
      "engines": {
        "node": "^20.19.0 || >=22.12.0"
      }
    },
    "node_modules/a": {"engines": {"npm": ">=8", "node": ">=20"}}
  }
}
"""
PNPM = """lockfileVersion: '9.0'
packages:
  vite@7.0.0:
    resolution: {integrity: sha512-a}
    engines: {node: ^20.19.0 || >=22.12.0}
  a@1.0.0:
    engines: {node: '>=20', npm: '>=8'}
"""


@pytest.mark.parametrize(("name", "text"), [("package-lock.json", NPM), ("pnpm-lock.yaml", PNPM)])
def test_a_lock_file_has_the_ranges_of_its_packages(tmp_path: Path, name: str, text: str) -> None:
    root = written(tmp_path, {f"ui/{name}": text})
    assert package_ranges(UserFiles(), root, UI) == (">=20", "^20.19.0 || >=22.12.0")
    assert package_ranges(UserFiles(), root, AssetSettings(("npm",))) == ()
