"""Images with a Python that no Debian suite has: where its build comes from, what the lock pins, and the errors."""

import gzip
import hashlib
import io
import json
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest

from shipwheel.base.targets import suite_of
from shipwheel.errors import UsageError
from shipwheel.locking import uv
from shipwheel.project.read import read_project
from shipwheel.settings.settings import Settings
from shipwheel.testing.package_index import Fault
from shipwheel.testing.registry import FakeRegistry
from shipwheel.testing.standalone import invented_files, make_standalone, standalone_name
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import MINOR, SUITE, CommandResult, World

_SUITE = f'suite = "{SUITE.codename}"\n'


def _app(world: World, settings: str = "") -> Path:
    folder = world.app("small\n", settings=_SUITE + settings)
    text = (folder / "shipwheel.toml").read_text()
    (folder / "shipwheel.toml").write_text(text.replace(f'python = "{MINOR}"\n', ""))
    (folder / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\nrequires-python = "==3.12.*"\n')
    return folder


def _disk(world: World, version: str = "3.12.1", release: str = "20240101", architectures: tuple[str, ...] = ("amd64", "arm64")) -> Path:
    folder = world.root / "disk"
    folder.mkdir(exist_ok=True)
    for architecture in architectures:
        files = {**invented_files("3.12", architecture, needed=["libfoo.so.1"]), "lib/python3.12/version.py": f"V = {version!r}\n".encode()}
        (folder / standalone_name(version, release, architecture)).write_bytes(make_standalone(files))
    return folder


def _base(folder: Path, architecture: str = "amd64") -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((folder / "pylock.toml").read_text())["tool"]["shipwheel"]["base"][architecture]
    return found


def _quoted(name: str) -> str:
    return name.replace("+", "%2B")


def _metadata(world: World, *archives: Path, hashes: bool = True, at: str = "builds") -> dict[str, str]:
    """Configure uv with a list of builds on the mirror instead of its own."""
    table = {}
    for path in archives:
        name = path.name
        machine, family = ("x86_64", "x86_64") if "x86_64" in name else ("aarch64", "aarch64")
        major, minor, patch = name.split("+")[0].removeprefix("cpython-").split(".")
        world.mirror.add(f"{at}/20240101/{name}", path.read_bytes())
        table[f"cpython-{major}.{minor}.{patch}-linux-{machine}-gnu"] = {
            "name": "cpython",
            "arch": {"family": family, "variant": None},
            "os": "linux",
            "libc": "gnu",
            "major": int(major),
            "minor": int(minor),
            "patch": int(patch),
            "prerelease": "",
            "url": f"{world.mirror.url}/files/{at}/20240101/{_quoted(name)}",
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest() if hashes else None,
            "variant": None,
            "build": "20240101",
        }
    listed = world.root / "downloads.json"
    listed.write_text(json.dumps(table))
    return {"UV_PYTHON_DOWNLOADS_JSON_URL": str(listed), "UV_PYTHON_INSTALL_MIRROR": ""}


def _entries(layout: Path, architecture: str) -> dict[str, tarfile.TarInfo]:
    """Return all members of one platform's layers by path."""

    def blob(digest: str) -> bytes:
        return (layout / "blobs" / digest.replace(":", "/")).read_bytes()

    index = json.loads(blob(json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]))
    digest = next(each["digest"] for each in index["manifests"] if each["platform"]["architecture"] == architecture)
    found: dict[str, tarfile.TarInfo] = {}
    for layer in json.loads(blob(digest))["layers"]:
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob(layer["digest"])))) as tar:
            found |= {info.name: info for info in tar}
    return found


def _failed(ran: CommandResult, code: int) -> str:
    assert ran.code == code, ran.err
    return ran.err


