"""Locks from every kind of input, made by the real uv with a package index on the loopback interface."""

import sys
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from support.lock_requests import lock_request, read_again
from support.sdist import packed

from shipwheel.errors import LockError, ProjectError
from shipwheel.events import Event, Warned
from shipwheel.locking import uv
from shipwheel.locking.inputs import LockRequest, inputs_digest
from shipwheel.locking.make import lock_for, make_lock, renewed
from shipwheel.locking.preferences import Upgrade
from shipwheel.locking.pylock import Lock
from shipwheel.locking.resolve import declared_requirements, resolve
from shipwheel.locking.selection import select, select_all
from shipwheel.locking.target import Target
from shipwheel.platform import Platform
from shipwheel.project.old_names import OldName
from shipwheel.project.pins import Pins
from shipwheel.testing.package_index import PackageIndex
from shipwheel.testing.wheels import SmallWheel

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"
AMD64 = Target(Platform("linux", "amd64"), f"{MINOR}.2", (2, 36))
ARM64 = Target(Platform("linux", "arm64"), f"{MINOR}.2", (2, 36))

BACKEND = """
import os, pathlib, zipfile
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    pathlib.Path("left-behind.egg-info").write_text("")
    info = pathlib.Path(folder, "made-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: made\\nVersion: 1.0\\nRequires-Dist: small\\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    return info.name
def build_wheel(folder, config_settings=None, metadata_directory=None):
    raise RuntimeError("only the metadata is wanted")
"""
BUILD_SYSTEM = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PackageIndex]:
    with PackageIndex() as served:
        for version in ("1.0", "2.0"):
            wheel = SmallWheel(version=version, requires=("leaf; sys_platform == 'linux'", "wintool; sys_platform == 'win32'"))
            served.add(wheel.filename, wheel.content(), uploaded=f"202{version[0]}-06-01T00:00:00Z")
        for wheel in (
            SmallWheel("leaf", files={"leaf.py": ""}),
            SmallWheel("tool", files={"tool.py": ""}, requires=("leaf",)),
            SmallWheel("wintool", files={"wintool.py": ""}, tag=f"{TAG}-{TAG}-win_amd64"),
            SmallWheel("winsource", files={"winsource.py": ""}, tag=f"{TAG}-{TAG}-win_amd64"),
            SmallWheel("native", files={"native.py": ""}, tag=f"{TAG}-{TAG}-manylinux_2_17_x86_64"),
            SmallWheel("old", files={"old.py": ""}, tag="cp38-cp38-manylinux_2_17_x86_64"),
            SmallWheel("aged", files={"aged.py": ""}, tag="cp38-cp38-manylinux_2_17_x86_64"),
            SmallWheel("elderly", files={"elderly.py": ""}, tag="cp37-cp37m-manylinux_2_17_x86_64"),
            SmallWheel("winold", files={"winold.py": ""}, tag="cp37-cp37m-win_amd64"),
            SmallWheel("wantsold", files={"wants.py": ""}, requires=("old",)),
            SmallWheel("conflict", files={"conflict.py": ""}, requires=("leaf>=7",)),
        ):
            served.add(wheel.filename, wheel.content())
        yield served


@pytest.fixture(autouse=True)
def own_uv(index: PackageIndex, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.simple)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "uv-cache"))
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")


