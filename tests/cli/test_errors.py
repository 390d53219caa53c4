"""Errors on the command line: exit code, location, and a next step for each."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.digests import digest as digest_named
from support.disk import small_disk
from support.programs import needs_root

from shipwheel.store.store import Store
from shipwheel.testing.debian import FakeArchive
from shipwheel.testing.package_index import Fault
from shipwheel.testing.wheels import Member, SmallWheel
from shipwheel.testing.world import SUITE, CommandResult, World, fill

SMALL = "/files/small-1.0-py3-none-any.whl"
ONE = ("--platform", "linux/amd64")


@pytest.fixture
def world(empty_world: World) -> World:
    """What is fetched is the subject of these tests."""
    return empty_world


def refused(world: World, ran: CommandResult, code: int, *words: str) -> None:
    """Assert that the run failed with this exit code, mentions `words`, gives a next step, and left no partial files."""
    assert ran.code == code, ran.err
    for word in words:
        assert word in ran.err, f"{word!r} is not in:\n{ran.err}"
    assert "Traceback" not in ran.err
    assert "hint: " in ran.err
    # The commands of this module are run with and without --json.
    error = json.loads(ran.out)["error"] if ran.out else None
    assert error is None or (error["exit-code"] == code and " ".join(error["message"].split()) in " ".join(ran.err.split()))
    assert leftovers(world) == []


def leftovers(world: World) -> list[Path]:
    """Return layouts, archives and temporary files anywhere in the world's folder."""
    found = [path for pattern in ("*.oci", "*.tar", ".*") for path in world.root.rglob(pattern)]
    others = {world.cache, world.root / "uv", world.root / "home"}
    found = [path for path in found if others.isdisjoint(path.parents)]
    return [*found, *(world.root / "tmp").glob("*"), *(world.cache / "tmp").glob("*")]


def path_of(world: World, part: str) -> str:
    """Return the path on the mirror of the amd64 package with this name."""
    name = next(name for name in world.mirror.paths if f"/{part}_" in name and "amd64" in name)
    return str(name)


# The project


def test_rejects_a_directory_without_a_project(shared_world: World) -> None:
    empty = shared_world.root / "empty"
    empty.mkdir()
    refused(shared_world, shared_world.build(empty), 3, f"{empty} is not a project", "requirements.txt", "an empty directory")
    refused(shared_world, shared_world.build(empty / "none"), 3, f"{empty / 'none'} does not exist")


def test_rejects_toml_syntax_and_unknown_keys(shared_world: World) -> None:
    broken = shared_world.root / "broken"
    broken.mkdir()
    text = '[project]\nname = "x"\nversion = "1"\ndependencies = ["a\n'
    (broken / "pyproject.toml").write_text(text)
    refused(shared_world, shared_world.build(broken), 3, f"{broken / 'pyproject.toml'}, line 4, column")
    (broken / "pyproject.toml").write_text(text.replace('["a', "[]") + '[tool.shipwheel]\nplatfroms = ["linux/amd64"]\n')
    refused(shared_world, shared_world.build(broken), 2, "pyproject.toml", "unknown key 'platfroms', did you mean 'platforms'?")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--python", "2.7"), ("'2.7'", "3.11")),
        (("--platform", "linux/sparc"), ("'linux/sparc'", "linux/arm64")),
        (("--platform", "windows/amd64"), ("'windows/amd64'", "linux/amd64")),
        (("--user", "root"), ("'root' is not numeric", "65532")),
        (("--env", "DEBUG"), ("DEBUG", "--env DEBUG=VALUE")),
    ],
    ids=lambda value: value[1] if len(value[0]) > 2 and value[0].startswith("--") else "",
)
def test_rejects_invalid_flags_before_any_request(shared_world: World, arguments: tuple[str, str], words: tuple[str, ...]) -> None:
    before = len(shared_world.index.requests)
    refused(shared_world, shared_world.build(shared_world.app("small\n"), *arguments), 2, *words)
    assert len(shared_world.index.requests) == before, "wrong flags are found before any request"


