"""The table of docs/registries.md: what an image costs at a registry with each habit, measured."""

import random
from dataclasses import dataclass
from pathlib import Path

from shipwheel.testing.real_registries import REAL_REGISTRIES, RealRegistry
from shipwheel.testing.registry import FakeRegistry
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import CommandResult, World

__all__ = ["RegistryRow", "make_app", "measure", "page"]

_FLAGS = ("--no-bytecode", "--json", "--platform", "linux/amd64", "--push")
_SIZE = 6 << 20
"""Bytes of the largest layer: more than GHCR takes in a chunk, and the proxy in a request."""

_HEAD = """\
<!-- Made by `make registries` from a measurement: do not edit. -->

# How registries differ

Registries implement the specification differently. The tests play each of these habits, and measure what an image of {size} costs there,
as a multiple of its size: the bytes that the registry received.

* **push**: the first push.
* **again**: the same image once more.
* **elsewhere**: the same image in another repository of the registry.
* **changed**: another machine, whose store is empty, pushes the app with a changed source file. In brackets, the packages that it had to
  download: none where records of the layers are kept.

| registry | habit | push | again | elsewhere | changed | seen in |
|---|---|---|---|---|---|---|
"""

_TAIL = """
A registry is named where the habit was seen; it may have changed since. A body that is refused with 413 is not counted, because the limit
is known from then on. Where a blob in a PUT is refused, the first blobs are sent twice.
"""


@dataclass(frozen=True, slots=True)
class RegistryRow:
    """The costs of one registry. `size` is the image's in bytes; the others are bytes that it received, and files that were fetched."""

    real: RealRegistry
    size: int
    push: int
    again: int
    elsewhere: int
    changed: int
    fetched: int
    warnings: tuple[str, ...]


def make_app(world: World) -> Path:
    """Write the app, which has one large dependency."""
    world.add(SmallWheel("large", files={"large.bin": random.Random(1).randbytes(_SIZE)}))
    return world.app("small\nnative\nlarge\n")


def measure(world: World, project: Path, real: RealRegistry) -> RegistryRow:
    """Push the app to a registry with these habits, in each of the four ways."""
    with FakeRegistry(real.habits) as registry:
        done: list[CommandResult] = []

        def push(repository: str, cache: str = "cache") -> int:
            before = sum(request.received for request in registry.requests)
            registry.blobs.setdefault(repository, {})
            reference = f"{registry.host}/{repository}:1"
            done.append(world.run("build", project, *_FLAGS, "-t", reference, env={"SHIPWHEEL_CACHE": str(world.root / cache)}))
            assert not registry.missing_blobs(repository, done[-1].digest)
            assert registry.tags[repository]["1"] == done[-1].digest
            return sum(request.received for request in registry.requests) - before

        (project / "main.py").write_text("import small\n\nprint(small.VALUE)\n")
        first, again, elsewhere = push("team/shop"), push("team/shop"), push("team/other")
        size = sum(layer["size"] for layer in done[0].document["images"][0]["layers"])
        (project / "main.py").write_text("import small\n\nprint(small.VALUE, 2)\n")
        before = _fetched(world)
        changed = push("team/shop", f"empty-{registry.host.partition(':')[2]}")
        warnings = tuple(line for each in done for line in each.err.splitlines() if "warning" in line.lower())
        return RegistryRow(real, size, first, again, elsewhere, changed, _fetched(world) - before, warnings)


def page(rows: list[RegistryRow]) -> str:
    """Return docs/registries.md."""
    assert [row.real for row in rows] == list(REAL_REGISTRIES)
    lines = [f"| {' | '.join(_cells(row))} |\n" for row in rows]
    return _HEAD.format(size=f"{rows[0].size / 1e6:.1f} MB") + "".join(lines) + _TAIL


def _cells(row: RegistryRow) -> list[str]:
    push, again, elsewhere, changed = (f"{count / row.size:.2f}" for count in (row.push, row.again, row.elsewhere, row.changed))
    # The first blobs are sent twice. Which those are depends on the threads.
    push = push if row.real.habits.puts else "at most 2.00"
    return [row.real.name, row.real.habit, push, again, elsewhere, f"{changed} ({row.fetched})", ", ".join(row.real.sources)]


def _fetched(world: World) -> int:
    """Return how many files of Python packages and Debian packages were downloaded."""
    asked = [request for server in (world.index, world.mirror) for request in server.requests]
    return sum(request.path.endswith((".whl", ".deb")) for request in asked)
