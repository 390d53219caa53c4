"""Indexes of Poetry, PDM and Pipenv in uv's form, with their passwords."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.lock_requests import lock_request

from shipwheel.locking.formats.read import read_tool_lock
from shipwheel.locking.formats.tool_lock import requirements_for_linux
from shipwheel.project.pipfile import read_pipfile
from shipwheel.project.tool_indexes import bound_packages, pipfile_indexes, tool_indexes
from shipwheel.project.workspace import read_workspace
from shipwheel.user.files import UserFiles


def poetry(*sources: dict[str, str], **environ: str) -> list[dict[str, object]]:
    return tool_indexes({"poetry": {"source": list(sources)}}, {"HOME": "/nonexistent", **environ})


def test_translates_poetrys_priorities() -> None:
    one, two = {"name": "one", "url": "https://one.example/simple"}, {"name": "two", "url": "https://two.example/simple"}
    assert poetry(one) == [{"url": one["url"], "name": "one", "default": True}], "a primary one takes the public index's place"
    assert [bool(it.get("default")) for it in poetry(one, two)] == [True, False]
    assert poetry({"name": "PyPI", "priority": "primary"}, one) == [{"url": one["url"], "name": "one"}]
    assert poetry(one | {"priority": "supplemental"}) == [{"url": one["url"], "name": "one"}]
    assert poetry(one | {"priority": "explicit"}) == [{"url": one["url"], "name": "one", "explicit": True}]
    assert poetry({"name": "a b", "url": "https://x.example"}) == [{"url": "https://x.example", "default": True}], "uv takes no such name"


def test_reads_poetrys_passwords(tmp_path: Path) -> None:
    source = {"name": "in-house.x", "url": "https://one.example/simple", "priority": "explicit"}
    said = {"POETRY_HTTP_BASIC_IN_HOUSE_X_USERNAME": "bob", "POETRY_HTTP_BASIC_IN_HOUSE_X_PASSWORD": "a/b"}
    assert poetry(source, **said)[0]["url"] == "https://bob:a%2Fb@one.example/simple"
    (tmp_path / "auth.toml").write_text('[http-basic."in-house.x"]\nusername = "eve"\npassword = "p"\n')
    folder = {"POETRY_CONFIG_DIR": str(tmp_path)}
    assert poetry(source, **folder)[0]["url"] == "https://eve:p@one.example/simple"
    assert poetry(source, **folder, **said)[0]["url"] == "https://bob:a%2Fb@one.example/simple", "variables come first"
    assert poetry({**source, "name": "other"}, **folder)[0]["url"] == source["url"]
    (tmp_path / "auth.toml").write_text("[")
    assert poetry(source, **folder)[0]["url"] == source["url"]


def test_translates_pdms_sources(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[pypi.one]\nusername = "bob"\npassword = "p"\n')
    listed = [
        {"name": "pypi", "url": "https://${HOST}/simple"},
        {"name": "one", "url": "https://one.example/simple"},
        {"name": "links", "url": "https://links.example", "type": "find_links"},
        {"name": "two", "url": "https://${WHO}:${NOT_SET}@two.example/simple", "include_packages": ["Corp", "corp-*"]},
    ]
    found = tool_indexes({"pdm": {"source": listed}}, {"HOST": "mirror.example", "WHO": "eve", "PDM_CONFIG_HOME": str(tmp_path)})
    assert found == [
        {"url": "https://mirror.example/simple", "name": "pypi", "default": True},
        {"url": "https://bob:p@one.example/simple", "name": "one"},
        {"url": "https://eve:${NOT_SET}@two.example/simple", "name": "two"},
    ]
    assert bound_packages({"pdm": {"source": listed}}) == {"Corp": "two"}


PIPFILE = """\
[[source]]
name = "{first}"
url = "https://one.example/simple"

[[source]]
name = "two"
url = "https://$WHO:${{WORD}}@two.example/simple"

[packages]
Corp = {{version = "*", index = "two"}}
small = "*"
"""


def test_translates_a_pipfiles_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHO", "bob")
    monkeypatch.setenv("WORD", "p")
    two = {"url": "https://bob:p@two.example/simple", "name": "two", "explicit": True}
    (tmp_path / "Pipfile").write_text(PIPFILE.format(first="pypi"))
    found = read_pipfile(UserFiles(), tmp_path / "Pipfile").requirements(())
    assert found.indexes == (two,), "the public one is whichever uv is told of"
    assert found.index_of == {"corp": "two"}
    assert not found.extra_index_urls, "nobody else's package of the same name can win"
    (tmp_path / "Pipfile").write_text(PIPFILE.format(first="one"))
    first = {"url": "https://one.example/simple", "name": "one", "default": True}
    assert read_pipfile(UserFiles(), tmp_path / "Pipfile").requirements(()).indexes == (first, two)


def test_keeps_the_range_of_a_version_that_pipenv_left_open(tmp_path: Path) -> None:
    """It writes so what the machine that locked had no use for."""
    (tmp_path / "Pipfile").write_text('[packages]\ncolorama = {version = ">=0.4", markers = "sys_platform == \'linux\'"}\n')
    (tmp_path / "Pipfile.lock").write_text(
        '{"default": {"colorama": {"version": ">=0.4", "markers": "sys_platform == \'linux\'"}, "a": {"version": "==1.0"}, '
        '"b": {"version": "*"}}}'
    )
    request = lock_request(tmp_path, "3.11")
    assert request.other_lock is not None
    lines = requirements_for_linux(read_tool_lock(request.other_lock, request), "3.11", ()).lines
    assert sorted(line.text for line in lines) == ["a==1.0", "b", "colorama>=0.4"]


def test_adds_the_indexes_to_uvs_settings(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "a"\nversion = "1"\n[tool.poetry.dependencies]\nCorp = {source = "one"}\nother = {source = "nowhere"}\n'
        '[[tool.poetry.source]]\nname = "one"\nurl = "https://one.example/simple"\npriority = "explicit"\n'
    )
    workspace = read_workspace(UserFiles(), tmp_path)
    assert workspace.settings["index"] == [{"url": "https://one.example/simple", "name": "one", "explicit": True}]
    assert workspace.sources == {"corp": {"index": "one"}}


VALUES = st.recursive(
    st.text(max_size=8) | st.integers() | st.booleans(), lambda it: st.lists(it) | st.dictionaries(st.text(max_size=8), it)
)


@given(st.dictionaries(st.sampled_from(["name", "url", "priority", "type", "username"]), VALUES))
def test_any_source_table_gives_valid_indexes(source: dict[str, object]) -> None:
    """An index or none."""
    for tool in ("poetry", "pdm"):
        assert all("url" in index for index in tool_indexes({tool: {"source": [source]}}, {"HOME": "/nonexistent"}))
    assert all("url" in index for index in pipfile_indexes({"source": [source]}, {}))