def test_rejects_a_python_version_without_builds(shared_world: World) -> None:
    project = shared_world.app("small\n", name="future")
    words = ("Python 3.99 is not available", "--python-builds", "--base")
    refused(shared_world, shared_world.build(project, "--python", "3.99"), 5, *words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("buidl",), ("there is no command buidl", "Did you mean build")),
        (("build", "--platfrom", "x"), ("no option --platfrom", "Did you mean --platform?")),
    ],
    ids=["command", "flag"],
)
def test_suggests_the_nearest_command_and_flag(shared_world: World, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    refused(shared_world, shared_world.run(*arguments), 2, *words)


def test_suggests_the_nearest_debian_package(shared_world: World) -> None:
    ran = shared_world.build(shared_world.app("small\n"), "--package", "libfoo", *ONE)
    refused(shared_world, ran, 2, f"Debian {SUITE.codename}", "libfoo", "did you mean libfoo1")


# The lock


@pytest.mark.parametrize(
    ("requirements", "words"),
    [
        ("small==9\n", ("no version of small==9",)),
        ("small\nnosuchthing\n", ("not found", "nosuchthing (requirements.txt, line 2)", "spelling")),
        ("fastpai\n", ("fastpai (requirements.txt, line 1)", "Did you mean fastapi")),
        ("cv2\n", ("cv2 (requirements.txt, line 1)", "Did you mean opencv-python-headless?")),
        ("needs-old\nneeds-new\n", ("requirements.txt, line", "needs-old requires tiny<1", "needs-new requires tiny>=1")),
        ("needs-old\ntiny>=1\n", ("needs-old requires tiny<1", "requirements.txt, line 2: tiny>=1")),
        ("tiny\nsmall >= one\n", ("requirements.txt, line 2", "'small >= one'")),
    ],
    ids=["version", "name", "misspelled", "module", "conflict", "own conflict", "syntax"],
)
def test_explains_requirements_without_a_solution(shared_world: World, requirements: str, words: tuple[str, ...]) -> None:
    shared_world.add(SmallWheel("needs_old", requires=["tiny<1"]), SmallWheel("needs_new", requires=["tiny>=1"]))
    shared_world.add(SmallWheel("tiny", "0.5", files={"tiny.py": ""}))
    place = shared_world.app(requirements, f"asks-{abs(hash(requirements))}")
    (place / "pylock.toml").write_text("[tool.shipwheel]\n")
    ran = shared_world.build(place)
    refused(shared_world, ran, 4, *words)
    assert "shipwheel-lock" not in ran.err and str(shared_world.root / "tmp") not in ran.err, (
        "errors use the user's terms, not internal names"
    )
    assert (place / "pylock.toml").read_text() == "[tool.shipwheel]\n"


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (
            Fault(status=404),
            4,
            (
                "not found on the package index: small",
                "UV_DEFAULT_INDEX",
            ),
        ),
        (Fault(status=500), 5, ("Failed to fetch", "/simple/small/", "500")),
        (Fault(status=401), 5, ("small", "401", "user name and password")),
        (Fault(cut=100), 5, ("Failed to fetch", "/simple/small/")),
        (Fault(data=b"<html>Welcome to the hotel</html>"), 5, ("/simple/small/", "login page")),
    ],
    ids=["404", "500", "401", "half", "other"],
)
def test_reports_a_failing_index(world: World, fault: Fault, code: int, words: tuple[str, ...]) -> None:
    world.index.fault("/simple/small/", fault)
    place = world.app("small\n")
    refused(world, world.build(place, *ONE), code, *words)
    assert not (place / "pylock.toml").exists()