def test_builds_two_platforms_from_local_archives(world: World) -> None:
    folder = _app(world)
    disk = _disk(world)
    first = world.build(folder, "--python-builds", disk)
    assert first.digest
    base = _base(folder)
    name = standalone_name("3.12.1")
    digest = hashlib.sha256((disk / name).read_bytes()).hexdigest()
    assert base["standalone"] == {"version": "3.12.1", "release": "20240101", "filename": name, "sha256": digest, "architecture": "amd64"}
    assert base["suite"] == SUITE.codename
    names = [package["name"] for package in base["packages"]]
    assert not [each for each in names if "python" in each]
    # The libraries that its ELF files need are added.
    assert "libfoo1" in names
    assert _base(folder, "arm64")["standalone"]["filename"] == standalone_name("3.12.1", architecture="arm64")
    assert str(disk) not in (folder / "pylock.toml").read_text()
    for architecture in ("amd64", "arm64"):
        found = _entries(world.output(folder), architecture)
        assert "opt/python/bin/python3.12" in found
        assert found["opt/venv/bin/python"].linkname == "/opt/python/bin/python3.12"
        assert found["usr/bin/python3"].linkname == "/opt/python/bin/python3.12"
        assert not [path for path in found if path.startswith(("usr/lib/python", "opt/python/include", "opt/python/lib/tcl"))]
        assert [path for path in found if path.startswith("opt/venv/lib/python3.12/site-packages/small")]


def test_takes_the_standalone_python_that_has_the_missing_files(world: World) -> None:
    for machine in ("x86_64", "aarch64"):
        world.add(SmallWheel("old", "1.0", tag=f"cp312-cp312-manylinux_2_17_{machine}", purelib=False))
        world.add(SmallWheel("old", "2.0", tag=f"cp313-cp313-manylinux_2_17_{machine}", purelib=False))
    folder, disk = world.root / "shop", _disk(world)
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.11,<3.14"\ndependencies = ["old==1.0"]\n'
    )
    first = world.run("lock", folder, "--python-builds", disk)
    assert "Python 3.12 is used, since 3.13 does not work: old 1.0: no wheel is for Python 3.13" in first.err
    assert 'With other versions, 3.13 may do: in pyproject.toml, [tool.uv] override-dependencies = ["old==2.0"]' in first.err
    # The lock is current, so its Python is the first that is tried.
    second = world.run("lock", folder, "--python-builds", disk)
    assert (second.code, "is used" in second.err) == (0, False)
    assert world.run("lock", folder, "--check").code == 0
    # What the user names is taken by its word.
    assert "(--python 3.12)" in _failed(world.run("lock", folder, "--python-builds", disk, "--python", "3.13"), 4)


def test_gives_the_same_image_again_and_in_an_empty_store(world: World, tmp_path: Path) -> None:
    folder, disk = _app(world), _disk(world)
    first = world.build(folder, "--python-builds", disk)
    # Neither the archive nor the server is needed any more.
    again = world.build(folder, env={"SHIPWHEEL_DEBIAN_MIRROR": "http://127.0.0.1:9/debian"})
    assert again.digest == first.digest
    elsewhere = world.build(folder, "--python-builds", disk, env={"SHIPWHEEL_CACHE": str(tmp_path / "other")})
    assert elsewhere.digest == first.digest


def test_the_lock_pins_the_build_until_the_base_is_upgraded(world: World) -> None:
    folder, disk = _app(world), _disk(world)
    first = world.build(folder, "--python-builds", disk)
    (world.root / "old.toml").write_bytes((folder / "pylock.toml").read_bytes())
    _disk(world, "3.12.7")
    assert world.build(folder, "--python-builds", disk).digest == first.digest
    plan = world.run("plan", folder)
    assert f"Debian {SUITE.codename} with Python 3.12.1 (standalone 20240101)" in plan.out
    assert world.build(folder, "--python-builds", disk, "--upgrade-base").digest != first.digest
    assert {_base(folder, each)["standalone"]["version"] for each in ("amd64", "arm64")} == {"3.12.7"}
    diff = world.run("lock", folder, "--diff", world.root / "old.toml")
    assert "Python (standalone) 3.12.1+20240101 → 3.12.7+20240101" in diff.out, diff
    assert world.build(folder, "--python-builds", disk, "--python", "3.12.1").digest
    assert _base(folder)["standalone"]["version"] == "3.12.1"


def test_a_platform_that_is_added_later_gets_the_same_version(world: World) -> None:
    folder, disk = _app(world), _disk(world)
    assert world.build(folder, "--python-builds", disk, "--platform", "linux/amd64").digest
    _disk(world, "3.12.7")
    assert world.build(folder, "--python-builds", disk).digest
    assert {_base(folder, each)["standalone"]["version"] for each in ("amd64", "arm64")} == {"3.12.1"}


