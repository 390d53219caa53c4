"""Reading locks that Poetry, PDM and Pipenv wrote for one project: the packages for Linux are those that each tool would install."""

import json
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.lock_requests import lock_request

from shipwheel.errors import LockError, ProjectError
from shipwheel.locking.formats.read import read_tool_lock
from shipwheel.locking.formats.tool_lock import Dependency, Entry, ToolLock, requirements_for_linux
from shipwheel.locking.make import make_lock
from shipwheel.locking.selection import select_all
from shipwheel.locking.target import Target
from shipwheel.platform import Platform
from shipwheel.project.lock_inputs import OtherLock

RECORDED = Path(__file__).parent / "recorded"
LOCKS = {"poetry": "poetry.lock", "pdm": "pdm.lock", "pipenv": "Pipfile.lock"}

INSTALLED = {
    "anyio": "4.16.0",
    "click": "8.5.1",
    "h11": "0.16.0",
    "httptools": "0.9.0",
    "idna": "3.20",
    "python-dotenv": "1.2.4",
    "pyyaml": "6.0.4",
    "typing-extensions": "4.16.0",
    "typing-inspection": "0.4.5",
    "uvicorn": "0.30.6",
    "uvloop": "0.23.0",
    "watchfiles": "1.3.0",
    "websockets": "17.4",
}
"""The output of `poetry install --only main --dry-run`, `pdm export --prod` and `pipenv requirements` for Python 3.11 on Linux."""


def read(root: Path, tool: str, **chosen: tuple[str, ...]) -> ToolLock:
    request = lock_request(root, "3.11", **chosen)  # type: ignore[arg-type]
    return read_tool_lock(OtherLock(root / LOCKS[tool], (root / LOCKS[tool]).read_bytes()), request)


def pins(lock: ToolLock, python: str = "3.11", extras: tuple[str, ...] = ()) -> dict[str, str]:
    found = {}
    for line in requirements_for_linux(lock, python, extras).lines:
        assert line.requirement is not None
        found[line.requirement.name] = str(line.requirement.specifier)[2:]
    return found


@pytest.mark.parametrize("tool", LOCKS)
def test_has_the_packages_that_the_tool_installs(tool: str) -> None:
    lock = read(RECORDED / tool, tool)
    assert pins(lock) == INSTALLED
    assert not lock.changed, "the checksum of the tool matches"
    assert set(lock.locations) >= {"uvicorn", "pywin32", "typing-inspection"}
    lines = requirements_for_linux(lock, "3.11", ()).lines
    assert all(line.hashes for line in lines)
    text = (RECORDED / tool / LOCKS[tool]).read_text().splitlines()
    for line in lines:
        assert line.requirement is not None
        assert line.requirement.name in text[line.number - 1].lower(), "the requirement has its line in the lock"


@pytest.mark.parametrize("tool", LOCKS)
def test_adds_groups_and_extras_only_if_they_are_chosen(tool: str) -> None:
    assert pins(read(RECORDED / tool, tool, groups=("dev",))) == INSTALLED | {"iniconfig": "2.3.1"}
    if tool != "pipenv":
        assert set(pins(read(RECORDED / tool, tool, extras=("pretty",)), extras=("pretty",))) == {*INSTALLED, "tabulate"}


@pytest.mark.parametrize("tool", ["poetry", "pdm"])
def test_evaluates_markers_for_the_python_version(tool: str) -> None:
    assert "typing-inspection" not in pins(read(RECORDED / tool, tool), "3.13")


@pytest.mark.parametrize("tool", ["poetry", "pdm"])
def test_follows_the_graph_of_a_lock_without_groups(tmp_path: Path, tool: str) -> None:
    """Poetry before 2.0 and PDM before 2.11 wrote such locks."""
    shutil.copytree(RECORDED / tool, tmp_path, dirs_exist_ok=True)
    path = tmp_path / LOCKS[tool]
    path.write_text(re.sub(r"(?m)^(groups|markers?) = .*\n", "", path.read_text()).replace('groups = ["default"', 'was = ["default"'))
    assert pins(read(tmp_path, tool)) == INSTALLED
    if tool == "poetry":
        assert set(pins(read(tmp_path, tool, groups=("dev",), extras=("pretty",)))) == {*INSTALLED, "iniconfig", "tabulate"}


