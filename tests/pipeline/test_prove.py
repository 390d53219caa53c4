"""What is remembered of a proof never changes what a build says: after every edit it is what a store that remembers nothing says."""

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest
from support.digests import ANY
from support.project_tree import written

from shipwheel.errors import ShipwheelError
from shipwheel.events import Event
from shipwheel.files.entry import Source
from shipwheel.files.segment import Segment, make_segment
from shipwheel.oci.layer import LayerSpec
from shipwheel.pipeline.app_source import AppSource, CopiedSource
from shipwheel.pipeline.context import BuildContext
from shipwheel.pipeline.prove import is_proved, prove_image
from shipwheel.pipeline.stages import Closed
from shipwheel.platform import Platform
from shipwheel.project.app_tree import AppTree, list_app
from shipwheel.project.project import Project
from shipwheel.project.read import read_project
from shipwheel.settings.settings import Settings
from shipwheel.store.store import Store
from shipwheel.testing.debian import shared_object
from shipwheel.testing.world import MINOR

WHEEL = Segment(
    "wheel",
    "small 1.0",
    ANY,
    0,
    0,
    {"app/shared": zlib.crc32(b"a"), "opt/venv/bin/python": 0, f"opt/venv/lib/python{MINOR}/site-packages/small.py": 0},
    {},
    {},
    (),
)
BEFORE = {"main.py": b"import small\n", "helper.py": b"", "native.so": b"", "data/page.html": b"one", "data/copied": b"one"}
EDITS = {
    "main.py": [b"import small  # again\n", b"\nimport small\n", b"", b"import nowhere\n", b"import helper\n", b"import helper, small\n"],
    "helper.py": [b"import nowhere\n", b"import ctypes\nctypes.CDLL('libnowhere.so.1')\n"],
    "native.so": [shared_object(needed=needed, architecture=name) for name in ("amd64", "arm64") for needed in ((), ("libnowhere.so.1",))],
    "shared": [b"a", b"b"],
    "data/page.html": [b"two"],
    "data/copied": [b"two"],
    "data/new": [b""],
}
"""Each file, and the contents that it gets in turn."""


class Layers(msgspec.Struct):
    """What a build knows of its layers: the segments of the project as they are made, and of a wheel."""

    store: Store
    described: int = 0

    def known_segments(self, spec: LayerSpec) -> list[Segment] | None:
        return [self._segment(source) for source in spec.sources]

    def describe(self, specs: Iterable[LayerSpec]) -> list[Segment]:
        self.described += 1
        return [segment for spec in specs for segment in self.known_segments(spec) or ()]

    def _segment(self, source: Source) -> Segment:
        return make_segment(source, self.store) if isinstance(source, AppSource) else WHEEL


class Machine(msgspec.Struct):
    """A store that proves images, and what it says."""

    store: Store
    layers: Layers

    def say(self, root: Path) -> tuple[list[str], str]:
        """Return the warnings and the error of an image of a project."""
        project = read_project(root, Settings(command=("python", "main.py"), python=MINOR))
        said: list[str] = []

        def report(event: Event) -> None:
            said.append(str(event))

        context = SimpleNamespace(project=project, store=self.store, reporter=report, supply=self.layers, destination=None)
        platform = closed(project)
        try:
            prove_image(cast(BuildContext, context), platform)
        except ShipwheelError as error:
            return said, error.message
        assert is_proved(cast(BuildContext, context), platform)
        return said, ""


def machine(folder: Path) -> Machine:
    store = Store(folder)
    return Machine(store, Layers(store))


def closed(project: Project) -> Closed:
    """Return a platform with a wheel, the project's files, and one of them at another place."""
    base = SimpleNamespace(init_path="", parent=None, image=None, missing_libraries=())
    resolved = SimpleNamespace(target=SimpleNamespace(platform=Platform("linux", "amd64"), minor=MINOR), base=base)
    tree = list_app(project.root)
    copied = AppTree(tuple(file for file in tree.files if file.path == "data/copied"))
    sources = (AppSource("app", tree, "app", MINOR), CopiedSource("copies", copied, "", MINOR))
    layers = (
        LayerSpec("wheels", (cast(Source, SimpleNamespace(key="wheel", label="small")),)),
        *(LayerSpec(each.label, (each,)) for each in sources),
    )
    return Closed(resolved, (), layers)  # type: ignore[arg-type]


def put(root: Path, files: Mapping[str, bytes]) -> None:
    for path in root.rglob("*"):
        if path.is_file() and path.name != "requirements.txt":
            path.unlink()
    for name, data in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("project"), {"requirements.txt": "small\n"})


def test_a_machine_that_remembers_says_what_one_says_that_does_not(project: Path, tmp_path: Path) -> None:
    remembering, number = machine(tmp_path / "store"), 0
    for name, contents in EDITS.items():
        for data in contents:
            put(project, BEFORE)
            assert remembering.say(project) == ([], "")
            put(project, BEFORE | {name: data})
            number += 1
            assert remembering.say(project) == machine(tmp_path / str(number)).say(project), (name, data)


def test_an_edit_without_a_change_of_what_is_looked_at_is_not_proved_again(project: Path, tmp_path: Path) -> None:
    known = machine(tmp_path / "store")
    put(project, BEFORE)
    known.say(project)
    described = known.layers.described
    put(project, BEFORE | {"main.py": b"import small\nprint('edited')\n"})
    assert known.say(project) == ([], "")
    assert known.layers.described == described
