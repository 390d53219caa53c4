"""The indexes of a project where one of them cannot be reached."""

import pytest

from shipwheel.download.mirrors import _PYTHONS_DOMAIN as PYTHONS_DOMAIN
from shipwheel.download.mirrors import MIRRORS
from shipwheel.project.indexes import Indexes, read_indexes

MIRROR = next(mirror.index for mirror in MIRRORS if mirror.index)
PUBLIC, PRIVATE = "https://index.example/simple", "https://corp.example/simple"


def test_the_index_takes_the_place_of_a_mirror_that_the_requirements_name() -> None:
    found = read_indexes({}, {}, listed=f"{MIRROR}/").without_mirror(f"{MIRROR}/flask/", (), PUBLIC)
    assert found is not None and (found.default, found.environment) == (PUBLIC, {"UV_DEFAULT_INDEX": PUBLIC})
    assert found.without_mirror(f"{MIRROR}/flask/", (), PUBLIC) is None


def test_the_index_takes_the_place_of_a_named_mirror_among_others() -> None:
    listed = [{"name": "corp", "url": PRIVATE}, {"name": "fast", "url": MIRROR}]
    found = Indexes(environment={"UV_INDEX": PRIVATE}).without_mirror(f"{MIRROR}/flask/", listed, PUBLIC)
    assert found is not None and found.environment == {"UV_INDEX": f"fast={PUBLIC} {PRIVATE}"}
    assert found.without_mirror(f"{MIRROR}/flask/", listed, PUBLIC) is None


def test_the_index_takes_the_place_of_its_former_address() -> None:
    former = PUBLIC.replace("index.example", f"pypi{PYTHONS_DOMAIN}")
    found = read_indexes({}, {}, listed=former).without_mirror(f"{former}/flask/", (), PUBLIC)
    assert found is not None and found.default == PUBLIC
    other = former.replace("//", "//test")
    assert read_indexes({}, {}, listed=other).without_mirror(f"{other}/flask/", (), PUBLIC) is None


@pytest.mark.parametrize("failed", [f"{PRIVATE}/flask/", ""])
def test_nothing_takes_the_place_of_another_index(failed: str) -> None:
    settings = {"index": [{"name": "corp", "url": PRIVATE, "default": True}]}
    assert read_indexes(settings, {}).without_mirror(failed, settings["index"], PUBLIC) is None
    assert Indexes().without_mirror(f"{MIRROR}/flask/", [{"url": MIRROR}], PUBLIC) is None
    assert read_indexes({}, {"UV_DEFAULT_INDEX": MIRROR}).without_mirror(f"{MIRROR}/flask/", (), PUBLIC) is None


def test_nothing_takes_the_place_of_other_packages_on_the_server_of_a_mirror() -> None:
    wheels = f"{MIRROR.rpartition('/simple')[0]}/whl/cu128"
    assert Indexes().without_mirror(f"{wheels}/torch/", [{"name": "torch", "url": wheels}], PUBLIC) is None
    listed = [{"name": "torch", "url": wheels}, {"name": "fast", "url": MIRROR}]
    found = Indexes().without_mirror(f"{MIRROR}/flask/", listed, PUBLIC)
    assert found is not None and found.environment == {"UV_INDEX": f"fast={PUBLIC}"}
