"""Local servers for the wheels and Debian packages that all tools download, so that no network is measured.

A build that is not measured downloads them. They are then served from its store.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from shipwheel.digest import Digest
from shipwheel.store.store import Store
from shipwheel.testing.package_index import Fault, PackageIndex

__all__ = ["SHIPWHEEL", "Supply", "environment", "fresh", "locked_files", "relocked", "shipwheel_env", "warm"]

SHIPWHEEL = (str(Path(sys.executable).with_name("shipwheel")),)
"""The command line that is installed next to this interpreter."""

_ARCHIVES = ("debian", "debian-security")
_FOR_EVER = Fault(headers={"Cache-Control": "max-age=365000000, immutable, public"})
"""What package indexes say of files: their URLs have a hash of the contents. Pages have no such rule here, and are asked for each time."""


@dataclass(frozen=True, slots=True)
class LockedFile:
    """A file that a lock names: a wheel by its filename, a Debian package by its path on the mirror."""

    name: str
    digest: Digest
    archive: str = ""


class Supply:
    """A package index and a Debian mirror with files from stores. A context manager."""

    def __init__(self) -> None:
        self.index = PackageIndex()
        self.index.fault("/files/*", _FOR_EVER)
        self.mirror = PackageIndex()

    def add(self, lock: Path, store: Store) -> None:
        """Serve the files of a lock that the store has."""
        for item in locked_files(lock):
            if store.has(item.digest):
                server, name = (self.mirror, f"{item.archive}/{item.name}") if item.archive else (self.index, item.name)
                server.add(name, store.read(item.digest))

    @property
    def settings(self) -> dict[str, str]:
        """The variables that make shipwheel and uv use these servers."""
        archives = " ".join(f"{self.mirror.url}/files/{name}" for name in _ARCHIVES)
        return {"UV_DEFAULT_INDEX": self.index.simple, "SHIPWHEEL_DEBIAN_MIRROR": archives}

    def __enter__(self) -> "Supply":
        self.index.start()
        self.mirror.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.index.close()
        self.mirror.close()


def environment() -> dict[str, str]:
    """Return the environment of measured commands, without the settings of this machine, some of which make programs slower."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.environ.get("HOME", "/root"), "LANG": "C.UTF-8"}


def shipwheel_env(store: Path, supply: Supply) -> dict[str, str]:
    """Return the environment of a build from these servers. uv's cache is next to the store, so it is as cold or warm as the store."""
    return {
        **environment(),
        **supply.settings,
        "SHIPWHEEL_CACHE": str(store),
        "UV_CACHE_DIR": str(store / "uv"),
        "UV_PYTHON_DOWNLOADS": "never",
    }


def fresh(source: Path, target: Path) -> Path:
    """Replace a directory by a copy of a project."""
    shutil.rmtree(target, ignore_errors=True)
    return Path(shutil.copytree(source, target))


def warm(project: Path, store: Path, output: Path, *flags: str, before: Sequence[str] = ()) -> dict[str, Any]:
    """Run the build that downloads everything, with this machine's settings. Return its document. The words `before` start it."""
    argv = [*before, *SHIPWHEEL, "build", str(project), "--output", str(output), "--json", "--quiet", *flags]
    done = subprocess.run(argv, env={**os.environ, "SHIPWHEEL_CACHE": str(store)}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def relocked(project: Path, env: Mapping[str, str], cwd: Path) -> None:
    """Make a lock again with the local index, so that it contains local URLs. Keep its base."""
    lock = project / "pylock.toml"
    lock.write_text(lock.read_text().replace('\ninputs = "sha256:', '\ninputs = "stale:'))
    argv = [*SHIPWHEEL, "plan", str(project), "--json"]
    done = subprocess.run(argv, env=dict(env), cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}\n{done.stderr}")


def locked_files(path: Path) -> Iterator[LockedFile]:
    """Return the files of a lock: wheels, and the Debian packages of every platform's base."""
    data = tomllib.loads(path.read_text())
    for package in data.get("packages", ()):
        for file in [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]:
            yield LockedFile(_filename(file), _digest(file["hashes"]["sha256"]))
    for base in data["tool"]["shipwheel"].get("base", {}).values():
        for package in (*base["packages"], *([base["init"]] if "init" in base else [])):
            yield LockedFile(package["filename"], _digest(package["sha256"]), package["archive"])


def _digest(text: str) -> Digest:
    return msgspec.convert(f"sha256:{text}", Digest)


def _filename(file: Mapping[str, Any]) -> str:
    return str(file.get("name") or unquote(urlsplit(file["url"]).path)).rpartition("/")[2]
