"""Examples of files that a person makes."""

from pathlib import Path

import pytest

from shipwheel.user.example_files import example_environment

TEXT = """\
# The database
export DB_DRIVER = sqlite   # or postgres
DB_NAME="shop base"\r
EMPTY=
UNSET=   # the day of the first sale
PORT=3000
APP_HOST=127.0.0.1
DEBUG=True
DB_HOST='db'
no variable
URL=http://shop.example/#top
"""
WIDE = "WORD=x" + " " * 60_000 + "y"


@pytest.mark.parametrize("name", [".env.example", ".env-example", "env.sample", "example.env", ".env.prod.dist"])
def test_reads_the_values_of_an_example_that_the_image_does_not_decide(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(f"{TEXT}{WIDE}")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / ".env.example").write_text("OTHER=1\n")
    (tmp_path / "settings.example.py").write_text("KEY = 1\n")
    values = {
        "WORD": WIDE.partition("=")[2],
        "DB_DRIVER": "sqlite",
        "DB_NAME": "shop base",
        "DB_HOST": "db",
        "URL": "http://shop.example/#top",
    }
    assert example_environment(tmp_path) == (name, values)


def test_takes_no_example_of_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / ".env.example").write_text(TEXT)
    (tmp_path / ".env").write_text("")
    assert example_environment(tmp_path) == ("", {})