def test_uses_the_newest_version_that_all_platforms_have(world: World) -> None:
    folder, disk = _app(world), _disk(world)
    _disk(world, "3.12.7", architectures=("amd64",))
    assert world.build(folder, "--python-builds", disk).digest
    assert _base(folder)["standalone"]["version"] == "3.12.1"
    one = world.build(folder, "--python-builds", disk / standalone_name("3.12.1"), "--upgrade-base")
    assert "there is no standalone build of it" in _failed(one, 5)
    assert "for amd64 and arm64, only 3.12.1 for amd64" in one.err


def test_ignores_a_locked_standalone_base_for_debian_s_python(world: World) -> None:
    folder, disk = _app(world), _disk(world)
    assert world.build(folder, "--python-builds", disk).digest
    (folder / "pyproject.toml").unlink()
    assert world.build(folder, "--python", MINOR).digest
    assert "standalone" not in _base(folder)
    assert [package for package in _base(folder)["packages"] if package["name"] == f"python{MINOR}-minimal"]


def test_uses_the_builds_that_uv_is_configured_with(world: World) -> None:
    folder, disk = _app(world), _disk(world)
    env = _metadata(world, *sorted(disk.iterdir()))
    ran = world.build(folder, env=env)
    assert ran.digest
    lock = (folder / "pylock.toml").read_text()
    assert world.mirror.url.removeprefix("http://") not in lock
    assert len([request for request in world.mirror.requests if "/builds/" in request.path]) == 2
    # The same archives on disk give the same images.
    assert world.build(folder, "--python-builds", disk, env={"SHIPWHEEL_CACHE": str(world.root / "other")}).digest == ran.digest


def test_plan_refuses_a_python_that_cannot_be_fetched(world: World) -> None:
    folder, disk = _app(world), _disk(world)
    env = _metadata(world, *sorted(disk.iterdir()))
    assert world.run("plan", folder, env=env).code == 0
    assert not [request for request in world.mirror.requests if "/builds/" in request.path and request.headers.get("range")]
    for path in disk.iterdir():
        world.mirror.fault(f"/files/builds/20240101/{path.name}", Fault(status=404))
    planned, built = world.run("plan", folder, env=env), world.build(folder, env=env)
    assert (planned.code, built.code) == (5, 5), planned.err
    assert "Python 3.12 is not available" in planned.err
    assert planned.err.partition("hint:")[2] == built.err.partition("hint:")[2]


def test_reads_the_hash_from_the_release(world: World) -> None:
    folder, disk = _app(world), _disk(world)
    env = _metadata(world, *sorted(disk.iterdir()), hashes=False)
    assert "no hash of cpython-3.12.1+20240101-x86_64" in _failed(world.build(folder, env=env), 5)
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(disk.iterdir()))
    world.mirror.add("builds/20240101/SHA256SUMS", sums.encode())
    assert world.build(folder, env=env).digest


def test_a_chosen_mirror_is_used_and_not_trusted(world: World) -> None:
    folder, disk = _app(world), _disk(world)
    env, other = _metadata(world, *sorted(disk.iterdir())), "elsewhere/python-build-standalone"
    chosen = ("mirrors", "--use", f"{world.mirror.url}/files/{other}")
    for path in sorted(disk.iterdir()):
        world.mirror.add(f"{other}/20240101/{path.name}", path.read_bytes())
    world.mirror.fault("/files/builds/*", Fault(status=404))
    assert world.run(*chosen).code == 0
    first = world.build(folder, env=env)
    assert first.code == 0, first.err
    for path in sorted(disk.iterdir()):
        world.mirror.add(f"{other}/20240101/{path.name}", b"evil")
    world.mirror.fault("/files/builds/*", Fault())
    env["SHIPWHEEL_CACHE"] = str(world.root / "new")
    assert world.run(*chosen, env=env).code == 0
    assert world.build(folder, env=env).digest == first.digest


def test_a_bundle_for_a_build_has_the_python(world: World) -> None:
    folder, disk = _app(world, "bytecode = false\n"), _disk(world)
    env = _metadata(world, *sorted(disk.iterdir()))
    assert world.run("bundle", folder, "--for-build", "-o", "inputs.tar", env=env).code == 0
    first = world.build(folder, env=env)
    world.refuse()
    env["SHIPWHEEL_CACHE"] = str(world.root / "air")
    assert world.run("unbundle", "inputs.tar", env=env).code == 0
    assert world.build(folder, env=env).digest == first.digest


