"""The large example in a real registry: no machine makes, reads or sends again what was pushed before."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from support.command import TEST_CACHE, shipwheel_json
from support.engines import Registry
from support.examples import Example

OTHER = """
[project]
name = "figures"
version = "1"
requires-python = "==3.11.*"
dependencies = ["numpy=={numpy}", "pandas=={pandas}"]

[tool.shipwheel]
as-of = "2024-09-15"
command = ["python", "/app/figures.py"]
"""
KIB = 1 << 10

Push = Callable[..., "Pushed"]


class Pushed:
    """A push: the command's result, and the requests that the registry logged."""

    def __init__(self, result: dict[str, Any], log: str) -> None:
        """Read the command's document and the part of the registry's log."""
        self.digest: str = result["digest"]
        self.traffic: dict[str, int] = result["pushed"]
        self.layers = {layer["digest"]: layer["name"] for image in result["images"] for layer in image["layers"]}
        self.requests = [_request(line) for line in log.splitlines() if 'msg="response completed' in line]

    def count(self, method: str) -> int:
        """Return the number of requests with a method."""
        return sum(method == one for one, _, _ in self.requests)

    def blobs(self, method: str, status: str, where: str) -> set[str]:
        """Return the digests in the URLs of requests with a method and a status."""
        found = [re.search(where, unquote(address)) for one, address, code in self.requests if (one, code) == (method, status)]
        return {match[1] for match in found if match}

    @property
    def read(self) -> set[str]:
        """The blobs that were downloaded."""
        return self.blobs("GET", "200", r"/blobs/(sha256:\w+)")

    @property
    def sent(self) -> set[str]:
        """The blobs that were uploaded."""
        return self.blobs("PUT", "201", r"/uploads/.*[?&]digest=(sha256:\w+)")

    @property
    def mounted(self) -> set[str]:
        """The blobs that the registry mounted from another repository."""
        return self.blobs("POST", "201", r"[?&]mount=(sha256:\w+)")


def _request(line: str) -> tuple[str, str, str]:
    """Parse a line of the log. Return method, URL and status."""
    words = [re.search(rf'http\.{name}="?([^" ]+)', line) for name in (r"request\.method", r"request\.uri", r"response\.status")]
    assert all(words), line
    return tuple(word[1] if word else "" for word in words)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def push(registry: Registry) -> Push:
    """A function that builds a project and pushes it to a repository."""

    def pushed(project: Path, name: str, store: Path = TEST_CACHE) -> Pushed:
        seen = len(registry.logs())
        result = shipwheel_json("build", project, "--push", "--tag", f"{registry.host}/{name}", store=store)
        return Pushed(result, registry.logs()[seen:])

    return pushed


@pytest.fixture(scope="module")
def first(chatchat: Example, push: Push) -> Pushed:
    """The first push of examples/chatchat, to an empty repository."""
    return push(chatchat.project, "team/chatchat:1")


def test_the_first_push_uploads_each_layer_once(first: Pushed, chatchat: Example) -> None:
    assert first.digest == chatchat.result["digest"]
    assert first.sent >= set(first.layers)
    assert not first.mounted
    assert first.count("PUT") < len(first.sent) + 8, "each once, and the documents"


def test_a_second_push_takes_six_short_requests(first: Pushed, chatchat: Example, push: Push) -> None:
    again = push(chatchat.project, "team/chatchat:1")
    assert again.digest == first.digest
    assert sorted(method for method, _, _ in again.requests) == ["DELETE", "GET", "GET", "GET", "HEAD", "POST"], (
        "an upload is started and cancelled, the tag's manifests are read, and the tag still stands for them"
    )
    assert again.traffic["uploaded"] == again.traffic["mounted"] == 0


def test_a_fresh_machine_reads_documents_only(first: Pushed, chatchat: Example, push: Push, tmp_path: Path) -> None:
    done = push(chatchat.project, "team/chatchat:1", store=tmp_path / "store")
    assert done.digest == first.digest
    assert done.traffic["uploaded"] == done.traffic["mounted"] == 0
    assert {method for method, _, _ in done.requests} == {"DELETE", "GET", "HEAD", "POST"}
    assert not done.read & set(first.layers)
    assert len(done.read) <= 3, "two configs, and what is known of builds of sources"
    assert done.traffic["read"] < 256 * KIB
    kept = sum(path.stat().st_size for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert kept < 1024 * KIB, "and nothing was fetched from anywhere else"


def test_mounts_the_layers_of_another_project(first: Pushed, chatchat: Example, push: Push, tmp_path: Path) -> None:
    versions = chatchat.image("linux/amd64")["distributions"]
    (tmp_path / "pyproject.toml").write_text(OTHER.format(**{name: versions[name] for name in ("numpy", "pandas")}))
    (tmp_path / "figures.py").write_text("import pandas\n\nprint(pandas.Series([1, 2]).sum())\n")
    other = push(tmp_path, "figures/figures:1")
    theirs = {digest for digest, name in other.layers.items() if name in {f"numpy {versions['numpy']}", f"pandas {versions['pandas']}"}}
    assert len(theirs) == 4, "a layer each, for both platforms"
    shared = set(other.layers) & set(first.layers)
    assert theirs <= shared
    assert other.mounted == shared
    assert not other.sent & shared
