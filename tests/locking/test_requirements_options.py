"""Options of requirements files: they work as in pip, or the error names the line of an unsupported one."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.lock_requests import lock_request
from support.sdist import packed
from support.uv_cache import new_uv_cache

from shipwheel.errors import LockError
from shipwheel.locking.make import make_lock
from shipwheel.locking.pylock import Lock
from shipwheel.project.requirements import read_requirements
from shipwheel.testing.package_index import PackageIndex
from shipwheel.testing.wheels import SmallWheel

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"


def sdist(name: str, version: str) -> bytes:
    """One whose metadata is static (2.2), so that nothing is built to know it."""
    metadata = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n"
    return packed(name, version, {"PKG-INFO": metadata, "pyproject.toml": f'[project]\nname = "{name}"\nversion = "{version}"\n'})


@pytest.fixture
def index(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    """`both` has wheel and source, the newest `late` is a source alone, `early` has wheels alone, one of them before its release."""
    with PackageIndex() as served:
        monkeypatch.setenv("UV_DEFAULT_INDEX", served.simple)
        monkeypatch.setenv("UV_CACHE_DIR", new_uv_cache(tmp_path_factory))
        monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
        for name, version in (("both", "1.0"), ("late", "1.0"), ("early", "1.0"), ("early", "2.0rc1")):
            wheel = SmallWheel(name, version, files={f"{name}.py": ""})
            served.add(wheel.filename, wheel.content())
        for name, version in (("both", "1.0"), ("late", "2.0")):
            served.add(f"{name}-{version}.tar.gz", sdist(name, version))
        yield served


def locked(root: Path, text: str) -> Lock:
    (root / "requirements.txt").write_text(text)
    return make_lock(lock_request(root, MINOR, (root / "requirements.txt",)))


def files(lock: Lock) -> dict[str, tuple[str, bool, bool]]:
    return {str(it["name"]): (it["version"], "wheels" in it, "sdist" in it) for it in lock.data["packages"]}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("both\n", {"both": ("1.0", True, True)}),
        ("--no-binary both\nboth\n", {"both": ("1.0", False, True)}),
        ("--no-binary=:all:\nboth\n", {"both": ("1.0", False, True)}),
        ("--no-binary :all: --only-binary early\nboth\nearly\n", {"both": ("1.0", False, True), "early": ("1.0", True, False)}),
        ("--no-binary both\n--no-binary :none:\nboth\n", {"both": ("1.0", True, True)}),
        ("--only-binary :all:\nboth\nlate\n", {"both": ("1.0", True, False), "late": ("1.0", True, False)}),
        ("both --no-binary both\n", {"both": ("1.0", True, True)}),
        ("--only-binary LATE,other\nlate\nboth\n", {"late": ("1.0", True, False), "both": ("1.0", True, True)}),
        ("--pre\nearly\n", {"early": ("2.0rc1", True, False)}),
        ("early\n", {"early": ("1.0", True, False)}),
        ("--prefer-binary\n--use-feature=fast-deps\n--trusted-host host.example\nearly\n", {"early": ("1.0", True, False)}),
    ],
)
def test_applies_format_options(index: PackageIndex, tmp_path: Path, text: str, wanted: dict[str, tuple[str, bool, bool]]) -> None:
    assert files(locked(tmp_path, text)) == wanted


@pytest.mark.parametrize("option", ["--no-binary early", "--no-binary :all:"])
def test_reports_a_package_without_an_allowed_format(index: PackageIndex, tmp_path: Path, option: str) -> None:
    with pytest.raises(LockError) as raised:
        locked(tmp_path, f"# two lines\n{option}\nearly==1.0\n")
    assert "early" in raised.value.message
    assert "line 2" in raised.value.message or "binar" in raised.value.message


def test_find_links_is_relative_to_its_file(index: PackageIndex, tmp_path: Path) -> None:
    wheel = SmallWheel("local", "3.0", files={"local.py": ""})
    (tmp_path / "more" / "wheels").mkdir(parents=True)
    (tmp_path / "more" / "wheels" / wheel.filename).write_bytes(wheel.content())
    (tmp_path / "more" / "base.txt").write_text("--find-links wheels\nlocal\n")
    lock = locked(tmp_path, "-r more/base.txt\nearly\n")
    [package] = [it for it in lock.data["packages"] if it["name"] == "local"]
    assert package["wheels"][0]["path"] == f"more/wheels/{wheel.filename}"


def test_find_links_may_be_a_page(index: PackageIndex, tmp_path: Path) -> None:
    with PackageIndex() as page:
        wheel = SmallWheel("local", "3.0", files={"local.py": ""})
        page.add(wheel.filename, wheel.content())
        lock = locked(tmp_path, f"-f {page.simple}local/\nlocal\n")
        [package] = lock.data["packages"]
        assert package["wheels"][0]["url"].startswith(page.url)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-r https://host.example/base.txt", ("--requirement", "URL", "save that file")),
        ("-c http://host.example/c.txt", ("--constraint", "URL")),
        ("both --config-settings=--x=y", ("--config-settings", "remove it")),
        ('both --global-option="--x"', ("--global-option",)),
        ("--no-binary", ("--no-binary needs a value",)),
        ("--wrong both", ("--wrong",)),
    ],
)
def test_names_the_line_of_an_unsupported_option(tmp_path: Path, line: str, words: tuple[str, ...]) -> None:
    (tmp_path / "requirements.txt").write_text(f"both\n\n{line}\n")
    with pytest.raises(LockError) as raised:
        read_requirements((tmp_path / "requirements.txt",))
    assert raised.value.message.startswith("requirements.txt, line 3: ")
    for word in words:
        assert word in raised.value.message


def test_the_index_of_a_requirements_file_is_the_only_default(index: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    source = f'[[tool.poetry.source]]\nname = "near"\nurl = "{index.simple}"\npriority = "primary"\n'
    (tmp_path / "pyproject.toml").write_text(f'[tool.poetry]\nname = "shop"\nversion = "1"\n{source}')
    assert [*files(locked(tmp_path, f"--index-url {index.simple}\nboth\n"))] == ["both"]


@pytest.mark.parametrize("line", ["-e /nowhere/own", "own @ file:///nowhere/own"])
def test_names_the_line_of_a_path_that_does_not_exist(tmp_path: Path, line: str) -> None:
    with pytest.raises(LockError, match=r"^requirements\.txt, line 2: /nowhere/own does not exist$"):
        locked(tmp_path, f"# one\n{line}\n")
