"""The day of an old project."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from shipwheel.locking.project_day import ProjectDay, day_of_commit, day_of_pins, old_packages_note

TODAY = date(2026, 11, 1)


def package(name: str, *years: int, version: str = "1.0", wheel: bool = True, tag: str = "py3-none-any") -> dict[str, Any]:
    names = f"https://files.example/{name}-{version}-{tag}.whl"
    files = [{"url": names, "upload-time": datetime(year, 6, 1, tzinfo=UTC)} for year in years]
    return {"name": name, "version": version, **({"wheels": files} if wheel else {"sdist": files[0]})}


@pytest.mark.parametrize(
    ("requirements", "day"),
    [
        (["web==1.0", "forms~=2.0"], date(2021, 6, 1)),
        (["Web==1.0", "forms<3 ; python_version > '3'", "-e .", "engine"], date(2021, 6, 1)),
        (["web==1.0"], date(2021, 3, 14)),
        (["web==1.0", "fresh==1"], None),
        (["web==1.0", "forms", "engine"], None),
        (["web>=1.0", "forms"], None),
        (["web==1.0", "forms==2.0", "engine==1.0"], date(2025, 6, 1)),
        (["unknown==1.0"], None),
        ([], None),
    ],
)
def test_the_newest_bounded_version_tells_the_day(requirements: list[str], day: date | None) -> None:
    packages = [package("web", 2020), package("forms", 2022, 2021, wheel=True), package("engine", 2025)]
    packages += [package("fresh", 2026)] if "fresh==1" in requirements else []
    found = day_of_pins(requirements, packages, TODAY, date(2025, 6, 1), "requirements.txt")
    assert (found.day if found is not None else None) == day


@pytest.mark.parametrize("commit", [TODAY, None])
@pytest.mark.parametrize("requirements", [["web<2"], ["web~=1.0", "forms<3"], ["web==1.*"]])
def test_a_range_tells_no_day_in_a_project_that_may_be_of_today(requirements: list[str], commit: date | None) -> None:
    packages = [package("web", 2020), package("forms", 2021)]
    assert day_of_pins(requirements, packages, TODAY, commit, "requirements.txt") is None
    assert day_of_pins(["web==1.0"], packages, TODAY, commit, "requirements.txt") is not None


def test_an_index_without_upload_times_tells_no_day() -> None:
    assert (
        day_of_pins(["web==1.0"], [{"name": "web", "version": "1.0", "wheels": [{}]}, package("engine", 2025)], TODAY, None, "a.txt")
        is None
    )


def test_what_the_image_adds_and_what_had_no_wheels_is_of_today() -> None:
    then = [package("engine", 2020), package("server", 2020), package("native", 2020, wheel=False), package("pure", 2020, wheel=False)]
    then += [package("windows", 2020, tag="cp39-cp39-win_amd64"), package("older", 2020, tag="cp38-cp38-manylinux1_x86_64")]
    now = [package("engine", 2025), package("server", 2025), package("native", 2025), package("pure", 2025, wheel=False)]
    now += [package(name, 2025, tag="cp39-cp39-manylinux_2_28_x86_64") for name in ("windows", "older")]
    kept = ProjectDay(date(2020, 6, 1), "").preferred(then, now, ("server>=2",), "3.9")
    assert [it["name"] for it in kept] == ["engine", "pure"]


@pytest.mark.parametrize(("commit", "found"), [(date(2023, 1, 1), True), (date(2025, 1, 1), False), (None, False)])
def test_a_commit_of_years_ago_tells_the_day(commit: date | None, found: bool) -> None:
    assert (day_of_commit(commit, TODAY) is not None) is found


def test_knows_whether_a_package_is_newer() -> None:
    assert ProjectDay(date(2023, 1, 1), "").is_before([package("engine", 2020), package("web", 2024, 2025)])
    assert not ProjectDay(date(2023, 1, 1), "").is_before([package("engine", 2020, 2025)])
    assert ProjectDay(date(2023, 1, 1), "").is_before([{"name": "engine", "version": "1.0"}]), "no times, no knowledge"


@pytest.mark.parametrize(
    ("day", "locked", "missing"),
    [
        (date(2021, 1, 1), [], ("setuptools<81",)),
        (date(2021, 1, 1), [package("setuptools", 2026, version="82.0")], ("setuptools<81",)),
        (date(2021, 1, 1), [package("setuptools", 2020, version="50.0")], ()),
        (date(2024, 1, 1), [], ()),
    ],
)
def test_environments_of_old_days_had_setuptools(day: date, locked: list[dict[str, Any]], missing: tuple[str, ...]) -> None:
    assert ProjectDay(day, "").missing(locked) == missing


@pytest.mark.parametrize(("minor", "missing"), [("3.11", ("setuptools<81",)), ("3.12", ()), ("", ())])
def test_environments_of_older_pythons_had_setuptools_later_too(minor: str, missing: tuple[str, ...]) -> None:
    assert ProjectDay(date(2024, 1, 1), "").missing([], minor) == missing


def test_a_plan_notes_that_packages_are_old() -> None:
    assert old_packages_note("") == ()
    [note] = old_packages_note("2021-04-05")
    assert "2021-04-05" in note and "shipwheel lock --upgrade" in note
