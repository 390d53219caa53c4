"""The loop of `shipwheel dev`, with a bench that builds nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipwheel.cli.dev_session import DevSession
from shipwheel.dev.changes import Watched
from shipwheel.dev.seen_files import SeenFiles
from shipwheel.errors import BuildError
from shipwheel.project.project import Project
from shipwheel.project.read import read_project


class Image(msgspec.Struct, frozen=True):
    project: Project
    digest: str


class Bench:
    """Starts no process. `build` is what a build does."""

    engine = None

    def __init__(self, build: Callable[[], Image]) -> None:
        self.build = build

    def processes(self, _image: Image) -> tuple[()]:
        return ()


class Silent:
    def note(self, *_: str) -> None: ...

    def warn(self, *_: str) -> None: ...


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "requirements.txt").write_text("flask\n")
    (tmp_path / "app.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
    return tmp_path


def session(app: Path, build: Callable[[], Image]) -> Any:
    made: Any = DevSession(Bench(build), Silent())  # type: ignore[arg-type]
    made._watched = Watched.of(read_project(app))
    made._files = SeenFiles(made._watched)
    return made


def test_what_is_saved_during_a_build_is_built_next(app: Path) -> None:
    def build() -> Image:
        image = Image(read_project(app), "after")
        (app / "requirements.txt").write_text("flask\nredis\n")
        return image

    dev = session(app, build)
    paths = [str(app / "requirements.txt")]
    (app / "requirements.txt").write_text("flask\nhttpx\n")
    dev._rebuild(Image(read_project(app), "before"), dev._saved(paths))
    assert dev._saved(paths).rebuilding == ("requirements.txt",)
    assert not dev._saved(paths)


def test_what_could_not_be_built_is_tried_again_when_it_is_saved_again(app: Path) -> None:
    def build() -> Image:
        raise BuildError("the network is down")

    dev = session(app, build)
    paths = [str(app / "requirements.txt")]
    (app / "requirements.txt").write_text("flask\nhttpx\n")
    dev._rebuild(Image(read_project(app), "before"), dev._saved(paths))
    assert dev._saved(paths).rebuilding == ("requirements.txt",)
