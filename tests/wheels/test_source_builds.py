"""Wheels from source: built once, isolated, deterministic, and pure Python only."""

import gzip
import io
import os
import stat
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import msgspec
import pytest
from support.digests import sha256_of
from support.lock_requests import lock_request
from support.programs import needs

from shipwheel.digest import Digest, digest_of
from shipwheel.errors import BuildError
from shipwheel.events import Event, StageFinished, StageStarted, Warned
from shipwheel.locking.bounds import Bounds
from shipwheel.locking.selection import LockedDistribution
from shipwheel.project.source_copy import private_copy, read_source_tree, tree_digest
from shipwheel.store.store import Store
from shipwheel.user.files import UserFiles
from shipwheel.wheels.isolated_build import BuildOptions
from shipwheel.wheels.source_builds import build_project_wheel, build_pure_wheel

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
DAY = "2024-09-15"
OPTIONS = BuildOptions(MINOR, DAY)
SYSTEM = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
PROJECT = '[project]\nname = "made"\nversion = "1.0"\n'

BACKEND = """
import os, pathlib, subprocess, zipfile
TAG = "py3-none-any"
COMPILE = ""
def build_wheel(folder, config_settings=None, metadata_directory=None):
    pathlib.Path("build").mkdir(exist_ok=True)
    pathlib.Path("made.egg-info").write_text("left behind")
    if COMPILE:
        subprocess.run([os.environ.get("CC", "cc") if COMPILE == "must" else COMPILE, "x.c"], check=COMPILE == "must")
    name = f"made-1.0-{TAG}.whl"
    facts = {key: os.environ.get(key) for key in ("SOURCE_DATE_EPOCH", "PYTHONHASHSEED", "TZ", "PYTHONPATH")}
    facts["umask"] = os.umask(0o22)
    facts["git"] = pathlib.Path(".git").exists()
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as archive:
        for path, text in {
            "made.py": repr(facts),
            "made-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: made\\nVersion: 1.0\\n",
            "made-1.0.dist-info/WHEEL": f"Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: {TAG}\\n",
            "made-1.0.dist-info/RECORD": "",
        }.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return name
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(autouse=True)
def own_uv(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "uv-cache"))
    monkeypatch.setenv("UV_OFFLINE", "1")


def project(root: Path, *, backend: str = BACKEND, text: str = PROJECT) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "pyproject.toml").write_text(text + SYSTEM)
    (root / "backend.py").write_text(backend)
    return root


def sdist(store: Store, backend: str = BACKEND) -> LockedDistribution:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in {
            "PKG-INFO": "Metadata-Version: 2.1\nName: made\nVersion: 1.0\n",
            "pyproject.toml": SYSTEM,
            "backend.py": backend,
        }.items():
            info = tarfile.TarInfo(f"made-1.0/{name}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    digest = store.add(gzip.compress(out.getvalue(), mtime=0))
    return LockedDistribution("made", "1.0", "sdist", "made-1.0.tar.gz", sha256=sha256_of(digest))


def facts(store: Store, digest: Digest) -> dict[str, object]:
    with zipfile.ZipFile(io.BytesIO(store.read(digest))) as archive:
        found: dict[str, object] = eval(archive.read("made.py"))
        return found


def test_builds_an_sdist_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "700000000")
    old = os.umask(0o077)
    events: list[Event] = []
    try:
        built = build_pure_wheel(sdist(store), store, OPTIONS, reporter=events.append)
    finally:
        os.umask(old)
    assert (built.filename, built.size) == ("made-1.0-py3-none-any.whl", len(store.read(built.digest)))
    assert facts(store, built.digest) == {
        "SOURCE_DATE_EPOCH": "700000000",
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
        "PYTHONPATH": None,
        "umask": 0o022,
        "git": False,
    }
    assert events == [StageStarted("made 1.0", detail=True), StageFinished("made 1.0", "made 1.0")]
    assert build_pure_wheel(sdist(store), store, OPTIONS, reporter=events.append) == built
    assert len(events) == 2
    store.discard(built.digest)
    assert build_pure_wheel(sdist(store), store, OPTIONS, reporter=events.append) == built
    assert len(events) == 4


def test_a_source_whose_build_never_ends_is_stopped(store: Store) -> None:
    endless = f"import time\ntime.sleep(999)\n{BACKEND}"
    with pytest.raises(BuildError, match=r"made 1\.0 cannot be built: its build was stopped after 0 minutes") as raised:
        build_pure_wheel(sdist(store, endless), store, BuildOptions(MINOR, DAY, bounds=Bounds(seconds=0)))
    assert "max-minutes" in raised.value.hint


def test_another_day_gives_another_build(store: Store) -> None:
    events: list[Event] = []
    for day in (DAY, "2024-09-16"):
        build_pure_wheel(sdist(store), store, BuildOptions(MINOR, day), reporter=events.append)
    assert len(events) == 4


@pytest.mark.parametrize("tag", ["cp311-cp311-linux_x86_64", "py3-none-manylinux_2_17_x86_64", "py3-none-win32"])
def test_rejects_a_platform_wheel(store: Store, tag: str) -> None:
    with pytest.raises(BuildError, match=r"made 1\.0 builds a platform wheel") as raised:
        build_pure_wheel(sdist(store, BACKEND.replace("py3-none-any", tag)), store, OPTIONS)
    assert "Choose a version that has wheels" in raised.value.hint


def test_rejects_a_package_that_must_compile(store: Store) -> None:
    with pytest.raises(BuildError, match=r"made 1\.0 needs a compiler"):
        build_pure_wheel(sdist(store, BACKEND.replace('COMPILE = ""', 'COMPILE = "must"')), store, OPTIONS)


@pytest.mark.parametrize("compiler", ["gcc", "cargo", "x86_64-linux-gnu-gcc"])
def test_a_package_that_may_compile_becomes_pure(store: Store, compiler: str) -> None:
    built = build_pure_wheel(sdist(store, BACKEND.replace('COMPILE = ""', f"COMPILE = {compiler!r}")), store, OPTIONS)
    assert built.filename == "made-1.0-py3-none-any.whl"


def test_explains_a_failed_build(store: Store) -> None:
    broken = BACKEND.replace("    name = ", '    raise ValueError("the reason")\n    name = ')
    with pytest.raises(BuildError, match=r"made 1\.0 cannot be built") as raised:
        build_pure_wheel(sdist(store, broken), store, OPTIONS)
    assert "the reason" in raised.value.message and raised.value.hint


def snapshot(root: Path) -> dict[str, tuple[int, bytes]]:
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in root.rglob("*") if path.is_file()}


def test_leaves_the_user_s_tree_alone(tmp_path: Path, store: Store) -> None:
    root = project(tmp_path / "app")
    (root / ".venv").mkdir()
    (root / ".venv" / "pyvenv.cfg").write_text("")
    before = snapshot(root)
    built = build_project_wheel(read_source_tree(root, UserFiles()), store, OPTIONS)
    assert snapshot(root) == before
    assert not (root / "build").exists()
    (root / ".venv" / "more").write_text("")
    events: list[Event] = []
    assert build_project_wheel(read_source_tree(root, UserFiles()), store, OPTIONS, reporter=events.append) == built
    assert not events
    (root / "new.py").write_text("")
    build_project_wheel(read_source_tree(root, UserFiles()), store, OPTIONS, reporter=events.append)
    assert events


def test_what_a_build_requires_beyond_what_it_states_is_installed(tmp_path: Path, store: Store) -> None:
    extra = 'extra-build-dependencies = {"Made" = ["absent-1", {requirement = "absent-2", match-runtime = true}], other = ["no"]}'
    root = project(tmp_path / "app", text=f"{PROJECT}[tool.uv]\n{extra}\n")
    options = BuildOptions(MINOR, DAY, build_requirements={"made": ("absent-3",), "other": ("no",)})
    tree = read_source_tree(root, UserFiles())
    own = msgspec.structs.replace(options, settings=tree.settings)
    assert own.build_requirements_of("made") == ("absent-1", "absent-2", "absent-3")
    with pytest.raises(BuildError, match="absent-"):
        build_project_wheel(tree, store, options)


def _dependency(folder: Path) -> Path:
    """Write a wheel of the module `needed` into a directory."""
    folder.mkdir()
    info = "needed-2.0.dist-info"
    with zipfile.ZipFile(folder / "needed-2.0-py3-none-any.whl", "w") as archive:
        archive.writestr("needed.py", "x = 1\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: needed\nVersion: 2.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return folder


def test_a_build_gets_what_it_imports_and_the_project_requires(tmp_path: Path, store: Store) -> None:
    settings = f'[tool.uv]\nno-index = true\nfind-links = ["{_dependency(tmp_path / "wheels")}"]\n'
    root = project(tmp_path / "app", backend=f"import needed\n{BACKEND}", text=PROJECT + settings)
    options, events = BuildOptions(MINOR, "", stated=("other", "needed>=1")), list[Event]()
    built = build_project_wheel(read_source_tree(root, UserFiles()), store, options, reporter=events.append)
    assert built.filename == "made-1.0-py3-none-any.whl"
    assert [event.message for event in events if isinstance(event, Warned)] == [
        "the build of the project made needs what it does not require: needed>=1 is installed for it"
    ]


@pytest.mark.parametrize("stated", [(), ("other",), ("absent",)])
def test_a_build_that_imports_what_nobody_has_fails(tmp_path: Path, store: Store, stated: tuple[str, ...]) -> None:
    root = project(tmp_path / "app", backend=f"import absent\n{BACKEND}", text=PROJECT + "[tool.uv]\nno-index = true\n")
    with pytest.raises(BuildError, match="absent"):
        build_project_wheel(read_source_tree(root, UserFiles()), store, BuildOptions(MINOR, "", stated=stated))


def test_records_the_data_files_that_the_projects_wheel_lacks(tmp_path: Path, store: Store) -> None:
    root = project(tmp_path / "app", backend=BACKEND.replace('"made.py"', '"made/__init__.py"'))
    (root / "made" / "templates").mkdir(parents=True)
    for name in ("__init__.py", "templates/today.html"):
        (root / "made" / name).write_text("")
    built = build_project_wheel(read_source_tree(root, UserFiles()), store, OPTIONS)
    assert built.unpackaged == ("made/templates/today.html",)
    assert built.files == ("made/__init__.py",)


def test_a_workspace_member_finds_its_workspace(tmp_path: Path, store: Store) -> None:
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["libs/*"]\n')
    (tmp_path / "ws" / "shared.txt").write_text("x")
    reads = BACKEND.replace("    name = ", '    pathlib.Path("../../shared.txt").read_text()\n    name = ')
    root = project(tmp_path / "ws" / "libs" / "made", backend=reads)
    assert build_project_wheel(read_source_tree(root, UserFiles()), store, OPTIONS).filename == "made-1.0-py3-none-any.whl"
    item = LockedDistribution("made", "", "directory", path=root)
    assert build_pure_wheel(item, store, OPTIONS).filename == "made-1.0-py3-none-any.whl"


def test_rejects_a_project_that_builds_a_platform_wheel(tmp_path: Path, store: Store) -> None:
    root = project(tmp_path / "app", backend=BACKEND.replace("py3-none-any", "py3-none-linux_x86_64"))
    with pytest.raises(BuildError, match="the project made builds a platform wheel"):
        build_project_wheel(read_source_tree(root, UserFiles()), store, OPTIONS)


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=n", "-c", "user.email=e@x.invalid", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@needs("git")
def test_copies_the_history_if_the_version_may_need_it(tmp_path: Path, store: Store) -> None:
    root = project(tmp_path / "app")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "x")
    assert facts(store, build_project_wheel(read_source_tree(root, UserFiles()), store, OPTIONS).digest)["git"] is False
    project(root, text='[project]\nname = "made"\ndynamic = ["version"]\n')
    events: list[Event] = []
    assert (
        facts(store, build_project_wheel(read_source_tree(root, UserFiles()), store, OPTIONS, reporter=events.append).digest)["git"] is True
    )
    build_project_wheel(read_source_tree(root, UserFiles()), store, OPTIONS, reporter=events.append)
    assert len(events) == 2
    git(root, "commit", "--quiet", "-am", "y")
    build_project_wheel(read_source_tree(root, UserFiles()), store, OPTIONS, reporter=events.append)
    assert len(events) == 4


@needs("git")
def test_builds_a_repository_of_the_lock(tmp_path: Path, store: Store) -> None:
    root = project(tmp_path / "remote" / "py").parent
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "x")
    commit = git(root, "rev-parse", "HEAD")
    (root / "py" / "backend.py").write_text("broken")
    git(root, "commit", "--quiet", "-am", "y")
    item = LockedDistribution("made", "1.0", "vcs", urls=(root.as_uri(),), subdirectory="py", commit=commit)
    assert build_pure_wheel(item, store, OPTIONS).filename == "made-1.0-py3-none-any.whl"
    gone = LockedDistribution("made", "1.0", "vcs", urls=((tmp_path / "gone").as_uri(),), commit=commit)
    with pytest.raises(BuildError, match="cannot read its repository"):
        build_pure_wheel(gone, store, OPTIONS)


def test_a_lock_that_shipwheel_made_makes_no_other_wheel(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    root.mkdir()
    (root / "shop.py").write_text("")
    (root / "setup.py").write_text("")
    (root / "templates").mkdir()
    (root / "templates/shipwheel.toml").write_text("state = []\n")
    before = tree_digest(root)
    for name in ("pylock.toml", "pylock.server.toml"):
        (root / name).write_text('lock-version = "1.0"\ncreated-by = "shipwheel"\n[tool.shipwheel]\n')
    (root / "shipwheel.toml").write_text("state = []\n")
    assert tree_digest(root) == before
    with private_copy(root) as copy:
        assert {path.name for path in copy.iterdir()} == {"shop.py", "setup.py", "templates"}
        assert (copy / "templates/shipwheel.toml").is_file(), "it is data of the package"
    with private_copy(root, history=True) as copy:
        assert (copy / "pylock.toml").is_file(), "git would call the tree changed"
    (root / "pylock.toml").write_text('lock-version = "1.0"\ncreated-by = "pdm"\n')
    assert tree_digest(root) != before


def test_a_private_copy_leaves_out_caches_and_environments(tmp_path: Path) -> None:
    root = tmp_path / "app"
    for name in (
        "a.py",
        "sub/b.py",
        "__pycache__/c.pyc",
        "env/pyvenv.cfg",
        "env/x",
        "build/lib/d.py",
        "pkg/build/e.py",
        ".git/HEAD",
        "x.egg-info/y",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "link").symlink_to("gone")
    os.mkfifo(root / "pipe")
    kept = {"a.py", "sub/b.py", "pkg/build/e.py", "link"}
    with private_copy(root) as copy:
        assert {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_symlink() or not path.is_dir()} == kept
        assert tree_digest(copy) == tree_digest(root)
        (copy / "a.py").write_text("changed")
        assert tree_digest(copy) != tree_digest(root)
    assert not copy.exists()
    with private_copy(root, history=True) as copy:
        assert (copy / ".git" / "HEAD").is_file()


@pytest.mark.parametrize(
    ("text", "beside", "completed"),
    [
        ('[tool.poetry]\nname = "a"', (), True),
        ("[tool.poetry]\npackage-mode = false", (), False),
        ('[tool.poetry]\nname = "a"', ("setup.py",), False),
        ('[tool.poetry]\nname = "a"\n[build-system]\nrequires = []', (), False),
        ('[project]\nname = "a"\n[tool.poetry]\nname = "a"', (), False),
        ("[tool.poetry", (), False),
        ("a = " + "[" * 9999, (), False),
        ('\ufeff[tool.poetry]\nname = "a"', (), True),
    ],
)
def test_a_private_copy_names_the_build_backend_that_poetry_uses(
    tmp_path: Path, text: str, beside: tuple[str, ...], *, completed: bool
) -> None:
    for name in beside:
        (tmp_path / name).touch()
    (tmp_path / "pyproject.toml").write_text(text)
    with private_copy(tmp_path) as copy:
        assert ("poetry.core.masonry.api" in (copy / "pyproject.toml").read_text()) is completed
    assert (tmp_path / "pyproject.toml").read_text() == text


@pytest.mark.parametrize(("setup_cfg", "backend"), [("[flake8]\n", "poetry.core.masonry.api"), ("[metadata]\n", "setuptools.build_meta")])
def test_poetry_uses_its_own_backend_where_setuptools_knows_no_name(tmp_path: Path, setup_cfg: str, backend: str) -> None:
    system = '[build-system]\nrequires = [\n  "setuptools",\n]\nbuild-backend = "setuptools.build_meta"\n'
    text = f'[tool.poetry]\nname = "a"\n{system}[[tool.x]]\ny = 1\n[ tool.z ]\n'
    (tmp_path / "pyproject.toml").write_text(text)
    (tmp_path / "setup.cfg").write_text(setup_cfg)
    with private_copy(tmp_path) as copy:
        tables = tomllib.loads((copy / "pyproject.toml").read_text())
    assert tables["build-system"]["build-backend"] == backend
    assert tables["tool"] == {"poetry": {"name": "a"}, "x": [{"y": 1}], "z": {}}


@pytest.mark.online
def test_builds_a_real_sdist(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from shipwheel.download.fetch import Download, fetch
    from shipwheel.locking.make import make_lock
    from shipwheel.locking.selection import select
    from shipwheel.locking.target import Target
    from shipwheel.platform import Platform

    monkeypatch.delenv("UV_OFFLINE")
    (tmp_path / "requirements.txt").write_text("memoization==0.4.0\n")
    request = lock_request(tmp_path, "3.11", (tmp_path / "requirements.txt",), as_of=DAY)
    (item,) = select(make_lock(request), Target(Platform("linux", "arm64"), "3.11.2", (2, 36))).distributions
    assert item.digest is not None
    fetch([Download(item.urls, item.digest, item.size, item.label)], store)
    built = [
        build_pure_wheel(item, Store(tmp_path / name), BuildOptions("3.11", DAY))
        for name in ("store", "other")
        if _copied(item, store, tmp_path / name)
    ]
    assert built[0] == built[1] and built[0].filename == "memoization-0.4.0-py3-none-any.whl"


def _copied(item: LockedDistribution, store: Store, root: Path) -> bool:
    """A store that has the sdist."""
    assert item.digest is not None
    data = store.read(item.digest)
    return Store(root).add(data) == digest_of(data)


def test_a_private_copy_names_the_build_backend_in_a_file_that_is_read_only(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.poetry]\nname = "a"\n')
    (tmp_path / "pyproject.toml").chmod(0o444)
    with private_copy(tmp_path) as copy:
        assert (copy / "pyproject.toml").stat().st_mode & stat.S_IWUSR