def test_rejects_wrong_bytes_from_a_server(world: World) -> None:
    folder, disk = _app(world), _disk(world)
    env = _metadata(world, *sorted(disk.iterdir()))
    for path in sorted(disk.iterdir()):
        world.mirror.add(f"builds/20240101/{path.name}", make_standalone({**invented_files("3.12"), "lib/python3.12/os.py": b"evil\n"}))
    ran = world.build(folder, env=env)
    assert ran.code != 0
    assert "cpython-3.12.1+20240101" in ran.err
    assert "do not trust that server" in ran.err
    assert not world.output(folder).exists()


def test_checks_a_mirror_and_local_files_against_uv_s_hashes(world: World) -> None:
    """uv lists builds without hashes; this fails if it no longer prints them in the way that shipwheel relies on."""
    listed = [item for item in uv.python_downloads(world.root) if item.version.startswith("3.12.")]
    assert {item.arch for item in listed} >= {"x86_64", "aarch64"}
    newest = next(item for item in listed if item.arch == "x86_64")
    release, name = newest.url.replace("%2B", "+").split("/")[-2:]
    sha256 = uv.python_sha256(newest.key, release, name)
    assert sha256 is not None
    world.mirror.add(f"builds/{release}/{name}", make_standalone(invented_files("3.12")))
    folder = _app(world, f'python-builds = "{world.mirror.url}/files/builds"\nplatforms = "linux/amd64"\n')
    ran = world.build(folder)
    assert ran.code != 0
    assert f"expected sha256:{sha256}" in ran.err
    # A local file of that name is checked as well.
    disk = world.root / "saved"
    disk.mkdir()
    (disk / _quoted(name)).write_bytes(make_standalone(invented_files("3.12")))
    ran = world.build(folder, "--python-builds", disk)
    assert f"was published with {sha256:.16}" in ran.err
    assert "download it again" in ran.err


def test_checks_a_local_file_against_sha256sums(world: World) -> None:
    folder, disk = _app(world), _disk(world)
    name = standalone_name("3.12.1")
    (disk / "SHA256SUMS").write_text(f"{'0' * 64}  {name}\n")
    assert "was published with 0000000000000000" in _failed(world.build(folder, "--python-builds", disk), 5)


def test_rejects_a_truncated_archive(world: World) -> None:
    folder, disk = _app(world), _disk(world)
    path = disk / standalone_name("3.12.1")
    path.write_bytes(path.read_bytes()[:-100])
    ran = world.build(folder, "--python-builds", disk)
    assert "error: Python 3.12.1 (standalone 20240101): the archive is damaged" in ran.err
    assert "hint: Fetch it again" in ran.err


def test_rejects_an_archive_for_another_machine(world: World) -> None:
    folder, disk = _app(world), _disk(world)
    (disk / standalone_name("3.12.1")).write_bytes((disk / standalone_name("3.12.1", architecture="arm64")).read_bytes())
    ran = world.build(folder, "--python-builds", disk, "--platform", "linux/amd64")
    assert "opt/python/bin/python3.12 is for EM_AARCH64, not for amd64" in ran.err


def test_reports_a_locked_archive_that_is_gone(world: World) -> None:
    folder, disk = _app(world), _disk(world)
    assert world.build(folder, "--python-builds", disk).digest
    for path in disk.iterdir():
        path.unlink()
    ran = world.build(folder, "--python-builds", disk, env={"SHIPWHEEL_CACHE": str(world.root / "other")})
    assert "is not among the available builds" in _failed(ran, 5)


def test_rejects_an_archive_that_differs_from_the_lock(world: World) -> None:
    folder, disk = _app(world), _disk(world)
    assert world.build(folder, "--python-builds", disk).digest
    (disk / standalone_name("3.12.1")).write_bytes(make_standalone({**invented_files("3.12"), "lib/python3.12/os.py": b"evil\n"}))
    ran = world.build(folder, "--python-builds", disk, env={"SHIPWHEEL_CACHE": str(world.root / "other")})
    assert ran.code != 0
    assert standalone_name("3.12.1") in ran.err
    assert "--upgrade-base" in ran.err


def test_reports_a_missing_directory(world: World) -> None:
    ran = world.build(_app(world), "--python-builds", world.root / "nowhere")
    assert f"error: the setting python-builds names {world.root / 'nowhere'}, which cannot be read: No such file" in _failed(ran, 5)