@pytest.mark.parametrize("groups", ["", 'groups = ["tools"]'])
def test_reads_a_standard_dependency_group_from_a_poetry_lock(tmp_path: Path, groups: str) -> None:
    """Poetry supports these groups (PEP 735) since 2.2; one package comes only with an extra."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "a"\nversion = "1"\n[dependency-groups]\ntools = ["small[more]"]\n')
    entry = '[[package]]\nname = "{}"\nversion = "1.0"\n{}\nfiles = []\n{}\n'
    extras = '[package.dependencies]\nside = {version = "*", optional = true}\n[package.extras]\nmore = ["side"]\n'
    (tmp_path / "poetry.lock").write_text(entry.format("small", groups, extras) + entry.format("side", groups, ""))
    lock = read(tmp_path, "poetry", groups=("tools",))
    assert sorted(line.text for line in requirements_for_linux(lock, "3.11", ()).lines)[0] == "side==1.0"
    assert set(pins(lock)) == {"small", "side"}
    assert set(lock.locations) == {"small"}


@pytest.mark.parametrize(("tool", "file"), [("poetry", "pyproject.toml"), ("pdm", "pyproject.toml"), ("pipenv", "Pipfile")])
def test_tells_that_the_project_changed_after_the_lock(tmp_path: Path, tool: str, file: str) -> None:
    shutil.copytree(RECORDED / tool, tmp_path, dirs_exist_ok=True)
    path = tmp_path / file
    path.write_text(path.read_text().replace("<0.31", "<0.32"))
    lock = read(tmp_path, tool)
    assert lock.changed == file
    assert pins(lock) == INSTALLED


@pytest.mark.parametrize(
    ("tool", "file", "line", "more"),
    [
        ("poetry", "pyproject.toml", "[tool.poetry.dependencies]", 'brotli = "*"'),
        ("pdm", "pyproject.toml", "dependencies = [", '"Brotli",'),
        ("pipenv", "Pipfile", "[packages]", 'Brotli = "*"'),
    ],
)
def test_tells_what_the_project_requires_and_the_lock_lacks(tmp_path: Path, tool: str, file: str, line: str, more: str) -> None:
    shutil.copytree(RECORDED / tool, tmp_path, dirs_exist_ok=True)
    assert read(tmp_path, tool).lacking == ()
    path = tmp_path / file
    path.write_text(path.read_text().replace(line, f"{line}\n{more}", 1))
    assert read(tmp_path, tool).lacking == ("brotli",)


@pytest.mark.parametrize("tool", LOCKS)
def test_rejects_an_unknown_group(tool: str) -> None:
    with pytest.raises(LockError, match="nope") as raised:
        read(RECORDED / tool, tool, groups=("nope",))
    assert raised.value.hint


HOSTILE = {
    "poetry.lock": ["", "package = 3", "[[package]]\nname = 1", '[[package]]\nname = "a"\nversion = "1"\nfiles = 3', "["],
    "pdm.lock": ["", "package = 3", '[[package]]\nversion = "1"', '[[package]]\nname = "a"\ndependencies = ["???"]', "["],
    "Pipfile.lock": ["", "[]", '{"default": 3}', '{"default": {"a": 3}}', '{"_meta": []}', "{"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in HOSTILE.items() for text in texts])
def test_rejects_a_file_of_another_form_with_a_hint(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "a"\nversion = "1"\n')
    try:
        lock = read_tool_lock(OtherLock(tmp_path / name, text.encode()), lock_request(tmp_path, "3.11"))
    except (LockError, ProjectError) as error:
        assert error.hint
    else:
        assert lock.entries == ()


MACHINES = st.sampled_from(["", "platform_machine == 'x86_64'", "platform_machine == 'aarch64'", "sys_platform == 'win32'"])


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(st.sampled_from("abcdef"), st.tuples(MACHINES, st.sets(st.sampled_from("abcdef"))), min_size=1))
def test_selects_the_packages_that_can_be_reached(graph: dict[str, tuple[str, set[str]]]) -> None:
    """Each package is required under a marker of its own; a plain search finds the same ones for each machine."""
    dependencies = {
        name: tuple(Dependency(other, marker=graph[other][0]) for other in sorted(wanted) if other in graph)
        for name, (_, wanted) in graph.items()
    }
    entries = tuple(Entry(name, "1", dependencies=dependencies[name]) for name in sorted(graph))
    first = min(graph)
    lock = ToolLock(Path("x.lock"), entries, (Dependency(first, marker=graph[first][0]),))
    found: dict[str, set[str]] = {"x86_64": set(), "aarch64": set()}
    for line in requirements_for_linux(lock, "3.11", ()).lines:
        assert line.requirement is not None
        for machine, names in found.items():
            if line.requirement.marker is None or machine in str(line.requirement.marker):
                names.add(line.requirement.name)
    for machine, names in found.items():
        wanted: set[str] = set()
        queue = [first]
        for name in queue:
            marker = graph[name][0]
            if name not in wanted and "win32" not in marker and (not marker or machine in marker):
                wanted.add(name)
                queue += sorted(graph[name][1] & graph.keys())
        assert names == wanted


@pytest.mark.online
@pytest.mark.parametrize("tool", [*LOCKS, "piptools"])
def test_locks_the_same_versions_with_files_that_the_tool_allows(tmp_path: Path, tool: str) -> None:
    root = tmp_path / tool
    shutil.copytree(RECORDED / tool, root)
    events: list[object] = []
    requirements = (root / "requirements.txt",) if tool == "piptools" else ()
    lock = make_lock(lock_request(root, "3.11", requirements), events.append)
    targets = [Target(Platform("linux", architecture), "3.11.2", (2, 36)) for architecture in ("amd64", "arm64")]
    for selection in select_all(lock, targets):
        assert {item.name: item.version for item in selection.distributions} == INSTALLED
        assert not selection.left_out
        known = "\n".join(path.read_text() for path in root.iterdir() if path.is_file())
        assert all(str(item.sha256) in known for item in selection.distributions)
    assert not [event for event in events if type(event).__name__ == "Warned"]
    assert {"uvicorn", "typing-inspection"} <= set(lock.roots)
    assert json.dumps(lock.data, default=str).count('"pywin32"') == 0
