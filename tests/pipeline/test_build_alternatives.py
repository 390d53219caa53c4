"""The error of a source that cannot be built names what has wheels instead, on all of the platforms."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shipwheel.errors import BuildError
from shipwheel.events import silent
from shipwheel.locking.no_compatible_file import Alternatives, NoCompatibleFile
from shipwheel.locking.pylock import Lock
from shipwheel.locking.target import Target
from shipwheel.pipeline import alternatives
from shipwheel.pipeline.alternatives import build_error_with_alternatives
from shipwheel.platform import Platform

TARGETS = [Target(Platform("linux", architecture), "3.11.2", (2, 36)) for architecture in ("amd64", "arm64")]
FAILED = BuildError("far 1.0 cannot be compiled", hint="See its output.")


def file(name: str) -> dict[str, Any]:
    return {"url": f"https://files.invalid/{name}", "size": 7, "hashes": {"sha256": "CD" * 32}}


def explained(monkeypatch: pytest.MonkeyPatch, found: Alternatives, *tags: str, **source: Any) -> tuple[BuildError, list[NoCompatibleFile]]:
    asked: list[NoCompatibleFile] = []

    def answer(error: NoCompatibleFile, _project: object, _reporter: object) -> NoCompatibleFile:
        asked.append(error)
        return NoCompatibleFile(error.missing, error.targets, dict.fromkeys(error.missing, found))

    monkeypatch.setattr(alternatives, "with_alternatives", answer)
    wheels = {"wheels": [file(f"far-1.0-{tag}.whl") for tag in tags]} if tags else {}
    package = {"name": "far", "version": "1.0", **wheels, **(source or {"sdist": file("far-1.0.tar.gz")})}
    tool = {"frozen": False, "origin": "requirements.txt", "roots": {}, "compiled": {"far": []}}
    data = {"lock-version": "1.0", "created-by": "shipwheel", "packages": [package], "tool": {"shipwheel": tool}}
    resolution: Any = SimpleNamespace(
        lock=Lock(Path("/project/pylock.toml"), data), platforms=[SimpleNamespace(target=target) for target in TARGETS], project=None
    )
    return build_error_with_alternatives(FAILED, "far", resolution, silent), asked


def test_what_serves_all_platforms_is_asked_for_even_if_one_has_a_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    error, (asked,) = explained(monkeypatch, Alternatives(known=True, older="0.9"), "cp311-cp311-manylinux_2_17_x86_64")
    assert list(asked.missing.values()) == [TARGETS]
    assert error.message.splitlines() == [
        FAILED.message,
        "  required by: requirements.txt",
        "  nearest versions with files: 0.9 (older)",
    ]
    assert error.hint == "See its output. Or choose far 0.9."


def test_a_package_with_wheels_for_windows_alone_may_get_a_marker(monkeypatch: pytest.MonkeyPatch) -> None:
    error, _ = explained(monkeypatch, Alternatives(known=True, sibling="far-binary 1.1"), "cp311-cp311-win_amd64")
    assert "Or choose far-binary 1.1" in error.hint and error.hint.endswith("Windows only (far ; sys_platform == 'win32').")


def test_a_source_of_no_index_has_no_alternatives(monkeypatch: pytest.MonkeyPatch) -> None:
    assert explained(monkeypatch, Alternatives(), directory={"path": "far"}) == (FAILED, [])