def test_lists_the_alternatives(world: World) -> None:
    folder = _app(world)
    env = _metadata(world)
    ran = world.build(folder, env=env)
    assert "error: Python 3.12 is not available: no Debian suite has Python 3.12, and there is no standalone build of it" in _failed(ran, 5)
    assert "hint: Alternatives: Debian's Python 3.13, if the project runs with it: let its requirement ==3.12.* allow that;" in ran.err
    assert "a standalone build from a mirror or from disk (--python-builds" in ran.err
    (folder / "pyproject.toml").unlink()
    ran = world.build(folder, "--python", "3.12", env=env)
    assert "hint: Alternatives: Debian's Python 3.13, 3.11, 3.14 or 3.9, which the project allows (--python 3.13);" in ran.err
    assert "an image with Python 3.12 (--base)" in ran.err


def test_lists_the_alternatives_when_a_server_is_unreachable(world: World) -> None:
    folder = _app(world, 'python-builds = "http://127.0.0.1:9/builds"\n')
    ran = world.build(folder)
    assert "error: Python 3.12 is not available: no Debian suite has Python 3.12, and" in _failed(ran, 5)
    assert "hint: Alternatives: " in ran.err
    # No wheel was fetched before.
    assert not [request for request in world.index.requests if request.path.endswith(".whl")]


def test_lock_pins_the_build(world: World) -> None:
    folder, disk = _app(world), _disk(world)
    assert world.run("lock", folder, "--python-builds", disk).code == 0
    assert 'python = "3.12"' in (folder / "pylock.toml").read_text()
    assert world.run("lock", folder, "--python-builds", disk, "--check").code == 0
    assert world.build(folder, "--python-builds", disk).digest
    assert world.run("lock", folder, "--check", env=_metadata(world)).code == 0


def test_chooses_the_suite(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("print()\n")
    (tmp_path / "requirements.txt").write_text("")

    def suite(**settings: str) -> tuple[str, str]:
        found = suite_of(read_project(tmp_path, Settings(**settings)))  # type: ignore[arg-type]
        return found.codename, found.python

    assert suite(python="3.12") == ("trixie", "")
    assert suite(python="3.10.4", suite="bookworm") == ("bookworm", "")
    assert suite(python="3.11") == ("bookworm", "3.11")
    with pytest.raises(UsageError):
        suite(python="3.11", suite="trixie")


def test_a_relative_directory_is_relative_to_the_project(world: World) -> None:
    folder, disk = _app(world, 'python-builds = "../disk"\n'), _disk(world)
    assert world.build(folder).digest
    days = disk / "20240101"
    days.mkdir()
    for path in sorted(disk.glob("*.gz")):
        path.replace(days / _quoted(path.name))
    assert world.build(folder, env={"SHIPWHEEL_CACHE": str(world.root / "other")}).digest
    assert world.build(folder, "--python-builds", f"file://{disk}", env={"SHIPWHEEL_CACHE": str(world.root / "third")}).digest


def test_a_registry_that_has_the_layers_saves_the_download(world: World) -> None:
    folder, disk = _app(world), _disk(world)
    with FakeRegistry() as registry:
        name = f"{registry.host}/team/shop:1"
        first = world.run("build", folder, "--no-bytecode", "--json", "--push", "-t", name, "--python-builds", disk)
        assert first.digest
        env = {"SHIPWHEEL_CACHE": str(world.root / "other")}
        # The archive is gone, and it is not needed.
        again = world.run("build", folder, "--no-bytecode", "--json", "--push", "-t", name, "--python-builds", world.root / "gone", env=env)
        assert again.digest == first.digest
        # A changed line of the app gives another image on the same layers.
        (folder / "main.py").write_text("print(1)\n")
        env = {"SHIPWHEEL_CACHE": str(world.root / "third")}
        edited = world.run(
            "build", folder, "--no-bytecode", "--json", "--push", "-t", name, "--python-builds", world.root / "gone", env=env
        )
        assert edited.digest != first.digest


def test_rejects_a_micro_version_that_the_project_does_not_allow(world: World) -> None:
    folder, disk = _app(world), _disk(world)
    _disk(world, "3.12.7")
    text = (folder / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(text.replace("==3.12.*", "==3.12.*,<3.12.5"))
    assert world.build(folder, "--python-builds", disk).digest
    assert _base(folder)["standalone"]["version"] == "3.12.1"
    (folder / "pyproject.toml").write_text(text.replace("==3.12.*", "==3.12.*,<3.12.1"))
    assert "there is no standalone build of it" in _failed(world.build(folder, "--python-builds", disk), 5)