def project(root: Path, text: str, **files: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").write_text(text)
    for name, content in files.items():
        (root / f"{name}.py").write_text(content)
    return root


def tree(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def pins(lock: Lock) -> dict[str, str]:
    return {package.name: str(package.version or "") for package in lock.packages}


def listed(root: Path, text: str | bytes, **more: Any) -> LockRequest:
    (root / "requirements.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    return lock_request(root, MINOR, (root / "requirements.txt",), **more)


def test_locks_a_project_that_is_no_package(tmp_path: Path) -> None:
    project(
        tmp_path,
        '[project]\nname = "app"\nversion = "1"\ndependencies = ["small"]\noptional-dependencies.x = ["native"]\n'
        '[dependency-groups]\nrun = [{include-group = "more"}]\nmore = ["tool"]\ndev = ["conflict"]\n',
    )
    assert pins(lock_for(lock_request(tmp_path, MINOR))) == {"small": "2.0", "leaf": "1.0"}
    lock = lock_for(lock_request(tmp_path, MINOR, extras=("x",), groups=("run",)))
    assert pins(lock) == {"small": "2.0", "leaf": "1.0", "native": "1.0", "tool": "1.0"}
    assert lock.roots == dict.fromkeys(("native", "small", "tool"), "pyproject.toml")
    assert not lock.frozen
    assert tree(tmp_path) == {"pyproject.toml", "pylock.toml"}
    needs = {str(package.name): package.dependencies for package in lock.packages}
    assert needs["small"] == [{"name": "leaf"}]
    with pytest.raises(LockError, match="native"):
        select_all(lock, [AMD64, ARM64])
    assert len(select(lock, AMD64).distributions) == 4


def test_locks_again_with_requires_python(tmp_path: Path) -> None:
    text = f'[project]\nname = "app"\nversion = "1"\nrequires-python = ">={MINOR}"\ndependencies = ["small"]\n'
    project(tmp_path, text.replace("small", "small<2"))
    assert pins(lock_for(lock_request(tmp_path, MINOR)))["small"] == "1.0"
    project(tmp_path, text)
    assert pins(lock_for(lock_request(tmp_path, MINOR))) == {"small": "1.0", "leaf": "1.0"}


def test_rejects_unknown_extras_and_groups(tmp_path: Path) -> None:
    project(tmp_path, '[project]\nname = "app"\nversion = "1"\noptional-dependencies.x = []\n[dependency-groups]\ng = []\n')
    with pytest.raises(LockError, match="no extra y") as raised:
        make_lock(lock_request(tmp_path, MINOR, extras=("y",)))
    assert raised.value.hint == "Extras: x."
    with pytest.raises(LockError, match="no dependency group 'h'") as raised:
        make_lock(lock_request(tmp_path, MINOR, groups=("h",)))
    assert raised.value.hint == "Groups: g."


def test_asks_a_build_backend_in_a_private_copy(tmp_path: Path) -> None:
    project(tmp_path, f'[project]\nname = "made"\nversion = "1.0"\ndynamic = ["dependencies"]\n{BUILD_SYSTEM}', backend=BACKEND)
    lock = lock_for(lock_request(tmp_path, MINOR))
    assert pins(lock) == {"small": "2.0", "leaf": "1.0"}
    assert tree(tmp_path) == {"pyproject.toml", "backend.py", "pylock.toml"}


def test_a_backend_that_fails_is_not_asked_for_the_version_alone(tmp_path: Path) -> None:
    text = (
        '[project]\nname = "made"\ndynamic = ["version"]\ndependencies = ["tool"]\n'
        "[project.optional-dependencies]\nx = [\"small<2 ; python_version > '3'\"]\n"
    )
    project(tmp_path, text + BUILD_SYSTEM, backend="raise SystemExit('no version')\n")
    assert set(pins(lock_for(lock_request(tmp_path, MINOR)))) == {"tool", "leaf"}
    assert pins(lock_for(lock_request(tmp_path, MINOR, extras=("x",))))["small"] == "1.0"


def test_asks_a_build_backend_for_the_name(tmp_path: Path) -> None:
    project(tmp_path, BUILD_SYSTEM, backend=BACKEND)
    lock = lock_for(lock_request(tmp_path, MINOR))
    assert pins(lock) == {"small": "2.0", "leaf": "1.0"}
    assert set(lock.roots) == {"small"}
    assert tree(tmp_path) == {"pyproject.toml", "backend.py", "pylock.toml"}


def test_locks_a_poetry_project_without_a_package(tmp_path: Path) -> None:
    text = (
        '[tool.poetry]\npackage-mode = false\n[tool.poetry.dependencies]\npython = "^3.8"\nsmall = "^1.0"\n'
        'wintool = {version = "*", markers = "sys_platform == \'win32\'"}\nnative = {version = "*", optional = true}\n'
        '[tool.poetry.extras]\nx = ["native"]\n[tool.poetry.group.run.dependencies]\ntool = "~1.0"\n'
    )
    project(tmp_path, text)
    assert pins(lock_for(lock_request(tmp_path, MINOR))) == {"small": "1.0", "leaf": "1.0"}
    assert set(pins(lock_for(lock_request(tmp_path, MINOR, extras=("x",), groups=("run",))))) == {"small", "leaf", "native", "tool"}


def test_locks_a_workspace_member(tmp_path: Path) -> None:
    project(tmp_path, '[tool.uv.workspace]\nmembers = ["libs/*"]\n[tool.uv]\nconstraint-dependencies = ["small<2"]\n')
    lib = f'[project]\nname = "lib"\nversion = "3"\ndependencies = ["leaf"]\n{BUILD_SYSTEM}'
    project(tmp_path / "libs/lib", lib, backend=BACKEND)
    app = project(
        tmp_path / "libs/app",
        '[project]\nname = "app"\nversion = "1"\ndependencies = ["lib", "small"]\n[tool.uv.sources]\nlib = { workspace = true }\n',
    )
    request = lock_request(app, MINOR)
    lock = lock_for(request)
    assert pins(lock)["small"] == "1.0"
    found = {item.name: item for item in select(lock, AMD64).distributions}
    assert (found["lib"].kind, found["lib"].path) == ("directory", tmp_path / "libs/lib")
    project(tmp_path / "libs/lib", lib.replace("leaf", "tool"))
    assert not lock.is_current(inputs_digest(read_again(request)))


def test_locks_requirements_in_every_form(tmp_path: Path) -> None:
    project(tmp_path / "here", f'[project]\nname = "made"\nversion = "1.0"\ndynamic = ["dependencies"]\n{BUILD_SYSTEM}', backend=BACKEND)
    project(tmp_path / "plain", '[project]\nname = "Plain_One"\nversion = "1.0"\ndependencies = ["tool"]\n')
    wheel = SmallWheel("local", files={"local.py": ""})
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / wheel.filename).write_bytes(wheel.content())
    other = SmallWheel("found", files={"found.py": ""})
    (tmp_path / "wheels" / other.filename).write_bytes(other.content())
    (tmp_path / "limits.txt").write_text("small<2\n")
    text = f"-c limits.txt\n--find-links wheels\n-e ./here\n./plain ; python_version > '3'\nwheels/{wheel.filename}\nfound\n"
    lock = lock_for(listed(tmp_path, ("\ufeff" + text).encode("utf-16-le")))
    assert pins(lock) | {"made": "", "plain-one": ""} == pins(lock)
    assert set(pins(lock)) == {"made", "plain-one", "small", "leaf", "tool", "local", "found"}
    assert pins(lock)["small"] == "1.0"
    assert lock.roots["made"] == "requirements.txt, line 3"
    assert lock.roots["plain-one"] == "requirements.txt, line 4"
    text = lock.path.read_text()
    assert "file:" not in text and str(tmp_path) not in text and "shipwheel-lock" not in text
    paths = {item.name: item.path for item in select(lock, AMD64).distributions}
    assert paths["made"] == tmp_path / "here" and paths["found"] == tmp_path / "wheels" / other.filename
    assert not list(tmp_path.rglob("*.egg-info"))


def test_leaves_windows_packages_out_of_a_pinned_list(tmp_path: Path) -> None:
    lock = lock_for(listed(tmp_path, "wintool==1.0\r\nsmall==1.0\r\nleaf==1.0\r\ntool==1.0\r\n"))
    assert lock.frozen
    found = select(lock, AMD64)
    assert [item.name for item in found.distributions] == ["leaf", "small", "tool"]
    assert [(item.name, item.wanted_by) for item in found.left_out] == [("wintool", ("requirements.txt, line 1",))]


def test_reports_a_requirement_that_needs_windows(tmp_path: Path) -> None:
    lock = make_lock(listed(tmp_path, "small\nwintool\n"))
    with pytest.raises(LockError, match=r"wintool 1\.0 has no file for .*: its wheels are for Windows only") as raised:
        select(lock, AMD64)
    assert "required by: requirements.txt, line 2" in raised.value.message
    assert "shipwheel-lock" not in raised.value.message and "/tmp" not in raised.value.message
    assert "marker" in raised.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("small==9\n", "no version of small==9"),
        ("nothing-of-that-name\n", "not found on the package index: nothing-of-that-name"),
        ("leaf<7\nconflict\n", "conflict requires leaf>=7"),
    ],
)
def test_shows_uvs_explanation(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LockError) as raised:
        lock_for(listed(tmp_path, text))
    assert message in " ".join(raised.value.message.split())
    assert raised.value.message.startswith("requirements.txt cannot be locked")
    assert raised.value.hint
    assert tree(tmp_path) == {"requirements.txt"}


