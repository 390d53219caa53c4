"""The measured builds of shipwheel, from an empty store to one edited line."""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measure import Cost, Peak, peak_memory, run
from supply import SHIPWHEEL, Supply, shipwheel_env

__all__ = ["BOTH", "NATIVE", "Bench", "blobs", "change_dependency", "edit", "sizes"]

NATIVE = "linux/arm64" if os.uname().machine == "aarch64" else "linux/amd64"
BOTH = "linux/amd64,linux/arm64"

_BASE_LAYERS = ("Debian ", "system libraries", "system files")
_APP_LAYERS = ("the source of ", "virtual environment", "volumes")


@dataclass
class Bench:
    """A project with a store and an output of its own."""

    project: Path
    root: Path
    supply: Supply
    platforms: str = NATIVE
    flags: tuple[str, ...] = ()
    registry: str = ""
    """HOST:PORT of a registry to push to. Without one, the build writes a layout."""
    written: dict[str, int] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        """The store's directory."""
        return self.root / "store"

    @property
    def output(self) -> Path:
        """The path of the layout."""
        return self.root / "out.oci"

    def clean(self, *kept: str) -> None:
        """Remove the layout and the store, except entries with these names."""
        shutil.rmtree(self.output, ignore_errors=True)
        if self.store.exists():
            for path in self.store.iterdir():
                if not path.name.startswith(kept or ("\0",)):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def start_from(self, store: Path, *kept: str) -> None:
        """Start with a copy of another store, and with those entries of the own one. Blobs never change, so they are linked."""
        self.clean(*kept)
        self.store.mkdir(exist_ok=True)
        ours = {path.name for path in self.store.iterdir()}
        for path in store.iterdir():
            if path.is_dir() and path.name not in ours:
                shutil.copytree(path, self.store / path.name, symlinks=True, copy_function=_link)
            elif path.is_file() and not path.name.startswith(kept or ("\0",)):
                shutil.copy2(path, self.store / path.name)

    @property
    def argv(self) -> list[str]:
        """The command."""
        end = ["--push", "--tag", f"{self.registry}/bench/app:1"] if self.registry else ["--output", str(self.output)]
        flags = ["--platform", self.platforms, *end, "--json", "--quiet", *self.flags]
        return [*SHIPWHEEL, "build", str(self.project), *flags]

    def build(self, name: str = "") -> Cost:
        """Build. Record in `written`, under the name, how many bytes the registry or the layout received."""
        before = blobs(self.output)
        cost = run(self.argv, env=shipwheel_env(self.store, self.supply), cwd=self.root, log=self.root / "log")
        new = sum(size for digest, size in blobs(self.output).items() if digest not in before)
        self.written[name] = json.loads(cost.output)["pushed"]["uploaded"] if self.registry else new
        return cost

    def memory(self) -> Peak:
        """Return the peak memory of the same build."""
        return peak_memory(self.argv, env=shipwheel_env(self.store, self.supply), cwd=self.root)


def blobs(layout: Path) -> dict[str, int]:
    """Return the blobs of a layout: digest -> size."""
    return {path.name: path.stat().st_size for path in layout.glob("blobs/sha256/*")}


def edit(project: Path) -> None:
    """Append a line to the app."""
    with (project / "main.py").open("a") as stream:
        stream.write("\nEDITED = True\n")


def change_dependency(path: Path, old: str, new: str) -> None:
    """Replace a requirement in a file."""
    path.write_text(path.read_text().replace(old, new))


def sizes(document: dict[str, Any], platform: str = NATIVE) -> dict[str, int]:
    """Return the compressed sizes of an image's layers by their content: base, wheels, app."""
    found = {"base": 0, "wheels": 0, "app": 0}
    image = next(image for image in document["images"] if image["platform"] == platform)
    for layer in image["layers"]:
        kind = "base" if layer["name"].startswith(_BASE_LAYERS) else "app" if layer["name"].startswith(_APP_LAYERS) else "wheels"
        found[kind] += layer["size"]
    return {**found, "unpacked": image["unpacked-size"]}


def _link(source: str, target: str) -> None:
    if "/blobs/" in source:
        os.link(source, target)
    else:
        shutil.copy2(source, target)