def test_reports_a_missing_network(world: World) -> None:
    """Nothing listens on port 9; each server is tried a limited number of times."""
    place = world.app("small\n")
    nowhere = "http://127.0.0.1:9"
    for command in ("build", "plan", "lock"):
        ran = world.run(command, place, env={"UV_DEFAULT_INDEX": f"{nowhere}/simple/"})
        refused(world, ran, 5, "Failed to fetch", nowhere, "UV_DEFAULT_INDEX")
    for command in ("inspect", "tags"):
        refused(world, world.run(command, f"{nowhere.removeprefix('http://')}/team/shop:1"), 5, "Connection refused", "name and port")
    refused(world, world.run("plan", place, "--base", f"{nowhere.removeprefix('http://')}/team/python:3"), 5, "Connection refused")
    ran = world.build(place, *ONE, env={"SHIPWHEEL_DEBIAN_MIRROR": f"{nowhere}/debian"})
    refused(world, ran, 5, "InRelease", nowhere, "5 attempts", "SHIPWHEEL_DEBIAN_MIRROR")


# What is fetched


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (Fault(status=404), 5, ("answered 404", "`shipwheel lock`")),
        (Fault(status=403), 5, ("answered 403", "credentials")),
        (Fault(status=500), 5, ("answered 500", "5 attempts")),
        (Fault(cut=300, no_range=True), 5, ("300 bytes", "5 attempts")),
        (Fault(data=b"x" * 100), 5, ("only 100 of", "attempts")),
        (Fault(data=b"x" * 9000), 5, ("more than",)),
    ],
    ids=["404", "403", "500", "half", "short", "long"],
)
def test_reports_a_failed_download(world: World, fault: Fault, code: int, words: tuple[str, ...]) -> None:
    place = world.app("small\n")
    world.index.fault(SMALL, fault)
    refused(world, world.build(place, *ONE), code, "small-1.0-py3-none-any.whl", SMALL, *words)
    assert sum(path == SMALL for path in (request.path for request in world.index.requests)) <= 5


def test_rejects_a_wheel_with_another_hash(world: World) -> None:
    place = world.app("small\n")
    data = world.index.data(SMALL)
    world.index.fault(SMALL, Fault(data=bytes(len(data))))
    refused(world, world.build(place, *ONE), 5, "small-1.0-py3-none-any.whl", "other bytes than", "sha256:")
    assert not list((world.cache / "partial").iterdir()) or all(not path.stat().st_size for path in (world.cache / "partial").iterdir())
    world.index.fault(SMALL, Fault())
    assert world.build(place, *ONE).digest


def test_rejects_a_wheel_with_paths_outside(world: World) -> None:
    world.add(SmallWheel("evil", extra=[Member("../../evil.py", b"x")]))
    refused(world, world.build(world.app("evil\n"), *ONE), 6, "evil-1.0-py3-none-any.whl", "'../../evil.py'")


@pytest.mark.parametrize("name", [".wh.small.py", ".wh..wh..opq"])
def test_rejects_a_wheel_and_a_project_that_delete_files(world: World, name: str) -> None:
    world.add(SmallWheel("evil", files={"evil.py": "", name: ""}))
    refused(world, world.build(world.app("small\nevil\n"), *ONE), 6, "evil 1.0: opt/venv/lib/", name, "deletes files")
    project = world.app("small\n", "other")
    (project / name).touch()
    ran = world.build(project, *ONE)
    (project / name).unlink()
    refused(world, ran, 3, f"cannot hold the name {name}", "Rename or move")


@pytest.mark.parametrize(
    ("fault", "words"), [(True, ("other bytes than",)), (False, ("no longer has", "--upgrade-base"))], ids=["hash", "gone"]
)
def test_rejects_a_debian_package_with_another_hash(world: World, fault: bool, words: tuple[str, ...]) -> None:
    path = path_of(world, "tzdata")
    world.mirror.fault(path, Fault(data=bytes(len(world.mirror.data(path)))) if fault else Fault(status=404))
    refused(world, world.build(world.app("small\n"), *ONE), 5, "tzdata_1.0-1.deb", *words)


