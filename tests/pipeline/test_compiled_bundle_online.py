"""A bundle for builds with real compilers: an edited extension module is compiled again on a machine without a network."""

from pathlib import Path

import pytest
from support.command import shipwheel, shipwheel_json
from support.programs import needs, needs_mirror
from support.project_tree import written

from shipwheel.platform import host_platform

pytestmark = [pytest.mark.online, needs_mirror]

CODE = """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "fast", "NOTE"};
PyMODINIT_FUNC PyInit_fast(void) { return PyModule_Create(&module); }
"""
FILES = {
    "pyproject.toml": (
        '[project]\nname = "shop"\nversion = "1.0"\nrequires-python = "==3.13.*"\n'
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[tool.setuptools]\npy-modules = ["shop"]\next-modules = [{ name = "fast", sources = ["fast.c"] }]\n'
        '[tool.shipwheel]\ncommand = ["python", "-m", "shop"]\nbytecode = false\n'
    ),
    "shop.py": "import fast\nprint(fast.__doc__)\n",
    "fast.c": CODE,
}
CLOSED = "http://127.0.0.1:9"


def leave_the_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every request fail at once, and forget what uv has downloaded."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, CLOSED)
        monkeypatch.setenv(name.lower(), CLOSED)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("SHIPWHEEL_DEBIAN_MIRROR", f"{CLOSED}/debian/")
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{CLOSED}/simple/")
    monkeypatch.setenv("UV_CACHE_DIR", str(folder / "uv"))


@needs("bwrap")
def test_an_edited_extension_module_is_compiled_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app, bundle, air = written(tmp_path / "shop", FILES), tmp_path / "inputs.tar", tmp_path / "air"
    platform = str(host_platform())
    (app / "pyproject.toml").write_text(FILES["pyproject.toml"] + f'platforms = "{platform}"\n')
    shipwheel_json("bundle", app, "--for-build", "-o", bundle)
    (app / "fast.c").write_text(CODE.replace("NOTE", "edited"))
    with monkeypatch.context() as offline:
        leave_the_network(tmp_path, offline)
        done = shipwheel("build", app, "--locked", "-o", tmp_path / "no.oci", store=tmp_path / "empty")
        assert done.returncode == 5, done.stderr
        assert shipwheel("unbundle", bundle, store=air).returncode == 0
        without = shipwheel_json("build", app, "--locked", "-o", tmp_path / "without.oci", store=air)
    with_network = shipwheel_json("build", app, "--locked", "-o", tmp_path / "with.oci")
    assert without["digest"] == with_network["digest"]
