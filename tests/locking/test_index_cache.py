"""Answers of the public index that uv keeps, and those of others that it does not."""

import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.lock_requests import lock_request
from support.uv_cache import new_uv_cache

from shipwheel.download import mirrors
from shipwheel.locking import index_cache, uv
from shipwheel.locking.index_cache import with_cache_control
from shipwheel.locking.make import make_lock
from shipwheel.project.indexes import Indexes
from shipwheel.testing.package_index import PackageIndex
from shipwheel.testing.wheels import SmallWheel

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
PUBLIC = uv.default_index()
MIRROR = next(mirror.index for mirror in mirrors.MIRRORS if mirror.index)
BACKEND = """\
    info = pathlib.Path(folder, "made-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: made\\nVersion: 1.0\\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    return info.name
"""
OWN: dict[str, Any] = {"url": "https://pypi.corp.test/simple", "default": True}


def controlled(settings: dict[str, Any], indexes: Indexes) -> list[str]:
    """The indexes with a rule, in the settings that are made."""
    return [index["url"] for index in with_cache_control(settings, indexes).get("index", []) if "cache-control" in index]


@pytest.mark.parametrize(
    ("settings", "indexes", "urls"),
    [
        ({}, Indexes(), [PUBLIC]),
        ({}, Indexes(MIRROR, "the chosen mirror"), []),
        ({"index": [{"url": MIRROR, "default": True}]}, Indexes(MIRROR, "the project's settings"), [MIRROR]),
        ({"index": [OWN]}, Indexes(OWN["url"], "the project's settings"), []),
        ({"index": [{"url": "https://pypi.corp.test/simple"}]}, Indexes(), [PUBLIC]),
        ({}, Indexes("https://bob:secret@pypi.corp.test/simple", "pip's settings"), []),
        ({"no-index": True}, Indexes("", "the project's settings"), []),
    ],
)  # fmt: skip
def test_the_public_index_and_its_mirrors_have_the_rule(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], indexes: Indexes, urls: list[str]
) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    assert controlled(settings, indexes) == urls
    monkeypatch.setenv("UV_DEFAULT_INDEX", str(OWN["url"]))
    assert PUBLIC not in controlled(settings, indexes)


def test_a_rule_of_the_user_stays() -> None:
    index = {"url": MIRROR, "cache-control": {"api": "max-age=1"}}
    assert with_cache_control({"index": [index]}, Indexes(OWN["url"], "UV_DEFAULT_INDEX"))["index"] == [index]


def test_a_backend_that_is_asked_for_a_name_asks_the_public_index_once(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_CACHE_DIR", new_uv_cache(tmp_path_factory))
    monkeypatch.setattr(index_cache, "is_index_mirror", lambda _url: True)
    backend = "def prepare_metadata_for_build_wheel(folder, config_settings=None):\n    import pathlib, tool\n" + BACKEND
    with PackageIndex() as index:
        wheel = SmallWheel("tool", files={"tool.py": ""})
        index.add(wheel.filename, wheel.content())
        root = tmp_path / "app"
        root.mkdir()
        (root / "backend.py").write_text(backend)
        system = '[build-system]\nrequires = ["tool"]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        (root / "pyproject.toml").write_text(f'{system}[[tool.uv.index]]\nurl = "{index.simple}"\ndefault = true\n')
        request = replace(lock_request(root, MINOR), indexes=Indexes(index.simple, "the project's settings"))
        make_lock(request)
        make_lock(request)
        assert index.count("/simple/tool/") == 1


@pytest.mark.parametrize("is_public", [True, False])
def test_a_lock_asks_the_public_index_for_a_page_once(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, is_public: bool
) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_CACHE_DIR", new_uv_cache(tmp_path_factory))
    monkeypatch.setattr(index_cache, "is_index_mirror", lambda _url: is_public)
    with PackageIndex() as index:
        wheel = SmallWheel(files={"small.py": ""})
        index.add(wheel.filename, wheel.content())
        (tmp_path / "requirements.txt").write_text(f"--index-url {index.simple}\nsmall\n")
        request = lock_request(tmp_path, MINOR, (tmp_path / "requirements.txt",))
        request = replace(request, indexes=Indexes(index.simple, "the requirements"))
        assert make_lock(request).data["packages"] == make_lock(request).data["packages"]
        assert index.count("/simple/small/") == (1 if is_public else 2)