def test_reports_a_package_without_wheels_for_this_python(tmp_path: Path) -> None:
    lock = make_lock(listed(tmp_path, "old\nwantsold\n"))
    with pytest.raises(LockError, match=f"old 1.0 has no file for .*: no wheel is for Python {MINOR}") as raised:
        select(lock, AMD64)
    assert "cp38-cp38-manylinux_2_17_x86_64" in raised.value.message
    assert "--python" in raised.value.hint
    with pytest.raises(LockError) as raised:
        select(make_lock(listed(tmp_path, "wantsold==1.0\n")), AMD64)
    assert "required by: requirements.txt, line 1 → wantsold 1.0 → old 1.0" in raised.value.message


def test_reports_all_packages_without_wheels_for_this_python(tmp_path: Path) -> None:
    with pytest.raises(LockError) as raised:
        select(make_lock(listed(tmp_path, "wantsold==1.0\nelderly==1.0\nsmall\n")), AMD64)
    assert "old 1.0 has no file" in raised.value.message and "elderly 1.0 has no file" in raised.value.message


def test_locks_packages_without_wheels_that_another_lock_names(tmp_path: Path) -> None:
    """Its versions overrule the metadata of packages, and must not ask again for those that are left out."""
    request = listed(tmp_path, "wantsold==1.0\nold==1.0\nelderly==1.0\nsmall==2.0\n")
    contents = resolve(request, declared_requirements(request), override=True)
    assert {package["name"] for package in contents.pylock["packages"]} >= {"wantsold", "old", "elderly", "small"}


