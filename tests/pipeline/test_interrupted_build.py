"""Interrupted at any moment, the same command goes on: nothing is half-written, fetched twice, or believed that should not be."""

import gzip
import io
import os
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.process import HANG_S, ended, is_below, until
from support.sdist import sdist

from shipwheel.digest import Digest, digest_of
from shipwheel.testing.debian import FakeArchive
from shipwheel.testing.package_index import Fault, PackageIndex
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import SUITE, World, fill

LARGE = "/files/large-1.0-py3-none-any.whl"
ONE = ("--platform", "linux/amd64")
MODULES = {f"large/m{number}.py": "".join(f"V{line} = [{line}, 'a{number}', None]\n" for line in range(400)) for number in range(50)}

Moment = Callable[["subprocess.Popen[str]"], None]


@pytest.fixture(scope="module")
def content() -> bytes:
    """A wheel that takes a while to fetch, to compile and to write."""
    return SmallWheel("large", files={**MODULES, "large/data.bin": os.urandom(600_000)}).content()


@pytest.fixture
def busy(tmp_path: Path, archive: FakeArchive, common: World, content: bytes) -> Iterator[World]:
    """A world with the large wheel."""
    with World(tmp_path) as made:
        fill(made, archive, common)
        made.index.add("large-1.0-py3-none-any.whl", content)
        yield made


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, archive: FakeArchive, common: World, content: bytes) -> str:
    """The digest of a build that nobody interrupts."""
    with World(tmp_path_factory.mktemp("undisturbed")) as made:
        fill(made, archive, common)
        made.index.add("large-1.0-py3-none-any.whl", content)
        return made.build(app(made), "--bytecode", *ONE).digest


def app(world: World) -> Path:
    return world.app("small\nnative\nlarge\n")


def asked(server: PackageIndex, part: str) -> Moment:
    """The moment after the next request for a path that ends so."""

    def moment(process: "subprocess.Popen[str]") -> None:
        before = len(server.requests)
        until(lambda: any(request.path.endswith(part) for request in server.requests[before:]), process)

    return moment


def there(pattern: str, root: Path, size: int = 0) -> Moment:
    """The moment when a file of that name, and of that size, has come or was changed."""

    def found() -> set[tuple[Path, int, int]]:
        return {(path, *_state(path)) for path in root.glob(pattern)}

    def moment(process: "subprocess.Popen[str]") -> None:
        before = found()
        until(lambda: any(now >= size for _, now, _ in found() - before), process)

    return moment


def _state(path: Path) -> tuple[int, int]:
    """(size, time of the last change); a file that is gone has none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return -1, 0
    return status.st_size, status.st_mtime_ns


def interrupted(
    world: World, moment: Moment, number: signal.Signals = signal.SIGINT, *, group: bool = False, flags: tuple[str, ...] = ("--bytecode",)
) -> tuple[int, str]:
    """Return the exit code and the error output of a build that gets a signal at a moment."""
    place = world.root / "shop"
    with ended(world.start("build", place, "--json", "-o", world.output(place), *flags, *ONE, pause=1.0)) as process:
        moment(process)
        (os.killpg if group else os.kill)(process.pid, number)
        _, err = process.communicate(timeout=HANG_S)
    return process.returncode, err


def children(world: World) -> list[str]:
    """Processes that were started with this world's environment and still run."""
    mark = f"SHIPWHEEL_CACHE={world.cache}\0".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes() and b"State:\tZ" not in (folder / "status").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return found


def is_clean(world: World) -> None:
    """No temporary files, no half of a layout, no process."""
    until(lambda: not children(world))
    assert list((world.cache / "tmp").glob("*")) == []
    assert [path.name for path in (world.root / "tmp").glob("*") if path.name.startswith("shipwheel")] == []
    assert list((world.cache / "interpreters").glob("tmp*")) == []
    assert list(world.root.glob(".*.oci.*")) == []
    layout = world.output(world.root / "shop")
    assert not layout.exists() or world.run("validate", layout).code == 0
    lock = world.root / "shop" / "pylock.toml"
    assert not lock.exists() or "[tool.shipwheel]" in lock.read_text()
    assert list((world.root / "shop").glob(".pylock*")) == []


def compiling(world: World) -> Moment:
    """The moment when some of the bytecode is made."""
    return there("bytecode.sqlite3-wal", world.cache, 20_000)


def writing(world: World) -> Moment:
    """The moment when some of the layout is written."""
    return there(".shop.oci.*/blobs/sha256/*", world.root)


def stages(world: World) -> dict[str, Moment]:
    release = f"/dists/{SUITE.codename}/InRelease"
    world.index.fault("/simple/large/", Fault(times=1, stall=3600))
    world.mirror.fault(f"/files/debian{release}", Fault(times=1, stall=3600))
    world.index.fault(LARGE, Fault(times=1, stall=3600))
    return {
        "lock": asked(world.index, "/simple/large/"),
        "releases": asked(world.mirror, release),
        "fetch": asked(world.index, LARGE),
        "assemble": there("tmp/*", world.cache),
        "compile": compiling(world),
        "write": writing(world),
    }


