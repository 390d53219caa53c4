"""The table of Debian suites."""

import pytest

from shipwheel.errors import UsageError
from shipwheel.suites import suite_by_name, suite_for


def test_finds_suites_by_python_and_by_name() -> None:
    assert (suite_for("3.11").codename, suite_for("3.9.18").codename, suite_for("3.14").released) == ("bookworm", "bullseye", False)
    with pytest.raises(UsageError) as caught:
        suite_for("3.12")
    assert all(version in caught.value.hint for version in ("3.9", "3.11", "3.13", "3.14"))
    with pytest.raises(UsageError):
        suite_by_name("sid")