def test_rejects_a_bad_signature(world: World, tmp_path: Path) -> None:
    path = f"/files/debian/dists/{SUITE.codename}/InRelease"
    place = world.app("small\n")
    world.mirror.fault(path, Fault(data=world.mirror.data(path).replace(b"Origin: Debian", b"Origin: Debiam")))
    refused(world, world.build(place, *ONE), 6, f"Debian {SUITE.codename} InRelease", "signature", "SHIPWHEEL_DEBIAN_MIRROR")
    other = FakeArchive(tmp_path / "other", SUITE.codename)
    other.publish()
    world.mirror.fault(path, Fault(data=(other.folder() / "InRelease").read_bytes()))
    refused(world, world.build(place, *ONE), 6, f"Debian {SUITE.codename} InRelease", "signature")


# Where it goes


def test_rejects_an_output_it_cannot_write(world: World) -> None:
    place, folder = world.app("small\n"), world.root / "mine"
    folder.mkdir()
    (folder / "file").write_text("precious")
    for output, words in {
        folder: (str(folder), "not an OCI image layout"),
        folder / "file": (str(folder / "file"), "not a directory"),
        folder / "file" / "below": ("below", str(folder / "file"), "not a directory"),
    }.items():
        refused(world, world.build(place, "-o", output), 2, *words)
    assert [path.name for path in folder.iterdir()] == ["file"]
    assert not world.index.requests, "before anything is asked for"


def test_rejects_a_broken_layout_as_output(world: World) -> None:
    place, layout = world.app("small\n"), world.root / "layout"
    layout.mkdir()
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (layout / "index.json").write_text('{"schemaVersion": 2, "manif')
    refused(world, world.build(place, "-o", layout), 9, "index.json", "delete it")
    assert not world.index.requests


@needs_root
@pytest.mark.parametrize("size", ["48k", "1m"])
def test_continues_after_the_store_filled_its_disk(world: World, size: str) -> None:
    """The disk may fill up during a download or while segments are built; the build continues once there is room."""
    world.add(SmallWheel("large", files={"large.bin": os.urandom(800_000)}))
    place = world.app("small\nlarge\n")
    with small_disk(world.root / "disk", size) as disk:
        refused(world, world.build(place, *ONE, env={"SHIPWHEEL_CACHE": str(disk)}), 10, "no space left", str(disk), "SHIPWHEEL_CACHE")
        assert list((disk / "tmp").glob("*")) == []
        subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
        assert world.build(place, *ONE, env={"SHIPWHEEL_CACHE": str(disk)}).digest
    assert world.run("validate", world.output(place)).code == 0


@needs_root
@pytest.mark.parametrize("name", ["out.oci", "out.tar"])
def test_reports_a_full_disk_for_the_output(world: World, name: str) -> None:
    place = world.app("small\n")
    with small_disk(world.root / "disk", "16k") as disk:
        refused(world, world.build(place, *ONE, "-o", disk / name), 7, str(disk / name), "No space left", "Free some space")
        assert list(disk.iterdir()) == []


