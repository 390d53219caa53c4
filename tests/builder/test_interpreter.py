"""The Python of a builder: a standalone one has the target's headers, and build variables for gcc instead of those of its own compiler."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from shipwheel.base.standalone_archive import Standalone, parse_filename
from shipwheel.builder.interpreter import standalone_python, suite_python, write_build_variables
from shipwheel.digest import sha256_of
from shipwheel.store.store import Store
from shipwheel.testing.standalone import invented_files, make_standalone, standalone_name

VARIABLES = "lib/python3.12/_sysconfigdata__linux_aarch64-linux-gnu.py"
OWN = b"build_time_vars = {'CC': 'clang', 'CFLAGS': '-fdebug-default-version=4', 'EXT_SUFFIX': '.so', 'LIBDIR': '/install/lib', 'N': 8}\n"


def archive(store: Store, architecture: str) -> Standalone:
    data = make_standalone({**invented_files("3.12", architecture), VARIABLES: OWN})
    store.add(data)
    build = parse_filename(standalone_name("3.12.8", architecture=architecture), sha256_of(data))
    assert build is not None
    return build


def test_has_the_interpreter_of_this_machine_and_the_headers_of_the_target(tmp_path: Path) -> None:
    store = Store(tmp_path)
    python = standalone_python(archive(store, "amd64"), archive(store, "arm64"), store)
    own, target = ({entry.path for entry in source.entries()} for source in python.sources)
    assert python.path == "/opt/python/bin/python3.12"
    assert "opt/python/bin/python3.12" in own and not any("/include/" in path for path in own)
    assert target == {"opt/python/include/python3.12/Python.h", f"opt/python/{VARIABLES}"}
    assert len({source.key for source in python.sources}) == 2


def test_build_variables_are_those_of_gcc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, text = write_build_variables("3.12", "aarch64", "aarch64-linux-gnu")
    assert path == "opt/python/lib/python3.12/_sysconfigdata_shipwheel.py"
    (tmp_path / VARIABLES.rpartition("/")[2]).write_bytes(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    found: dict[str, Any] = {}
    exec(text, found)
    made = found["build_time_vars"]
    assert made["CC"].startswith("aarch64-linux-gnu-gcc")
    assert (made["EXT_SUFFIX"], made["LIBDIR"], made["N"]) == (".so", "/opt/python/lib", 8)
    assert not any("clang" in str(value) or "debug-default" in str(value) for value in made.values())


@pytest.mark.parametrize(("minor", "day"), [("3.12", date(2023, 10, 2)), ("3.13", date(2024, 10, 7)), ("3.99", date.min)])
def test_knows_when_a_python_came_out(minor: str, day: date) -> None:
    assert suite_python(minor, "x86_64-linux-gnu").released == day
