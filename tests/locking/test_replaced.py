"""The setting `replace`: another package takes the place of one, whatever depends on it."""

import pytest
from msgspec.structs import replace

from shipwheel.locking.replaced import with_replaced
from shipwheel.locking.synthetic import Synthetic
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import World

PROJECT = Synthetic("3.13", "requirements.txt", ("uWSGI==2.0.30", "flask>=3"))


def test_the_version_of_the_other_is_kept() -> None:
    found = with_replaced(PROJECT, {"uwsgi": "pyuwsgi"})
    assert found.dependencies == ("uWSGI==2.0.30", "flask>=3", "pyuwsgi==2.0.30")
    assert found.settings == {"override-dependencies": ["uwsgi ; python_version < '0'"]}


@pytest.mark.parametrize("text", ["pyuwsgi>=2.0.26", "pyuwsgi@ https://host.example/pyuwsgi-1-py3-none-any.whl"])
def test_a_stated_version_wins(text: str) -> None:
    assert with_replaced(PROJECT, {"uwsgi": text}).dependencies[-1] == text.replace("@ ", " @ ")


def test_an_override_of_the_other_goes() -> None:
    pinned = replace(PROJECT, settings={"override-dependencies": ["uwsgi==2.0.30", "flask==3.0"]})
    assert with_replaced(pinned, {"uWSGI": "pyuwsgi"}).settings["override-dependencies"] == ["flask==3.0", "uwsgi ; python_version < '0'"]


def test_another_version_of_the_same_package_overrules_what_is_required() -> None:
    found = with_replaced(PROJECT, {"uwsgi": "uwsgi==2.0.31"})
    assert found.settings == {"override-dependencies": ["uwsgi==2.0.31"]}


@pytest.mark.parametrize(
    ("text", "locked"),
    [
        ("celery==5.4", "celery[redis,sqs]==5.4"),
        ("celery[pytest]==5.4", "celery[pytest]==5.4"),
        ("other==1", "celery ; python_version < '0'"),
    ],
)
def test_another_version_has_the_extras_that_the_project_requires(text: str, locked: str) -> None:
    project = replace(PROJECT, dependencies=("Celery[redis]==4.4", "celery[sqs]", "flask"))
    assert with_replaced(project, {"celery": text}).settings == {"override-dependencies": [locked]}


def test_nothing_is_replaced_by_default() -> None:
    assert with_replaced(PROJECT, {}) is PROJECT


def test_the_lock_has_the_replacement_also_for_those_who_depend_on_the_other(world: World) -> None:
    world.add(SmallWheel("needy", requires=["large"]), SmallWheel("large"))
    place = world.app("needy\nsmall\n", settings='[replace]\nlarge = "tiny"\n')
    assert world.run("lock", place).code == 0
    text = (place / "pylock.toml").read_text()
    assert 'name = "tiny"' in text and 'name = "large"' not in text
    assert world.run("lock", place, "--check").code == 0
    (place / "shipwheel.toml").write_text((place / "shipwheel.toml").read_text().partition("[replace]")[0])
    checked = world.run("lock", place, "--check")
    assert checked.code != 0 and "what settings replace" in checked.out + checked.err
