"""Which builds in pure Python are given up for one by the image's own Python."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shipwheel.errors import BuildError
from shipwheel.events import silent
from shipwheel.pipeline import compiled_builds
from shipwheel.pipeline.compiled_builds import CompiledBuilds
from shipwheel.wheels.isolated_build import BackendFailed


@pytest.mark.parametrize(
    ("minor", "here", "sandbox", "again"),
    [
        ("3.9", None, "bwrap", True),
        ("3.9", Path("/usr/bin/python3.9"), "bwrap", False),
        ("3.99", None, "bwrap", False),
        ("3.9", None, None, False),
    ],
    ids=["a newer Python failed", "the image's version failed", "an older Python failed", "nothing confines the image's"],
)
def test_an_old_source_is_built_by_the_python_of_the_image(
    monkeypatch: pytest.MonkeyPatch, minor: str, here: Path | None, sandbox: str | None, again: bool
) -> None:
    monkeypatch.setattr(compiled_builds, "local_python", lambda _minor: here)
    monkeypatch.setattr(compiled_builds, "find_sandbox", lambda: sandbox)
    resolution: Any = SimpleNamespace(lock=SimpleNamespace(compiled={}), platforms=())
    unused: Any = None
    options: Any = SimpleNamespace(minor=minor)
    builds = CompiledBuilds(resolution, unused, unused, silent, options, need_bytes=True)
    source: Any = SimpleNamespace(name="old")

    def pure() -> Any:
        raise BackendFailed("old 1.0 cannot be built: global flags not at the start of the expression", hint="")

    if again:
        assert builds._pure_or_compiled(source, (), "old", pure) is None
    else:
        with pytest.raises(BuildError, match="global flags"):
            builds._pure_or_compiled(source, (), "old", pure)