def test_leaves_windows_packages_for_other_pythons_out_of_a_pinned_list(tmp_path: Path) -> None:
    frozen = listed(tmp_path, "small==2.0\nleaf==1.0\nwinold==1.0\n")
    selection = select(make_lock(frozen), AMD64)
    assert [item.name for item in selection.distributions] == ["leaf", "small"]
    assert [item.name for item in selection.left_out] == ["winold"]


def test_reports_wheels_for_another_python_beside_a_source(tmp_path: Path, index: PackageIndex) -> None:
    index.add("aged-1.0.tar.gz", _sdist("aged"))
    with pytest.raises(LockError, match=f"aged 1.0 has no file for .*: no wheel is for Python {MINOR}") as raised:
        select(make_lock(listed(tmp_path, "aged\n")), AMD64)
    assert "cp38-cp38-manylinux_2_17_x86_64" in raised.value.message


def test_needs_no_interpreter_of_the_version(tmp_path: Path) -> None:
    lock = make_lock(replace(listed(tmp_path, "small\n"), python="3.99"))
    assert pins(lock) == {"small": "2.0", "leaf": "1.0"}
    assert lock.data["requires-python"] == "==3.99.*"


def test_allows_only_files_with_listed_hashes(tmp_path: Path, index: PackageIndex) -> None:
    lock = make_lock(listed(tmp_path, "leaf==1.0\n"))
    (sha256,) = [item.sha256 for item in select(lock, AMD64).distributions]
    assert pins(make_lock(listed(tmp_path, f"leaf==1.0 --hash=sha256:{'0' * 64} --hash=sha256:{sha256}\n"))) == {"leaf": "1.0"}
    with pytest.raises(LockError, match=r"leaf 1\.0: no file"):
        make_lock(listed(tmp_path, f"leaf==1.0 --hash=sha256:{'0' * 64}\n"))


def test_a_replaced_package_needs_no_hash_of_the_old_version(tmp_path: Path) -> None:
    text = f"small==1.0 --hash=sha256:{'0' * 64}\n"
    assert pins(make_lock(listed(tmp_path, text, replaced={"Small": "small==2.0"}))) == {"small": "2.0", "leaf": "1.0"}


def test_resolves_as_of_a_day(tmp_path: Path) -> None:
    lock = make_lock(listed(tmp_path, "small\nleaf\n", as_of="2024-09-15"))
    assert (pins(lock)["small"], lock.as_of) == ("2.0", "2024-09-15")
    with pytest.raises(LockError):
        make_lock(listed(tmp_path, "small==2.0\n", as_of="2022-05-31"))


