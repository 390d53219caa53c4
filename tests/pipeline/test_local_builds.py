"""Builds of sources whose build requirements come from an index that cannot be reached."""

from types import SimpleNamespace
from typing import Any

import pytest

from shipwheel.download.mirrors import MIRRORS
from shipwheel.errors import BuildError, ProjectWheelError
from shipwheel.events import Warned
from shipwheel.locking import uv
from shipwheel.locking.uv import index_variables
from shipwheel.locking.uv_output import Failure, FailureKind
from shipwheel.pipeline.local_builds import LocalBuilds
from shipwheel.project.indexes import Indexes, read_indexes
from shipwheel.wheels.isolated_build import RequirementsNotReached

MIRROR = next(mirror.index for mirror in MIRRORS if mirror.index)
PUBLIC = "https://index.example/simple"
FAILED = Failure(FailureKind.UNREACHABLE, "no route", unreachable=True, url=f"{MIRROR}/setuptools/")


class Builds(LocalBuilds):
    """Builds of a project with these indexes, of which the mirror gives no answer."""

    def __init__(self, indexes: Indexes) -> None:
        project = SimpleNamespace(inputs=SimpleNamespace(workspace=SimpleNamespace(settings={})))
        self.told: list[str] = []
        resolution: Any = SimpleNamespace(project=project)
        downloads: Any = SimpleNamespace(indexes=indexes)
        unused: Any = None
        super().__init__(resolution, downloads, unused, self._tell, 1)

    def _tell(self, event: object) -> None:
        assert isinstance(event, Warned)
        self.told.append(event.message)

    def asked(self) -> list[str]:
        """Return the indexes that two builds ask, one after the other."""
        found: list[str] = []

        def build() -> None:
            found.append(index_variables().get("UV_DEFAULT_INDEX", ""))
            if found[-1] != PUBLIC:
                error = RequirementsNotReached("demo 1.0", FAILED)
                raise ProjectWheelError(error.message) from error

        for _ in range(2):
            self._with_index(build)
        return found


def test_build_requirements_come_from_the_index_behind_a_mirror_that_is_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uv, "default_index", lambda: PUBLIC)
    builds = Builds(read_indexes({}, {}, listed=MIRROR))
    assert builds.asked() == ["", PUBLIC, PUBLIC]
    assert [line.partition(" cannot be reached")[0] for line in builds.told] == [f"{MIRROR.split('/')[2]}, which the project names,"]


def test_nothing_takes_the_place_of_an_index_that_somebody_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uv, "default_index", lambda: PUBLIC)
    builds = Builds(read_indexes({}, {"UV_DEFAULT_INDEX": MIRROR}))
    with pytest.raises(BuildError, match=r"demo 1.0 cannot be built: what its build requires cannot be installed: no route"):
        builds.asked()
    assert builds.told == []


def test_a_chosen_mirror_gives_way_to_the_next() -> None:
    builds = Builds(Indexes(MIRROR, "the chosen mirror", (PUBLIC,), {"UV_DEFAULT_INDEX": MIRROR}, is_chosen=True))
    assert builds.asked() == [MIRROR, PUBLIC, PUBLIC]
    assert len(builds.told) == 1
