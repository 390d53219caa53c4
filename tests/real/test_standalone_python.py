"""An image with a Python that no Debian suite has, made from a CPython of this machine, and run by podman.

That an image runs in every engine is shown by test_examples.py.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.command import ROOT, shipwheel_json
from support.engines import PYTHON, STOPPED, Podman

from shipwheel.locking import uv
from shipwheel.testing.standalone import installed_files, invented_files, make_standalone, standalone_name

_CODE = """
import bz2, ctypes, curses, datetime, decimal, hashlib, json, lzma, os, sqlite3, ssl, sys, uuid, zlib, zoneinfo, fastapi, main
ssl.create_default_context()
assert os.path.exists(json.__cached__), json.__cached__
assert os.path.realpath("/usr/bin/python3") == sys.base_prefix + f"/bin/python3.{sys.version_info[1]}"
zoneinfo.ZoneInfo("Europe/Berlin")
print(sys.version.split()[0], sys.prefix, sys.base_prefix, len(ssl.create_default_context().get_ca_certs()) > 100)
"""


def _found() -> tuple[str, Path]:
    """Return the full version and the prefix of a CPython that no suite has and that has a directory of its own."""
    for minor in ("3.12", "3.10"):
        kept = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
        path = next(iter(sorted(kept.glob(f"{minor}.*/bin/python{minor}"))), None) or uv.local_python(minor)
        if path is None:
            continue
        code = "import platform, sys; print(platform.python_version(), sys.base_prefix)"
        version, prefix = subprocess.run([str(path), "-c", code], capture_output=True, text=True, check=True).stdout.split()
        if Path(prefix) not in (Path("/usr"), Path("/usr/local")):
            return version, Path(prefix)
    pytest.skip("there is no CPython 3.12 or 3.10 in a directory of its own on this machine")


@dataclass(frozen=True)
class Built:
    """A built example: the version of its Python, its project, its archive and the build's document."""

    version: str
    project: Path
    archive: Path
    result: dict[str, Any]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """examples/fastapi with that CPython."""
    version, prefix = _found()
    folder = tmp_path_factory.mktemp("standalone")
    disk = folder / "builds"
    disk.mkdir()
    minor = version.rpartition(".")[0]
    (disk / standalone_name(version)).write_bytes(make_standalone(installed_files(prefix)))
    (disk / standalone_name(version, architecture="arm64")).write_bytes(make_standalone(invented_files(minor, "arm64")))
    project = folder / "fastapi"
    shutil.copytree(ROOT / "examples" / "fastapi", project, ignore=shutil.ignore_patterns("pylock*.toml"))
    shipped = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(shipped.replace('">=3.11"', f'"=={minor}.*"'))
    archive = folder / "fastapi.tar"
    result = shipwheel_json("build", project, "--python-builds", disk, "-o", archive, "-t", "py:test")
    return Built(version, project, archive, result)


@pytest.mark.online
def test_the_image_runs_without_rights(built: Built, podman: Podman) -> None:
    assert f'version = "{built.version}"' in (built.project / "pylock.toml").read_text()
    assert [image["platform"] for image in built.result["images"]] == ["linux/amd64", "linux/arm64"]
    with podman.run(podman.load(built.archive)) as container:
        assert container.wait_http("http://127.0.0.1:8000/") == 200
        done = container.exec([PYTHON, "-c", _CODE])
        assert done.output.split() == [built.version, "/opt/venv", "/opt/python", "True"]
        assert container.stop(10) == STOPPED
