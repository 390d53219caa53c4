"""The package index for tests: the files it lists, and that uv accepts it."""

import hashlib
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipwheel.testing.package_index import Fault, PackageIndex
from shipwheel.testing.wheels import SmallWheel

BASE = SmallWheel(name="small_base", files={"small_base.py": "VALUE = 1\n"})
TOP = SmallWheel(name="Small.Top", files={"small_top.py": "import small_base\n"}, requires=["small-base>=1"], requires_python=">=3.9")


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    with PackageIndex() as running:
        running.add(BASE.filename, BASE.content())
        running.add(TOP.filename, TOP.content(), uploaded="2024-03-01T00:00:00Z")
        yield running


def read(url: str, accept: str = "text/html") -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, headers={"Accept": accept})) as response:
        text: bytes = response.read()
    return text.decode()


def test_the_index_as_json(index: PackageIndex) -> None:
    kind = "application/vnd.pypi.simple.v1+json"
    assert [item["name"] for item in json.loads(read(index.simple, kind))["projects"]] == ["small-base", "small-top"]
    (found,) = json.loads(read(f"{index.simple}small-top/", kind))["files"]
    assert found["filename"] == TOP.filename
    assert found["hashes"] == {"sha256": hashlib.sha256(TOP.content()).hexdigest()}
    assert found["size"] == len(TOP.content())
    assert found["requires-python"] == ">=3.9"
    assert found["upload-time"] == "2024-03-01T00:00:00Z"
    metadata = read(found["url"] + ".metadata")
    assert "Name: Small.Top" in metadata
    assert found["core-metadata"] == {"sha256": hashlib.sha256(metadata.encode()).hexdigest()}


def test_the_index_as_html(index: PackageIndex) -> None:
    assert re.findall(r'href="([^"]*)"', read(index.simple)) == ["/simple/small-base/", "/simple/small-top/"]
    text = read(f"{index.simple}small-top/")
    assert f"{index.url}/files/{TOP.filename}#sha256={hashlib.sha256(TOP.content()).hexdigest()}" in text
    assert 'data-requires-python="&gt;=3.9"' in text
    assert f">{TOP.filename}</a>" in text


def test_what_is_not_there(index: PackageIndex) -> None:
    for path in ("/simple/other/", "/files/other", "/"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            read(index.url + path)


def test_faults_end(index: PackageIndex) -> None:
    index.fault("/simple/", Fault(times=2, status=503, headers={"X-Why": "test"}))
    for _ in range(2):
        with pytest.raises(urllib.error.HTTPError, match="503") as caught:
            read(index.simple)
        assert caught.value.headers["X-Why"] == "test"
        caught.value.close()
    assert "small-base" in read(index.simple)
    assert index.count("/simple/") == 3


def test_uv_installs_from_it(index: PackageIndex, tmp_path: Path) -> None:
    target = tmp_path / "there"
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-config", "--python", sys.executable]
    command += ["--index-url", index.simple, "--exclude-newer", "2024-06-01", "--target", str(target), "small-top"]
    environment = {**os.environ, "UV_CACHE_DIR": str(tmp_path / "cache"), "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"small_base.py", "small_top.py"} <= {path.name for path in target.iterdir()}
    assert index.count(f"/files/{BASE.filename}") >= 1