def test_at_one_moment_after_the_other(busy: World, undisturbed: str) -> None:
    """The same store, the same command: each time it gets further, and in the end it is the image that it would have been."""
    app(busy)
    for name, moment in stages(busy).items():
        code, err = interrupted(busy, moment)
        assert (code, err.count("Interrupted.")) == (130, 1), (name, err)
        assert "Traceback" not in err and "error:" not in err, (name, err)
        is_clean(busy)
    assert busy.build(busy.root / "shop", "--bytecode", *ONE).digest == undisturbed
    is_clean(busy)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_other_signals(busy: World, undisturbed: str, number: signal.Signals) -> None:
    """SIGTERM ends it as Ctrl-C does; what SIGKILL leaves behind is not believed."""
    place = app(busy)
    busy.index.fault(LARGE, Fault(times=1, stall=3600))
    for moment in (asked(busy.index, LARGE), compiling(busy), *([writing(busy)] if number is signal.SIGKILL else [])):
        code, err = interrupted(busy, moment, number)
        if number is signal.SIGKILL:
            assert code == -9
        else:
            assert (code, err.count("Interrupted.")) == (128 + number, 1), err
            is_clean(busy)
    assert busy.build(place, "--bytecode", *ONE).digest == undisturbed
    assert busy.run("validate", busy.output(place)).code == 0


def test_ctrl_c_in_a_terminal_reaches_every_process(busy: World, undisturbed: str) -> None:
    place = app(busy)
    code, err = interrupted(busy, compiling(busy), group=True)
    assert (code, err.count("Interrupted."), "error:" in err) == (130, 1, False), err
    is_clean(busy)
    assert busy.build(place, "--bytecode", *ONE).digest == undisturbed


def test_what_was_fetched_is_not_fetched_again(busy: World, undisturbed: str) -> None:
    """Half of the large wheel is there when it is interrupted: the other half is asked for, and all else is not."""
    place = app(busy)
    size = len(busy.index.data(LARGE))
    busy.index.fault(LARGE, Fault(times=1, stall=3600))
    code, err = interrupted(busy, there("partial/*", busy.cache, size // 2 - 20_000))
    assert code == 130, err
    fetched = {
        request.path for server in (busy.index, busy.mirror) for request in server.requests if request.path.endswith((".whl", ".deb"))
    }
    finished = {path for path in fetched if path != LARGE and busy.store.has(_digest(busy, path))}
    assert len(finished) > 5
    counts = {path: busy.index.count(path) + busy.mirror.count(path) for path in finished}
    assert busy.build(place, "--bytecode", *ONE).digest == undisturbed
    assert {path: busy.index.count(path) + busy.mirror.count(path) for path in finished} == counts
    first, *others = [request for request in busy.index.requests if request.path == LARGE]
    assert "range" not in first.headers
    assert others[0].headers["range"].startswith("bytes=")
    assert 0 < others[0].sent <= size - (size // 2 - 20_000)


def _digest(world: World, path: str) -> Digest:
    server = world.index if path in world.index.paths else world.mirror
    return digest_of(server.data(path))


def test_while_an_sdist_is_built(world: World) -> None:
    """The build backend, which would take its time, ends too."""
    temporary = Path(world.environment()["TMPDIR"])
    world.index.add("slow-1.0.tar.gz", slow_sdist())
    world.app("slow\n")
    code, err = interrupted(world, lambda process: until(lambda: is_below(temporary, "building"), process), flags=("--no-bytecode",))
    assert (code, err.count("Interrupted.")) == (130, 1), err
    is_clean(world)
    assert _processes_below(temporary) == []


def _processes_below(directory: Path) -> list[str]:
    """Return the working directories below a directory that processes of this machine have, also those in a sandbox."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            found.append(str(link.readlink()))
    return [path for path in found if path.startswith(f"{directory}/")]


def slow_sdist() -> bytes:
    """An sdist whose backend touches a file in its source for a minute."""
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(sdist("slow")))) as source, tarfile.open(fileobj=out, mode="w:gz") as target:
        for info in source:
            stream = source.extractfile(info)
            assert stream is not None
            data = stream.read()
            if info.name.endswith("backend.py"):
                data = (
                    b"import pathlib, time\ndef build_wheel(*_, **__):\n    for _ in range(3000):\n"
                    b"        pathlib.Path('building').touch()\n        time.sleep(0.02)\n"
                )
            info.size = len(data)
            target.addfile(info, io.BytesIO(data))
    return out.getvalue()


def test_a_layout_that_was_there_stays_whole(busy: World, undisturbed: str) -> None:
    """Interrupted while a layout is brought up to date: it holds the old image or the new one."""
    place = app(busy)
    before = busy.build(busy.app("small\nnative\n"), "--no-bytecode", *ONE).digest
    app(busy)
    assert busy.run("build", place, "--bytecode", *ONE, "-o", busy.root / "warm.oci").code == 0
    shutil.rmtree(busy.root / "warm.oci")
    layout = busy.output(place)
    blobs = len(list((layout / "blobs/sha256").iterdir()))
    moment: Moment = lambda process: until(lambda: len(list((layout / "blobs/sha256").iterdir())) > blobs, process)  # noqa: E731
    code, err = interrupted(busy, moment)
    assert code in (0, 130), err
    assert busy.run("validate", layout).code == 0
    assert busy.build(place, "--bytecode", *ONE).digest == undisturbed != before
