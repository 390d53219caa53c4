"""Builds on a base image: what the lock pins, which of its config and directories are kept, and which bases are rejected."""

import json
import re
import tarfile
import tomllib
from pathlib import Path

import msgspec
import pytest

from shipwheel.base.image_facts import image_facts
from shipwheel.digest import digest_of
from shipwheel.errors import ImageError
from shipwheel.files.entry import FileEntry, directory, file, symlink
from shipwheel.oci.image import FileLayer, Image, make_index
from shipwheel.oci.layout import read_layout, write_layout
from shipwheel.oci.model import ContainerConfig, History, Manifest, decode, encode
from shipwheel.oci.read.file_tree import read_file_tree
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.testing.bases import interpreter, python_base, python_files
from shipwheel.testing.images import AMD64, ARM64, small_image, small_layer
from shipwheel.testing.registry import FakeRegistry
from shipwheel.testing.world import MINOR, SUITE, CommandResult, World

VERSION = f"{MINOR}.7"
OTHER = "==3.13.*" if MINOR == "3.11" else "==3.11.*"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def facts(image: Image, store: Store, python: str = "") -> object:
    return image_facts(image, read_file_tree(image, store, "base"), "base", python)


def base_layout(store: Store, root: Path, *platforms: Platform, version: str = VERSION, **config: object) -> Path:
    """Write a layout with images like the official Python ones, and return its path."""
    images = [
        python_base(
            store,
            platform,
            python_files(version, platform=platform, codename=SUITE.codename),
            {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C", "FROM_BASE": "1"},
            **config,
        )
        for platform in platforms or (AMD64, ARM64)
    ]
    write_layout(make_index(images), root / "base.oci", store, name="base:1")
    return root / "base.oci"


def test_inspects_an_image_like_the_official_python(store: Store) -> None:
    found = image_facts(image := python_base(store), read_file_tree(image, store, "base"), "base")
    assert (found.python, found.interpreter, found.libc, found.musl) == ("3.12.4", "/usr/local/bin/python3.12", (2, 36), False)
    assert (found.user, found.certificates, found.codename) == ("", "/etc/ssl/certs/ca-certificates.crt", "bookworm")
    assert found.unpacked_size > 0


def test_recognizes_musl(store: Store) -> None:
    image = python_base(store, ARM64, python_files("3.12.4", platform=ARM64, libc="1.2.5", musl=True))
    found = image_facts(image, read_file_tree(image, store, "base"), "base")
    assert (found.libc, found.musl, found.codename) == ((1, 2), True, "")


USERS = {
    "": "",
    "root": "",
    "0:0": "",
    "worker": "1001:1002",
    "1001": "1001:1002",
    "worker:staff": "1001:50",
    "7:8": "7:8",
    "who": "",
    "who:staff": "",
    "1001:who": "1001:1002",
    "4294967295": "",
    "9" * 5000: "",
    ":7": "",
}


@pytest.mark.parametrize(("user", "expected"), USERS.items())
def test_the_user_becomes_numeric_and_root_empty(store: Store, user: str, expected: str) -> None:
    image = python_base(store, user=user)
    assert image_facts(image, read_file_tree(image, store, "base"), "base").user == expected


def test_takes_the_first_interpreter_on_the_path_or_the_selected_one(store: Store) -> None:
    more = [*python_files(), file("usr/bin/python3.9", interpreter("3.9.2"), 0o755), symlink("usr/bin/python3", "python3.9")]
    image = python_base(store, files=more)
    assert image_facts(image, read_file_tree(image, store, "base"), "base").interpreter == "/usr/local/bin/python3.12"
    assert image_facts(image, read_file_tree(image, store, "base"), "base", "3.9").python == "3.9.2"
    with pytest.raises(ImageError, match=r"no Python 3\.8, but python3\.12, python3\.9"):
        facts(image, store, "3.8")


def test_rejects_an_image_without_python_and_names_examples(store: Store) -> None:
    image = python_base(store, files=[entry for entry in python_files() if "python" not in entry.path])
    with pytest.raises(ImageError, match="no Python on its PATH") as caught:
        facts(image, store)
    assert "python:3.12-slim" in caught.value.hint


def test_rejects_an_image_with_a_wrong_platform_label(store: Store) -> None:
    image = python_base(store, ARM64, python_files(platform=AMD64))
    with pytest.raises(ImageError, match="not a program for linux/arm64"):
        facts(image, store)


def layered(store: Store, *layers: list[FileEntry]) -> Image:
    return small_image(store, AMD64, [small_layer(store, entries, f"layer {number}") for number, entries in enumerate(layers)])


def test_follows_links_but_not_dangling_or_circular_ones(store: Store) -> None:
    tree = read_file_tree(
        layered(store, [symlink("a", "b"), symlink("b", "a"), symlink("up", "../../../etc/x"), file("etc/x", "1")]), store, "image"
    )
    assert tree.real("a") is None
    assert tree.real("up") == "etc/x"


def test_builds_on_the_image_of_a_layout(world: World) -> None:
    base = base_layout(
        world.store, world.root, user="worker", labels={"org.opencontainers.image.title": "base", "team": "a"}, stop_signal="SIGINT"
    )
    project = world.app("small\nnative\n")
    document = world.build(project, "--base", f"oci:{base}").document
    before = read_layout(base).images().images[0]
    index = read_layout(world.output(project)).images()
    assert [str(image.platform) for image in index.images] == ["linux/amd64", "linux/arm64"]
    image = index.images[0]
    config = image.config_file
    assert [layer.descriptor.digest for layer in image.layers][:1] == [layer.descriptor.digest for layer in before.layers]
    env = dict(entry.split("=", 1) for entry in config.config.env)
    assert env["PATH"] == "/opt/venv/bin:/usr/local/bin:/usr/bin:/bin"
    assert (env["FROM_BASE"], env["LANG"]) == ("1", "C.UTF-8")
    assert (config.config.user, config.config.stop_signal) == ("1001:1002", "SIGINT")
    assert config.config.entrypoint == ("/usr/bin/tini-static", "--"), "the base's command is cleared"
    assert config.config.cmd == ("python", "main.py")
    assert config.config.labels["team"] == "a"
    assert config.config.labels["org.opencontainers.image.title"] == "shop"
    manifest = json.loads(image.manifest)
    assert manifest["annotations"]["org.opencontainers.image.base.digest"] == read_layout(base).entries[0].digest
    assert "org.opencontainers.image.base.name" not in manifest["annotations"], "paths of this machine are not published"
    packages = {"libfoo1": "1.0-1", "tini": "1.0-1"}
    assert document["images"][0]["packages"] == packages, "the base's suite provides the libraries that the base lacks"


def test_the_lock_pins_the_image_until_the_base_is_upgraded(world: World) -> None:
    project = world.app("small\n")
    base = f"oci:{base_layout(world.store, world.root)}"
    world.build(project, "--base", base)
    lock = tomllib.loads((project / "pylock.toml").read_text())["tool"]["shipwheel"]["base"]["amd64"]["image"]
    assert lock["facts"]["python"] == VERSION
    assert world.build(project, "--base", base).digest == world.build(project, "--base", base).digest
    moved = base_layout(world.store, world.root, version=f"{MINOR}.8")
    failed = world.build(project, "--base", base)
    assert failed.code == 4 and "--upgrade-base" in failed.err, "the layout has another image now"
    upgraded = world.build(project, "--base", base, "--upgrade-base")
    assert upgraded.code == 0, upgraded.err
    again = tomllib.loads((project / "pylock.toml").read_text())["tool"]["shipwheel"]["base"]["amd64"]["image"]
    assert again["facts"]["python"] == f"{MINOR}.8" and again["digest"] == read_layout(moved).entries[0].digest


def test_rejects_a_base_without_the_platform(world: World) -> None:
    base = base_layout(world.store, world.root, AMD64)
    failed = world.build(world.app("small\n"), "--base", f"oci:{base}")
    assert failed.code == 2
    assert "no image for linux/arm64" in failed.err and "Platforms that it has: linux/amd64" in failed.err


def test_rejects_a_base_whose_python_the_project_does_not_support(world: World) -> None:
    project = world.app("small\n")
    (project / "shipwheel.toml").write_text('command = ["python", "main.py"]\n')
    (project / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\nrequires-python = "' + OTHER + '"\n')
    failed = world.build(project, "--base", f"oci:{base_layout(world.store, world.root)}")
    assert failed.code == 3
    assert f"has Python {MINOR}, which the project does not support" in failed.err


def test_reads_the_image_of_a_registry_once(world: World) -> None:
    base = base_layout(world.store, world.root)
    project = world.app("small\n")
    with FakeRegistry() as registry:
        name = f"{registry.host}/bases/python:1"
        assert world.run("push", base, name).code == 0
        first = world.build(project, "--base", name)
        assert first.code == 0, first.err
        assert len(registry.received("GET", r".*/blobs/.*")) == 4, "two configs and two layers"
        seen = len(registry.received("GET"))
        assert world.build(project, "--base", name).digest == first.digest
        assert len(registry.received("GET")) == seen, "a pinned image that the store knows needs no request"
    manifest = json.loads(read_layout(world.output(project)).images().images[0].manifest)
    assert manifest["annotations"]["org.opencontainers.image.base.name"] == name


@pytest.mark.parametrize("pushing", [False, True])
def test_closes_connections_to_the_base_s_registry(world: World, pushing: bool) -> None:
    base = base_layout(world.store, world.root)
    project = world.app("small\n")
    with FakeRegistry() as registry:
        assert world.run("push", base, f"{registry.host}/bases/python:1").code == 0
        flags = ("--base", f"{registry.host}/bases/python:1", *(("--push", "-t", f"{registry.host}/team/shop:1") if pushing else ()))
        env = {"PYTHONWARNINGS": "error::ResourceWarning", "SHIPWHEEL_CACHE": str(world.root / "empty")}
        done = world.run("build", project, "--no-bytecode", *flags, env=env)
    assert done.code == 0, done.err
    assert "ResourceWarning" not in done.err


def test_lock_and_lock_check_accept_a_base_image(world: World) -> None:
    project = world.app("small\n")
    base = f"oci:{base_layout(world.store, world.root)}"
    (project / "shipwheel.toml").write_text(f'command = ["python", "main.py"]\nbase = "{base}"\n')
    assert world.run("lock", "--check", project).code != 0
    done = world.run("lock", project)
    assert done.code == 0, done.err
    assert world.run("lock", "--check", project).code == 0
    plan = world.run("plan", project, "--json").document
    assert plan["platforms"][0]["base"].startswith(base) and plan["platforms"][0]["libc"] == "glibc 2.36"


def test_lock_accepts_the_same_base_as_build(world: World) -> None:
    project = world.app("small\n")
    base = f"oci:{base_layout(world.store, world.root)}"
    assert world.run("lock", project).code == 0
    assert world.run("lock", "--check", project, "--base", base).code == 1, "the lock does not have it"
    assert world.run("lock", project, "--base", base).code == 0
    assert world.run("lock", "--check", project, "--base", base).code == 0
    assert base in (project / "pylock.toml").read_text()
    assert world.build(project, "--base", base).code == 0


@pytest.mark.parametrize("tag", ["", ":1"])
def test_the_plan_shows_a_pinned_base_with_one_digest(world: World, tag: str) -> None:
    project = world.app("small\n")
    with FakeRegistry() as registry:
        pushed = world.run("push", base_layout(world.store, world.root), f"{registry.host}/bases/python:1")
        name = f"{registry.host}/bases/python{tag}@{pushed.digest}"
        planned = world.run("plan", project, "--base", name, "--json")
        named = world.run("plan", project, "--base", f"{registry.host}/bases/python:1", "--upgrade-base", "--json")
    assert {each["base"] for each in planned.document["platforms"]} == {name}
    assert {each["base"] for each in named.document["platforms"]} == {f"{registry.host}/bases/python:1@{pushed.digest}"}


def build_on(
    world: World, project: Path, *more: FileEntry, without: str = "", flags: tuple[str, ...] = (), **config: object
) -> CommandResult:
    files = [entry for entry in python_files(VERSION, codename=SUITE.codename) if entry.path != without]
    image = python_base(world.store, AMD64, [*files, *more], {"PATH": "/usr/local/bin:/usr/bin:/bin"}, **config)
    write_layout(make_index([image]), world.root / "base.oci", world.store, name="base:1")
    return world.build(project, "--base", f"oci:{world.root / 'base.oci'}", "--no-bytecode", "--platform", "linux/amd64", *flags)


def attributes(layout: Path) -> dict[str, tuple[int, int, int]]:
    """Return (mode, uid, gid) of every directory of the image."""
    found: dict[str, tuple[int, int, int]] = {}
    for layer in read_layout(layout).images().images[0].layers:
        assert isinstance(layer, FileLayer)
        with tarfile.open(layer.path) as archive:
            found |= {one.name: (one.mode, one.uid, one.gid) for one in archive if one.isdir()}
    return found


OWNED = (
    directory("opt", 0o775, uid=0, gid=50),
    directory("opt/venv", 0o2775, uid=1001, gid=0),
    directory("app", 0o700, uid=1001, gid=1002),
    directory("usr/lib", 0o711),
    directory("srv/mine", 0o750, uid=7, gid=7),
    directory("srv/all", 0o1777),
    directory('srv/mine/a "name" = [\n] \u2028', 0o700, uid=(1 << 32) - 2),
)


def test_directories_of_the_base_keep_their_attributes(world: World) -> None:
    project = world.app("small\nnative\n")
    done = build_on(world, project, *OWNED, user="worker", flags=("--volume", "/srv/mine", "--volume", "/srv/all", "--volume", "/srv/new"))
    assert done.code == 0, done.err
    found = attributes(world.output(project))
    own = {entry.path: (entry.mode, entry.uid, entry.gid) for entry in OWNED}
    assert {path: found[path] for path in own} == own | {"srv/mine": (0o775, 1001, 0)}, "volumes belong to the user, and to group 0"
    assert found["srv/new"] == (0o775, 1001, 0) and found["tmp"] == (0o1777, 0, 0)
    again = world.build(project, "--base", f"oci:{world.root / 'base.oci'}", "--no-bytecode", "--platform", "linux/amd64")
    assert again.code == 0, again.err


def test_bases_without_special_directories_in_a_layer_s_paths_share_the_layer(world: World) -> None:
    project = world.app("small\n")
    assert build_on(world, project).code == 0
    first = [layer.descriptor.digest for layer in read_layout(world.output(project)).images().images[0].layers]
    assert build_on(world, project, directory("home/worker", 0o700, uid=1001, gid=1001), flags=("--upgrade-base",)).code == 0
    second = [layer.descriptor.digest for layer in read_layout(world.output(project)).images().images[0].layers]
    assert first[0] != second[0] and first[1:] == second[1:]
    assert build_on(world, project, directory("opt", 0o775), flags=("--upgrade-base",)).code == 0
    third = [layer.descriptor.digest for layer in read_layout(world.output(project)).images().images[0].layers]
    assert set(third) & {*first, *second} == {first[1], first[-1]}, "all layers change but the init and the project's source"


def test_adds_tmp_to_a_base_without_it(world: World) -> None:
    project = world.app("small\n")
    assert build_on(world, project, without="tmp").code == 0
    assert attributes(world.output(project))["tmp"] == (0o1777, 0, 0)
    assert build_on(world, project, symlink("tmp", "var/tmp"), without="tmp", flags=("--upgrade-base",)).code == 0
    assert "tmp" not in attributes(world.output(project))


CONFLICTS = {
    "opt is a link": ([symlink("opt", "etc")], "/opt: a link to etc, and "),
    "opt/venv is a link": ([symlink("opt/venv", "/srv")], "/opt/venv: a link to /srv, and "),
    "opt/venv is a file": ([file("opt/venv", "x")], "/opt/venv: a file, and "),
    "a virtual environment": ([file("opt/venv/pyvenv.cfg", "home = /usr/bin\n")], "/opt/venv: a virtual environment or other files"),
    "app is a link": ([symlink("app", "srv")], "/app: a link to srv, and "),
    "a directory for a file": ([file("app/main.py/x", "1")], "/app/main.py: a directory, and the source of shop|/app/main.py: a directory"),
}


@pytest.mark.parametrize("case", CONFLICTS)
def test_rejects_a_base_with_conflicting_paths(world: World, case: str) -> None:
    entries, expected = CONFLICTS[case]
    done = build_on(world, world.app("small\n"), *entries)
    assert done.code == 9, done.err
    assert re.search(expected, done.err), done.err
    assert "Use another base" in done.err


def test_tmp_stays_writable_for_everybody_with_a_workdir_below_it(world: World) -> None:
    """Also build_on a composed base."""
    project = world.app("small\n")
    with (project / "shipwheel.toml").open("a") as settings:
        settings.write('workdir = "/tmp/app"\nvolumes = ["/var/tmp/data"]\n')
    done = world.build(project, "--no-bytecode", "--platform", "linux/amd64")
    assert done.code == 0, done.err
    found = attributes(world.output(project))
    assert found["tmp"] == found["var/tmp"] == (0o1777, 0, 0)


def test_skips_a_virtual_environment_that_is_first_on_the_path(store: Store) -> None:
    """If its program is a link, the link leads to the interpreter; if it is a copy, the next entry is used."""
    linked = [symlink("opt/own/bin/python3", "/usr/local/bin/python3.12"), file("opt/own/pyvenv.cfg", "home = /usr/local/bin\n")]
    copied = [file("opt/own/bin/python3", interpreter("3.12.4"), 0o755), file("opt/own/pyvenv.cfg", "home = /usr/local/bin\n")]
    for more in (linked, copied):
        image = python_base(store, files=[*python_files(), *more], env={"PATH": "/opt/own/bin:/usr/local/bin"})
        found = image_facts(image, read_file_tree(image, store, "base"), "base")
        assert found.interpreter == "/usr/local/bin/python3.12"


@pytest.mark.parametrize("path", ["", ":", "relative:/usr/local/bin", "/../usr/local/bin"])
def test_ignores_odd_entries_of_the_path(store: Store, path: str) -> None:
    image = python_base(store, env={"PATH": path})
    if path == ":":
        with pytest.raises(ImageError, match="no Python on its PATH"):
            facts(image, store)
    else:
        assert image_facts(image, read_file_tree(image, store, "base"), "base").interpreter == "/usr/local/bin/python3.12"


def test_drops_the_base_s_python_variables(world: World) -> None:
    config = ContainerConfig(env=("PYTHONHOME=/usr", "PYTHONPATH=/site", "ODD", "=x", "PATH=/none", "PATH=/usr/local/bin", "KEPT=1"))
    image = small_image(world.store, AMD64, [small_layer(world.store, python_files(VERSION), "base")], config)
    write_layout(make_index([image]), world.root / "base.oci", world.store, name="base:1")
    project = world.app("small\n")
    done = world.build(project, "--base", f"oci:{world.root / 'base.oci'}", "--no-bytecode", "--platform", "linux/amd64")
    assert done.code == 0, done.err
    env = read_layout(world.output(project)).images().images[0].config_file.config.env
    assert "KEPT=1" in env and "PATH=/opt/venv/bin:/usr/local/bin" in env
    assert not [entry for entry in env if entry.startswith(("PYTHONHOME", "PYTHONPATH", "=", "ODD"))]


def test_rejects_a_base_with_too_many_layers_before_reading_it(world: World) -> None:
    layers = [small_layer(world.store, {f"srv/{number}": str(number)}, f"layer {number}") for number in range(127)]
    write_layout(make_index([small_image(world.store, AMD64, layers)]), world.root / "base.oci", world.store, name="base:1")
    done = world.build(world.app("small\n"), "--base", f"oci:{world.root / 'base.oci'}", "--platform", "linux/amd64")
    assert done.code == 9
    assert "has 127 layers" in done.err and "squash" in done.err


def test_reports_a_damaged_layout_once(world: World) -> None:
    base = base_layout(world.store, world.root, AMD64)
    layer = read_layout(base).images().images[0].layers[0]
    assert isinstance(layer, FileLayer)
    layer.path.write_bytes(layer.path.read_bytes()[:-100] + bytes(100))
    done = world.build(world.app("small\n"), "--base", f"oci:{base}", "--platform", "linux/amd64")
    assert done.code == 9, done.err
    assert "does not match its digest" in done.err and "checked" not in done.err
    layer.path.unlink()
    done = world.build(world.app("small\n"), "--base", f"oci:{base}", "--platform", "linux/amd64")
    assert done.code == 9, done.err
    assert "copy the layout again" in done.err


def test_rejects_a_password_in_a_base_name_without_repeating_it(world: World) -> None:
    done = world.build(world.app("small\n"), "--base", "user:s3cret@127.0.0.1:1/base:1")
    assert done.code == 2 and "s3cret" not in done.err


@pytest.mark.parametrize("lines", [0, 1, 5])
def test_drops_a_history_that_does_not_match_the_base_s_layers(world: World, lines: int) -> None:
    made = python_base(world.store, AMD64, python_files(VERSION), {"PATH": "/usr/local/bin"})
    history = tuple(History(created_by=f"step {number}") for number in range(lines))
    config = encode(msgspec.structs.replace(made.config_file, history=history))
    manifest = decode(made.manifest, Manifest, "")
    described = msgspec.structs.replace(manifest.config, digest=digest_of(config), size=len(config))
    image = msgspec.structs.replace(made, config=config, manifest=encode(msgspec.structs.replace(manifest, config=described)))
    write_layout(make_index([image]), world.root / "base.oci", world.store, name="base:1")
    project = world.app("small\n")
    done = world.build(project, "--base", f"oci:{world.root / 'base.oci'}", "--no-bytecode", "--platform", "linux/amd64")
    assert done.code == 0, done.err
    found = read_layout(world.output(project)).images().images[0]
    assert len(found.config_file.history) == len(found.layers)
    assert (found.config_file.history[0].created_by == "step 0") is (lines == 1)