# The store


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "flipped":
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([(data[middle] + 1) % 256]) + data[middle + 1 :] if data else b"x")
    else:
        path.write_bytes(data[: len(data) // 2])


def files_of(world: World, kind: str) -> list[Path]:
    """Return the store's files of this kind."""
    blobs = [path for path in (world.cache / "blobs").rglob("*") if path.is_file() and path.stat().st_size]
    match kind:
        case "wheels":
            return [path for path in blobs if path.read_bytes()[:2] == b"PK"]
        case "packages":
            return [path for path in blobs if path.read_bytes()[:7] == b"!<arch>"]
        case "segments":
            return [path for path in blobs if path.read_bytes()[:2] == b"\x1f\x8b"]
        case "records":
            return [path for path in (world.cache / "records").rglob("*") if path.is_file()]
        case "bytecode":
            return [world.cache / "bytecode.sqlite3"]
        case _:
            return [path for path in (world.output(world.root / "shop") / "blobs").rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, archive: FakeArchive, common: World) -> Iterator[tuple[World, str]]:
    """Build with bytecode, and return the digest; each test damages a copy of the store."""
    with World(tmp_path_factory.mktemp("undisturbed")) as made:
        fill(made, archive, common)
        yield made, made.build(made.app("small\nnative\n"), "--bytecode", *ONE).digest


@pytest.mark.parametrize(
    ("kind", "how"),
    [("segments", "flipped"), ("records", "flipped"), ("bytecode", "cut"), ("layout", "flipped"), ("layout", "cut"), ("everything", "cut")],
)
def test_replaces_a_damaged_store_entry(undisturbed: tuple[World, str], kind: str, how: str) -> None:
    world, digest = undisturbed
    place = world.root / "shop"
    kinds = ["wheels", "packages", "segments"] if kind == "everything" else [kind]
    for path in (path for one in kinds for path in files_of(world, one)):
        damage(path, how)
    if kind == "bytecode":
        for path in files_of(world, "segments"):
            path.unlink()
    if kind != "layout":
        shutil.rmtree(world.output(place))
    ran = world.build(place, "--bytecode", *ONE)
    assert ran.digest == digest
    assert ("damaged" in ran.err) == (kind in ("segments", "everything") or (kind, how) == ("layout", "flipped")), ran.err
    assert all(Store(world.cache).verify(digest_named(f"sha256:{path.name}")) for path in files_of(world, "segments"))
    assert world.run("validate", world.output(place)).code == 0


def test_replaces_a_wrong_partial_download(undisturbed: tuple[World, str]) -> None:
    world, digest = undisturbed
    wheels = files_of(world, "wheels")
    for path in (*wheels, *files_of(world, "segments")):
        path.unlink()
        (world.cache / "partial" / path.name).write_bytes(b"something else, from another time")
    shutil.rmtree(world.output(world.root / "shop"))
    assert world.build(world.root / "shop", "--bytecode", *ONE).digest == digest


def test_rejects_a_file_as_the_store(world: World) -> None:
    world.cache.write_text("")
    ran = world.build(world.app("small\n"))
    assert (ran.code, "SHIPWHEEL_CACHE" in ran.err, "Traceback" in ran.err) == (10, True, False)


# Secrets


def test_uses_credentials_and_never_shows_them(world: World) -> None:
    place = world.app("small\n")
    secrets = {
        "UV_DEFAULT_INDEX": world.index.simple.replace("://", "://someone:s3cr3t-index@"),
        "SHIPWHEEL_DEBIAN_MIRROR": f"{world.mirror.url}/files/debian".replace("://", "://someone:s3cr3t-mirror@"),
    }
    ran = world.build(place, *ONE, env=secrets)
    assert ran.digest
    said = [ran.out, ran.err]
    wanted = {f"Basic {base64.b64encode(f'someone:s3cr3t-{name}'.encode()).decode()}" for name in ("index", "mirror")}
    for server in (world.index, world.mirror):
        assert {request.headers.get("authorization") for request in server.requests} < wanted, "with every request, files included"
    world.index.fault(SMALL, Fault(status=500))
    world.mirror.fault(path_of(world, "tzdata"), Fault(status=404))
    for path in world.cache.rglob("*"):
        if path.is_file():
            path.unlink()
    for line in ("small\n", "small==7\n"):
        failed = world.build(world.app(line, "again"), *ONE, env=secrets)
        assert failed.code != 0
        said += [failed.out, failed.err]
    assert "s3cr3t" not in "".join(said)
    spilled = [path for path in world.root.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]
    assert [path for path in spilled if world.root / "uv" not in path.parents] == []