def test_keeps_a_current_lock_without_running_uv(tmp_path: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    request = listed(tmp_path, "small\n")
    first = lock_for(request)
    before = len(index.requests)
    monkeypatch.setattr(uv, "run", None)
    assert lock_for(request).text() == first.text()
    assert len(index.requests) == before


def test_digest_changes_with_the_relevant_tables_only(tmp_path: Path) -> None:
    text = '[project]\nname = "app"\nversion = "1"\ndescription = "a"\ndependencies = ["small"]\n'
    project(tmp_path, text)
    request = lock_request(tmp_path, MINOR)
    before = inputs_digest(request)
    project(tmp_path, text.replace('"a"', '"b"').replace('version = "1"', 'version = "2"') + "[tool.ruff]\nline-length = 9\n")
    assert inputs_digest(read_again(request)) == before
    project(tmp_path, text)
    changed = [
        lock_request(tmp_path, "3.99"),
        lock_request(tmp_path, MINOR, as_of="2024-01-01"),
        lock_request(tmp_path, MINOR, extras=("x",)),
        lock_request(tmp_path, MINOR, groups=("x",)),
    ]
    assert len({before, *map(inputs_digest, changed)}) == 5
    project(tmp_path, text.replace("small", "leaf"))
    assert inputs_digest(read_again(request)) != before
    project(tmp_path, text + '[tool.uv]\nprerelease = "allow"\n')
    assert inputs_digest(read_again(request)) != before


def test_digest_changes_with_an_included_file(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("leaf\n")
    request = listed(tmp_path, "-r more.txt\n")
    before = inputs_digest(request)
    (tmp_path / "more.txt").write_text("tool\n")
    assert inputs_digest(read_again(request)) != before


def test_takes_the_versions_of_uv_lock(tmp_path: Path) -> None:
    text = '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.8"\ndependencies = ["small{}"]\n'
    text += '[dependency-groups]\ndev = ["tool"]\n'
    project(tmp_path, text.format("<2"))
    assert uv.run(["lock"], cwd=tmp_path).code == 0
    locked = (tmp_path / "uv.lock").read_bytes()
    project(tmp_path, text.format(""))
    (tmp_path / "uv.lock").write_bytes(locked.replace(b'specifier = "<2"', b"").replace(b'{ name = "small",  }', b'{ name = "small" }'))
    kept = (tmp_path / "uv.lock").read_bytes()
    request = lock_request(tmp_path, MINOR)
    lock = lock_for(request)
    assert pins(lock) | {"small": "1.0", "leaf": "1.0"} == pins(lock)
    assert "tool" not in pins(lock) and lock.origin == "uv.lock" and set(lock.roots) == {"small"}
    assert (tmp_path / "uv.lock").read_bytes() == kept
    added = make_lock(lock_request(tmp_path, MINOR, added=("tool",)))
    assert (pins(added)["small"], pins(added)["tool"]) == ("1.0", "1.0")
    replaced = make_lock(lock_request(tmp_path, MINOR, replaced={"Small": "small==2.0"}))
    assert pins(replaced)["small"] == "2.0"
    assert pins(make_lock(lock_request(tmp_path, MINOR, as_of="2024-01-01")))["small"] == "2.0"
    project(tmp_path, text.format(">=2"))
    seen: list[Event] = []
    moved = make_lock(read_again(request), seen.append)
    assert pins(moved)["small"] == "2.0" and moved.origin == "uv.lock"
    assert any("does not match pyproject.toml" in event.message for event in seen if isinstance(event, Warned))


def test_a_uv_lock_of_a_project_that_was_renamed_keeps_its_versions(tmp_path: Path) -> None:
    text = '[project]\nname = "{}"\nversion = "1"\nrequires-python = ">=3.8"\ndependencies = ["small{}"]\n'
    project(tmp_path, text.format("template", "<2"))
    assert uv.run(["lock"], cwd=tmp_path).code == 0
    project(tmp_path, text.format("shop", ""))
    seen: list[Event] = []
    lock = make_lock(lock_request(tmp_path, MINOR), seen.append)
    assert pins(lock)["small"] == "1.0"
    assert any("does not match pyproject.toml" in event.message for event in seen if isinstance(event, Warned))


def test_a_poetry_lock_without_what_was_added_keeps_its_versions(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.poetry]\npackage-mode = false\n[tool.poetry.dependencies]\nsmall = "*"\ntool = "*"\n')
    locked = '[[package]]\nname = "small"\nversion = "1.0"\npython-versions = "*"\nfiles = []\n\n'
    (tmp_path / "poetry.lock").write_text(f'{locked}[metadata]\nlock-version = "2.0"\npython-versions = "*"\ncontent-hash = "old"\n')
    seen: list[Event] = []
    lock = make_lock(lock_request(tmp_path, MINOR), seen.append)
    assert (pins(lock)["small"], pins(lock)["tool"], lock.origin) == ("1.0", "1.0", "poetry.lock")
    assert any("lacks tool of pyproject.toml" in event.message for event in seen if isinstance(event, Warned))


def test_a_uv_lock_that_the_check_cannot_judge_keeps_its_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """uv checks with an interpreter, and the project may allow none that there is."""
    text = '[project]\nname = "{}"\nversion = "1"\nrequires-python = ">=3.8"\ndependencies = ["small{}"]\n'
    project(tmp_path, text.format("template", "<2"))
    assert uv.run(["lock"], cwd=tmp_path).code == 0
    project(tmp_path, text.format("shop", ""))
    monkeypatch.setattr(uv, "lock_is_outdated", lambda *_: False)
    assert pins(make_lock(lock_request(tmp_path, MINOR)))["small"] == "1.0"


def test_a_uv_lock_of_other_requirements_is_outdated_also_where_uv_cannot_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """uv asks the index that the project names, and that may be out of reach."""
    text = '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.8"\ndependencies = ["small{}", "leaf>=1,<3"]\n'
    project(tmp_path, text.format("==1.0"))
    assert uv.run(["lock"], cwd=tmp_path).code == 0
    monkeypatch.setattr(uv, "lock_is_outdated", lambda *_: False)
    seen: list[Event] = []
    assert pins(make_lock(lock_request(tmp_path, MINOR, added=("tool",)), seen.append))["small"] == "1.0"
    assert not [event for event in seen if isinstance(event, Warned)]
    project(tmp_path, text.format("==2.0"))
    assert pins(make_lock(lock_request(tmp_path, MINOR, added=("tool",)), seen.append))["small"] == "2.0"
    assert [event.message.split()[0] for event in seen if isinstance(event, Warned)] == ["uv.lock"]


def test_a_uv_lock_says_nothing_of_the_version_that_is_required_of_a_directory(tmp_path: Path) -> None:
    project(tmp_path / "lib", '[project]\nname = "lib"\nversion = "1.5"\n')
    source = '[tool.uv.sources]\nlib = {path = "../lib"}\n'
    text = f'[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.8"\ndependencies = ["lib>=1.0", "small==1.0"]\n{source}'
    project(tmp_path / "app", text)
    assert uv.run(["lock"], cwd=tmp_path / "app").code == 0
    seen: list[Event] = []
    assert pins(make_lock(lock_request(tmp_path / "app", MINOR), seen.append))["small"] == "1.0"
    assert not [event for event in seen if isinstance(event, Warned)]


def test_takes_what_old_pins_require_as_of_their_day(index: PackageIndex, tmp_path: Path) -> None:
    for wheel, day in (
        (SmallWheel("web", "1.0", files={"web.py": ""}, requires=("engine>=1",)), "2020-06-01"),
        (SmallWheel("engine", "1.5", files={"engine.py": ""}), "2020-05-01"),
        (SmallWheel("engine", "2.0", files={"engine.py": ""}), "2024-05-01"),
    ):
        index.add(wheel.filename, wheel.content(), uploaded=f"{day}T00:00:00Z")
    seen: list[Event] = []
    lock = make_lock(listed(tmp_path, "web==1.0\n"), seen.append)
    assert pins(lock) == {"web": "1.0", "engine": "1.5"}
    [warning] = [event.message for event in seen if isinstance(event, Warned)]
    assert warning == "requirements.txt pins versions of 2020-06-01 and before: what they require is of that time, too (engine 1.5)"
    lock.write()
    again = lock_for(listed(tmp_path, "web==1.0\nleaf\n"))
    assert pins(again)["engine"] == "1.5", "a lock keeps its versions"
    assert [each.packages_of for each in (lock, again)] == ["2021-03-14"] * 2
    beside = listed(tmp_path, "web==1.0\n")
    beside = replace(beside, inputs=msgspec.structs.replace(beside.inputs, pins=Pins((("web", "1.0"),), "Pipfile.lock")))
    assert pins(make_lock(beside))["engine"] == "1.5", "pins beside the requirements are no lock that stays as it is"
    assert pins(make_lock(listed(tmp_path, "web==1.0\n", as_of="2026-01-01")))["engine"] == "2.0"
    assert pins(make_lock(listed(tmp_path, "web>=1.0\n")))["engine"] == "2.0"
    upgraded = renewed(listed(tmp_path, "web==1.0\n"), lock, upgrade=Upgrade(everything=True))
    assert (pins(upgraded)["engine"], upgraded.packages_of) == ("2.0", "")


@pytest.mark.parametrize(("lines", "version"), [("web==1.0\n", "0.16"), ("web==1.0\nwerkzeug\n", "1.0")])
def test_releases_that_broke_older_pins_are_not_taken_for_them(index: PackageIndex, tmp_path: Path, lines: str, version: str) -> None:
    werkzeug = (("0.16", "2020-01-31"), ("1.0", "2020-02-06"), ("3.0", "2024-01-01"))
    for name, number, day in (("web", "1.0", "2018-06-01"), *(("werkzeug", *each) for each in werkzeug)):
        wheel = SmallWheel(name, number, files={f"{name}.py": ""}, requires=("werkzeug",) if name == "web" else ())
        index.add(wheel.filename, wheel.content(), uploaded=f"{day}T00:00:00Z")
    assert pins(make_lock(listed(tmp_path, lines)))["werkzeug"] == version


def test_a_requirement_for_a_release_that_broke_older_pins_leaves_their_day(index: PackageIndex, tmp_path: Path) -> None:
    pinned = (("portal", "1.0", "2018-06-01", "motor"), ("motor", "1.0", "2018-01-01", ""), ("motor", "2.0", "2025-01-01", ""))
    newer = (("auth", "4.0", "2021-02-01", "pyjwt>=2"), ("pyjwt", "1.7", "2018-01-01", ""), ("pyjwt", "2.0", "2020-12-22", ""))
    for name, version, day, required in (*pinned, *newer):
        wheel = SmallWheel(name, version, files={f"{name}.py": ""}, requires=(required,) if required else ())
        index.add(wheel.filename, wheel.content(), uploaded=f"{day}T00:00:00Z")
    assert pins(make_lock(listed(tmp_path, "portal==1.0\nauth>=4\n"))) == {"portal": "1.0", "motor": "1.0", "auth": "4.0", "pyjwt": "2.0"}


@pytest.mark.parametrize(("day", "names"), [("2022-05-01", {"web", "server", "setuptools"}), ("2024-05-01", {"web", "server"})])
def test_environments_of_an_old_lock_had_setuptools(index: PackageIndex, tmp_path: Path, day: str, names: set[str]) -> None:
    """Pipenv, Poetry and PDM lock what a project requires; their environments had setuptools as well, and so pkg_resources."""
    for name, version, uploaded in (("web", "1.0", day), ("server", "1.0", "2026-01-01"), ("setuptools", "60.0", "2022-01-01")):
        wheel = SmallWheel(name, version, files={f"{name}.py": ""})
        index.add(wheel.filename, wheel.content(), uploaded=f"{uploaded}T00:00:00Z")
    (tmp_path / "Pipfile").write_text('[packages]\nweb = "*"\n')
    (tmp_path / "Pipfile.lock").write_text('{"_meta": {}, "default": {"web": {"version": "==1.0"}}}')
    lock = make_lock(lock_request(tmp_path, MINOR, added=("server",)))
    assert lock.origin == "Pipfile.lock" and pins(lock).keys() == names


@pytest.mark.parametrize(("line", "web", "packages_of"), [("web\n", "0.9", "2021-03-14"), ("web>=1\n", "1.0", "")])
def test_takes_versions_that_have_what_the_code_uses(index: PackageIndex, tmp_path: Path, line: str, web: str, packages_of: str) -> None:
    versions = (("web", "0.9", "2019-01-01"), ("web", "1.0", "2020-03-01"), ("other", "1.0", "2020-03-01"), ("other", "2.0", "2026-01-01"))
    for package, version, day in versions:
        wheel = SmallWheel(package, version, files={"any.py": ""})
        index.add(wheel.filename, wheel.content(), uploaded=f"{day}T00:00:00Z")
    name = OldName("web.gone", "app.py, line 1,", date(2020, 2, 1), "web 1.0", "web", "web<1.0")
    seen: list[Event] = []
    lock = make_lock(listed(tmp_path, f"{line}other\n", old_names=(name,)), seen.append)
    assert (pins(lock)["web"], lock.packages_of) == (web, packages_of)
    assert pins(lock)["other"] == ("1.0" if packages_of else "2.0")
    warnings = [event.message for event in seen if isinstance(event, Warned)]
    assert [message.startswith("app.py, line 1, uses web.gone, which web 1.0 and later") for message in warnings] == [True] * bool(
        packages_of
    )


@pytest.mark.parametrize(("lines", "version"), [("", "1.0"), ("still\n", "2.0")])
def test_what_the_code_imports_is_as_old_as_the_code_if_nothing_lists_it(
    index: PackageIndex, tmp_path: Path, lines: str, version: str
) -> None:
    days = {"1.0": "2019-01-01", "2.0": "2026-01-01"}
    for package, number in (("web", "1.0"), ("web", "2.0"), ("other", "1.0"), ("other", "2.0"), ("still", "1.0")):
        wheel = SmallWheel(package, number, files={f"{package}.py": ""})
        index.add(wheel.filename, wheel.content(), uploaded=f"{days[number]}T00:00:00Z")
    name = OldName("web.gone", "app.py, line 1,", date(2020, 2, 1), "web 2.0", "web", "web<2.0")
    lock = make_lock(listed(tmp_path, lines, old_names=(name,), added=("web", "other")))
    assert (pins(lock)["web"], pins(lock)["other"]) == ("1.0", version)


def test_says_nothing_of_an_old_day_that_moves_nothing(index: PackageIndex, tmp_path: Path) -> None:
    for name, version, day in (("still", "1.0", "2020-06-01"), ("server", "1.0", "2020-06-01"), ("server", "2.0", "2024-05-01")):
        wheel = SmallWheel(name, version, files={f"{name}.py": ""})
        index.add(wheel.filename, wheel.content(), uploaded=f"{day}T00:00:00Z")
    seen: list[Event] = []
    assert pins(make_lock(listed(tmp_path, "still==1.0\n", added=("server",)), seen.append))["server"] == "2.0"
    assert [event.message for event in seen if isinstance(event, Warned)] == []


def test_rejects_a_uv_lock_for_another_python(tmp_path: Path) -> None:
    project(tmp_path, f'[project]\nname = "app"\nversion = "1"\nrequires-python = ">={MINOR}"\ndependencies = ["leaf"]\n')
    assert uv.run(["lock"], cwd=tmp_path).code == 0
    with pytest.raises(LockError, match=r"not 3\.8"):
        make_lock(lock_request(tmp_path, "3.8"))


def test_takes_the_versions_of_another_tools_pylock(tmp_path: Path) -> None:
    lock = make_lock(listed(tmp_path, "small==1.0\n"))
    data = {key: value for key, value in lock.data.items() if key != "tool"}
    theirs = Lock(tmp_path / "pylock.toml", data | {"created-by": "other"}).text()
    (tmp_path / "pylock.toml").write_text(theirs)
    made = lock_for(listed(tmp_path, "small\n"))
    assert made.path.name == "pylock.shipwheel.toml" and pins(made)["small"] == "1.0"
    assert (tmp_path / "pylock.toml").read_text() == theirs
    assert tomllib.loads(made.path.read_text())["created-by"] == "shipwheel"


@pytest.mark.parametrize("added", [(), ("tool",)])
def test_names_a_pylock_that_is_not_valid(tmp_path: Path, added: tuple[str, ...]) -> None:
    (tmp_path / "pylock.toml").touch()
    with pytest.raises(LockError, match=r"^pylock\.toml is not a valid lock") as raised:
        lock_for(replace(listed(tmp_path, "small\n"), added=added))
    assert raised.value.hint == "Restore pylock.toml, or delete it and build again."
    assert not (tmp_path / "pylock.shipwheel.toml").exists()


def test_the_same_inputs_give_the_same_lock(tmp_path: Path) -> None:
    one, two = (tmp_path / name for name in ("one", "two"))
    one.mkdir()
    two.mkdir()
    assert make_lock(listed(one, "small\ntool\n")).text() == make_lock(listed(two, "small\ntool\n")).text()


def test_rejects_a_pyproject_without_a_project(tmp_path: Path) -> None:
    project(tmp_path, "[tool.ruff]\n")
    with pytest.raises(ProjectError, match=r"no \[project\] table"):
        make_lock(lock_request(tmp_path, MINOR))


def test_keeps_credentials_out_of_the_lock_and_of_errors(tmp_path: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    secret = index.simple.replace("://", "://someone:secret@")
    lock = lock_for(listed(tmp_path, f"--index-url {secret}\nleaf\n"))
    assert "secret" not in lock.text()
    with pytest.raises(LockError) as raised:
        lock_for(listed(tmp_path, f"--index-url {secret}\nnothing-there\n"))
    assert "secret" not in raised.value.message + raised.value.hint


def test_does_not_take_a_source_beside_windows_wheels_for_pure_python(tmp_path: Path, index: PackageIndex) -> None:
    index.add("winsource-1.0.tar.gz", _sdist("winsource"))
    lock = make_lock(listed(tmp_path, "winsource\n"))
    with pytest.raises(LockError, match=r"winsource-1\.0\.tar\.gz is not used"):
        select(lock, AMD64)
    assert [item.name for item in select(make_lock(listed(tmp_path, "winsource==1.0\n")), AMD64).left_out] == ["winsource"]


def _sdist(project: str) -> bytes:
    metadata = f"Metadata-Version: 2.2\nName: {project}\nVersion: 1.0\n"
    return packed(project, "1.0", {"PKG-INFO": metadata, "pyproject.toml": BUILD_SYSTEM})


@pytest.mark.online
def test_locks_the_flagship_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    (tmp_path / "requirements.txt").write_text("langchain-chatchat==0.3.1.3\n")
    lock = make_lock(lock_request(tmp_path, "3.11", (tmp_path / "requirements.txt",), as_of="2024-09-15"))
    targets = [Target(Platform("linux", name), "3.11.2", (2, 36)) for name in ("amd64", "arm64")]
    amd64, arm64 = select_all(lock, targets)
    assert [item.label for item in amd64.distributions] == [item.label for item in arm64.distributions]
    assert 181 <= len(amd64.distributions) <= 184
    assert {item.name for item in amd64.distributions if item.kind == "sdist"} == {"jieba", "langdetect", "memoization", "streamlit-modal"}


@pytest.mark.online
def test_locks_a_real_freeze_from_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    text = "pywin32==306\npywinpty==2.0.13\ncolorama==0.4.6\npyreadline3==3.4.1\nclick==8.1.7\nnumpy==1.26.4\n"
    (tmp_path / "requirements.txt").write_bytes(text.encode("utf-16"))
    found = select(
        make_lock(lock_request(tmp_path, "3.11", (tmp_path / "requirements.txt",))), Target(Platform("linux", "arm64"), "3.11.2", (2, 36))
    )
    assert [item.name for item in found.left_out] == ["pywin32", "pywinpty"]
    assert {item.name for item in found.distributions} == {"colorama", "pyreadline3", "click", "numpy", "setuptools"}
    (tmp_path / "requirements.txt").write_text("psycopg2==2.9.9\n")
    with pytest.raises(LockError, match="psycopg2"):
        select(
            make_lock(lock_request(tmp_path, "3.11", (tmp_path / "requirements.txt",))),
            Target(Platform("linux", "arm64"), "3.11.2", (2, 36)),
        )
