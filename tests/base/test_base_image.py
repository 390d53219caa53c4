"""Other images as bases: what is found out of them, what the lock pins, and how their config lies under ours."""

import json
import re
import tarfile
import tomllib
from pathlib import Path

import msgspec
import pytest

from shipwheel.base.image_facts import image_facts
from shipwheel.errors import ImageError
from shipwheel.files.entry import FileEntry, directory, file, symlink
from shipwheel.oci.image import FileLayer, Image, digest_of, make_index
from shipwheel.oci.layout import read_layout, write_layout
from shipwheel.oci.model import ContainerConfig, History, Manifest, decode, encode
from shipwheel.oci.read.tree import read_tree
from shipwheel.platform import Platform
from shipwheel.store import Store
from shipwheel.testing.bases import interpreter, python_base, python_files
from shipwheel.testing.images import AMD64, ARM64, small_image, small_layer
from shipwheel.testing.registry import FakeRegistry
from shipwheel.testing.world import MINOR, SUITE, Ran, World

VERSION = f"{MINOR}.7"
OTHER = "==3.13.*" if MINOR == "3.11" else "==3.11.*"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def facts(image: Image, store: Store, python: str = "") -> object:
    return image_facts(image, read_tree(image, store, "base"), "base", python)


def based(store: Store, root: Path, *platforms: Platform, version: str = VERSION, **config: object) -> Path:
    """A layout with an official-Python-like image."""
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


def test_an_official_looking_image(store: Store) -> None:
    found = image_facts(image := python_base(store), read_tree(image, store, "base"), "base")
    assert (found.python, found.interpreter, found.libc, found.musl) == ("3.12.4", "/usr/local/bin/python3.12", (2, 36), False)
    assert (found.user, found.certificates, found.codename) == ("", "/etc/ssl/certs/ca-certificates.crt", "bookworm")
    assert found.unpacked_size > 0


def test_an_image_with_musl(store: Store) -> None:
    image = python_base(store, ARM64, python_files("3.12.4", platform=ARM64, libc="1.2.5", musl=True))
    found = image_facts(image, read_tree(image, store, "base"), "base")
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
def test_the_user_of_a_base_is_a_number_that_is_not_root(store: Store, user: str, expected: str) -> None:
    image = python_base(store, user=user)
    assert image_facts(image, read_tree(image, store, "base"), "base").user == expected


def test_of_several_interpreters_the_one_that_is_first_on_the_path_or_named(store: Store) -> None:
    more = [*python_files(), file("usr/bin/python3.9", interpreter("3.9.2"), 0o755), symlink("usr/bin/python3", "python3.9")]
    image = python_base(store, files=more)
    assert image_facts(image, read_tree(image, store, "base"), "base").interpreter == "/usr/local/bin/python3.12"
    assert image_facts(image, read_tree(image, store, "base"), "base", "3.9").python == "3.9.2"
    with pytest.raises(ImageError, match=r"no Python 3\.8, but python3\.12, python3\.9"):
        facts(image, store, "3.8")


def test_an_image_without_python_says_what_to_take(store: Store) -> None:
    image = python_base(store, files=[entry for entry in python_files() if "python" not in entry.path])
    with pytest.raises(ImageError, match="no Python on its PATH") as caught:
        facts(image, store)
    assert "python:3.12-slim" in caught.value.hint


def test_an_image_that_is_labelled_wrongly(store: Store) -> None:
    image = python_base(store, ARM64, python_files(platform=AMD64))
    with pytest.raises(ImageError, match="not a program for linux/arm64"):
        facts(image, store)


def layered(store: Store, *layers: list[FileEntry]) -> Image:
    return small_image(store, AMD64, [small_layer(store, entries, f"layer {number}") for number, entries in enumerate(layers)])


def test_layers_lie_on_one_another(store: Store) -> None:
    """image-spec, layer.md: whiteouts are about what is below them."""
    image = layered(
        store,
        [file("a/one", "1"), file("a/two", "2"), file("b/old", "1"), file("c/d/e", "1"), symlink("link", "a"), file("f", "1")],
        [file("a/.wh.one", ""), file("b/.wh..wh..opq", ""), file("b/new", "2"), symlink("c/d", "../a"), file("f/now/directory", "1")],
    )
    tree = read_tree(image, store, "image")
    assert sorted(tree.segment.files) == ["a/two", "b/new", "f/now/directory"]
    assert tree.real("link/two") == "a/two"
    assert tree.real("c/d/two") == "a/two"
    assert tree.real("a/one") is None


def test_links_that_lead_nowhere_or_in_a_circle(store: Store) -> None:
    tree = read_tree(
        layered(store, [symlink("a", "b"), symlink("b", "a"), symlink("up", "../../../etc/x"), file("etc/x", "1")]), store, "image"
    )
    assert tree.real("a") is None
    assert tree.real("up") == "etc/x"


def test_a_build_upon_a_layout(world: World) -> None:
    base = based(
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
    assert config.config.entrypoint == () and config.config.cmd == ("python", "main.py"), "the base's command is gone"
    assert config.config.labels["team"] == "a"
    assert config.config.labels["org.opencontainers.image.title"] == "shop"
    manifest = json.loads(image.manifest)
    assert manifest["annotations"]["org.opencontainers.image.base.digest"] == read_layout(base).entries[0].digest
    assert "org.opencontainers.image.base.name" not in manifest["annotations"], "a path of this machine"
    assert document["images"][0]["packages"] == {"libfoo1": "1.0-1"}, "what the wheels need and the base lacks comes from its suite"


def test_the_lock_pins_the_image_until_the_base_is_to_be_upgraded(world: World) -> None:
    project = world.app("small\n")
    base = f"oci:{based(world.store, world.root)}"
    world.build(project, "--base", base)
    lock = tomllib.loads((project / "pylock.toml").read_text())["tool"]["shipwheel"]["base"]["amd64"]["image"]
    assert lock["facts"]["python"] == VERSION
    assert world.build(project, "--base", base).digest == world.build(project, "--base", base).digest
    moved = based(world.store, world.root, version=f"{MINOR}.8")
    failed = world.build(project, "--base", base)
    assert failed.code == 4 and "--upgrade-base" in failed.err, "the layout has another image now"
    upgraded = world.build(project, "--base", base, "--upgrade-base")
    assert upgraded.code == 0, upgraded.err
    again = tomllib.loads((project / "pylock.toml").read_text())["tool"]["shipwheel"]["base"]["amd64"]["image"]
    assert again["facts"]["python"] == f"{MINOR}.8" and again["digest"] == read_layout(moved).entries[0].digest


def test_a_base_without_the_platform_stops_the_build(world: World) -> None:
    base = based(world.store, world.root, AMD64)
    failed = world.build(world.app("small\n"), "--base", f"oci:{base}")
    assert failed.code == 2
    assert "no image for linux/arm64" in failed.err and "Platforms that it has: linux/amd64" in failed.err


def test_a_python_that_the_project_does_not_take(world: World) -> None:
    project = world.app("small\n")
    (project / "shipwheel.toml").write_text('command = ["python", "main.py"]\n')
    (project / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\nrequires-python = "' + OTHER + '"\n')
    failed = world.build(project, "--base", f"oci:{based(world.store, world.root)}")
    assert failed.code == 3
    assert f"has Python {MINOR}, which the project does not support" in failed.err


def test_a_build_upon_an_image_of_a_registry_reads_it_once(world: World) -> None:
    base = based(world.store, world.root)
    project = world.app("small\n")
    with FakeRegistry() as registry:
        name = f"{registry.host}/bases/python:1"
        assert world.run("push", base, name).code == 0
        first = world.build(project, "--base", name)
        assert first.code == 0, first.err
        assert len(registry.asked("GET", r".*/blobs/.*")) == 4, "two configs and two layers"
        seen = len(registry.asked("GET"))
        assert world.build(project, "--base", name).digest == first.digest
        assert len(registry.asked("GET")) == seen, "what is pinned and known is not asked for"
    manifest = json.loads(read_layout(world.output(project)).images().images[0].manifest)
    assert manifest["annotations"]["org.opencontainers.image.base.name"] == name


@pytest.mark.parametrize("pushing", [False, True])
def test_connections_to_the_registry_of_a_base_are_closed(world: World, pushing: bool) -> None:
    base = based(world.store, world.root)
    project = world.app("small\n")
    with FakeRegistry() as registry:
        assert world.run("push", base, f"{registry.host}/bases/python:1").code == 0
        flags = ("--base", f"{registry.host}/bases/python:1", *(("--push", "-t", f"{registry.host}/team/shop:1") if pushing else ()))
        env = {"PYTHONWARNINGS": "error::ResourceWarning", "SHIPWHEEL_CACHE": str(world.root / "empty")}
        done = world.run("build", project, "--no-bytecode", *flags, env=env)
    assert done.code == 0, done.err
    assert "ResourceWarning" not in done.err


def test_lock_and_its_check_with_a_base_image(world: World) -> None:
    project = world.app("small\n")
    base = f"oci:{based(world.store, world.root)}"
    (project / "shipwheel.toml").write_text(f'command = ["python", "main.py"]\nbase = "{base}"\n')
    assert world.run("lock", "--check", project).code != 0
    done = world.run("lock", project)
    assert done.code == 0, done.err
    assert world.run("lock", "--check", project).code == 0
    plan = world.run("plan", project, "--json").document
    assert plan["platforms"][0]["base"].startswith(base) and plan["platforms"][0]["libc"] == "glibc 2.36"


def test_lock_takes_the_base_that_build_takes(world: World) -> None:
    project = world.app("small\n")
    base = f"oci:{based(world.store, world.root)}"
    assert world.run("lock", project).code == 0
    assert world.run("lock", "--check", project, "--base", base).code == 1, "the lock does not have it"
    assert world.run("lock", project, "--base", base).code == 0
    assert world.run("lock", "--check", project, "--base", base).code == 0
    assert base in (project / "pylock.toml").read_text()
    assert world.build(project, "--base", base).code == 0


@pytest.mark.parametrize("tag", ["", ":1"])
def test_a_base_that_is_pinned_by_digest_is_said_with_one_digest(world: World, tag: str) -> None:
    project = world.app("small\n")
    with FakeRegistry() as registry:
        pushed = world.run("push", based(world.store, world.root), f"{registry.host}/bases/python:1")
        name = f"{registry.host}/bases/python{tag}@{pushed.digest}"
        planned = world.run("plan", project, "--base", name, "--json")
        named = world.run("plan", project, "--base", f"{registry.host}/bases/python:1", "--upgrade-base", "--json")
    assert {each["base"] for each in planned.document["platforms"]} == {name}
    assert {each["base"] for each in named.document["platforms"]} == {f"{registry.host}/bases/python:1@{pushed.digest}"}


def upon(world: World, project: Path, *more: FileEntry, without: str = "", flags: tuple[str, ...] = (), **config: object) -> Ran:
    files = [entry for entry in python_files(VERSION, codename=SUITE.codename) if entry.path != without]
    image = python_base(world.store, AMD64, [*files, *more], {"PATH": "/usr/local/bin:/usr/bin:/bin"}, **config)
    write_layout(make_index([image]), world.root / "base.oci", world.store, name="base:1")
    return world.build(project, "--base", f"oci:{world.root / 'base.oci'}", "--no-bytecode", "--platform", "linux/amd64", *flags)


def attributes(layout: Path) -> dict[str, tuple[int, int, int]]:
    """(mode, uid, gid) of every directory of the image, as its last layer that says anything has it; each comes once a layer."""
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


def test_directories_that_the_base_owns_stay_as_they_are(world: World) -> None:
    project = world.app("small\nnative\n")
    done = upon(world, project, *OWNED, user="worker", flags=("--volume", "/srv/mine", "--volume", "/srv/all", "--volume", "/srv/new"))
    assert done.code == 0, done.err
    found = attributes(world.output(project))
    own = {entry.path: (entry.mode, entry.uid, entry.gid) for entry in OWNED}
    assert {path: found[path] for path in own} == own | {"srv/mine": (0o755, 1001, 1002)}, "a volume is for the user"
    assert found["srv/new"] == (0o755, 1001, 1002) and found["tmp"] == (0o1777, 0, 0)
    again = world.build(project, "--base", f"oci:{world.root / 'base.oci'}", "--no-bytecode", "--platform", "linux/amd64")
    assert again.code == 0, again.err


def test_layers_are_shared_between_bases_that_own_nothing_of_their_places(world: World) -> None:
    project = world.app("small\n")
    assert upon(world, project).code == 0
    first = [layer.descriptor.digest for layer in read_layout(world.output(project)).images().images[0].layers]
    assert upon(world, project, directory("home/worker", 0o700, uid=1001, gid=1001), flags=("--upgrade-base",)).code == 0
    second = [layer.descriptor.digest for layer in read_layout(world.output(project)).images().images[0].layers]
    assert first[0] != second[0] and first[1:] == second[1:]
    assert upon(world, project, directory("opt", 0o775), flags=("--upgrade-base",)).code == 0
    third = [layer.descriptor.digest for layer in read_layout(world.output(project)).images().images[0].layers]
    assert not set(third) & {*first, *second} - {first[-1]}, "all but the project's source"


def test_a_base_without_a_place_for_temporary_files_gets_one(world: World) -> None:
    project = world.app("small\n")
    assert upon(world, project, without="tmp").code == 0
    assert attributes(world.output(project))["tmp"] == (0o1777, 0, 0)
    assert upon(world, project, symlink("tmp", "var/tmp"), without="tmp", flags=("--upgrade-base",)).code == 0
    assert "tmp" not in attributes(world.output(project))


IN_THE_WAY = {
    "opt is a link": ([symlink("opt", "etc")], "/opt: a link to etc, and "),
    "opt/venv is a link": ([symlink("opt/venv", "/srv")], "/opt/venv: a link to /srv, and "),
    "opt/venv is a file": ([file("opt/venv", "x")], "/opt/venv: a file, and "),
    "a virtual environment": ([file("opt/venv/pyvenv.cfg", "home = /usr/bin\n")], "/opt/venv: a virtual environment or other files"),
    "app is a link": ([symlink("app", "srv")], "/app: a link to srv, and "),
    "a directory for a file": ([file("app/main.py/x", "1")], "/app/main.py: a directory, and the source of shop|/app/main.py: a directory"),
}


@pytest.mark.parametrize("case", IN_THE_WAY)
def test_what_is_in_the_way_of_our_files_stops_the_build(world: World, case: str) -> None:
    entries, told = IN_THE_WAY[case]
    done = upon(world, world.app("small\n"), *entries)
    assert done.code == 9, done.err
    assert re.search(told, done.err), done.err
    assert "Use another base" in done.err


def test_a_workdir_below_tmp_leaves_it_to_everybody(world: World) -> None:
    """Also upon a composed base."""
    project = world.app("small\n")
    with (project / "shipwheel.toml").open("a") as settings:
        settings.write('workdir = "/tmp/app"\nvolumes = ["/var/tmp/data"]\n')
    done = world.build(project, "--no-bytecode", "--platform", "linux/amd64")
    assert done.code == 0, done.err
    found = attributes(world.output(project))
    assert found["tmp"] == found["var/tmp"] == (0o1777, 0, 0)


def test_a_virtual_environment_that_is_first_on_the_path(store: Store) -> None:
    """One whose program is a link leads to the interpreter; one with a copy is passed by."""
    linked = [symlink("opt/own/bin/python3", "/usr/local/bin/python3.12"), file("opt/own/pyvenv.cfg", "home = /usr/local/bin\n")]
    copied = [file("opt/own/bin/python3", interpreter("3.12.4"), 0o755), file("opt/own/pyvenv.cfg", "home = /usr/local/bin\n")]
    for more in (linked, copied):
        image = python_base(store, files=[*python_files(), *more], env={"PATH": "/opt/own/bin:/usr/local/bin"})
        found = image_facts(image, read_tree(image, store, "base"), "base")
        assert found.interpreter == "/usr/local/bin/python3.12"


@pytest.mark.parametrize("path", ["", ":", "relative:/usr/local/bin", "/../usr/local/bin"])
def test_odd_paths(store: Store, path: str) -> None:
    image = python_base(store, env={"PATH": path})
    if path == ":":
        with pytest.raises(ImageError, match="no Python on its PATH"):
            facts(image, store)
    else:
        assert image_facts(image, read_tree(image, store, "base"), "base").interpreter == "/usr/local/bin/python3.12"


def test_what_a_base_says_to_its_python_is_not_said_to_ours(world: World) -> None:
    config = ContainerConfig(env=("PYTHONHOME=/usr", "PYTHONPATH=/site", "ODD", "=x", "PATH=/none", "PATH=/usr/local/bin", "KEPT=1"))
    image = small_image(world.store, AMD64, [small_layer(world.store, python_files(VERSION), "base")], config)
    write_layout(make_index([image]), world.root / "base.oci", world.store, name="base:1")
    project = world.app("small\n")
    done = world.build(project, "--base", f"oci:{world.root / 'base.oci'}", "--no-bytecode", "--platform", "linux/amd64")
    assert done.code == 0, done.err
    env = read_layout(world.output(project)).images().images[0].config_file.config.env
    assert "KEPT=1" in env and "PATH=/opt/venv/bin:/usr/local/bin" in env
    assert not [entry for entry in env if entry.startswith(("PYTHONHOME", "PYTHONPATH", "=", "ODD"))]


def test_a_base_with_too_many_layers_is_refused_before_it_is_read(world: World) -> None:
    layers = [small_layer(world.store, {f"srv/{number}": str(number)}, f"layer {number}") for number in range(127)]
    write_layout(make_index([small_image(world.store, AMD64, layers)]), world.root / "base.oci", world.store, name="base:1")
    done = world.build(world.app("small\n"), "--base", f"oci:{world.root / 'base.oci'}", "--platform", "linux/amd64")
    assert done.code == 9
    assert "has 127 layers" in done.err and "squash" in done.err


def test_a_layout_that_is_damaged_is_said_once(world: World) -> None:
    base = based(world.store, world.root, AMD64)
    layer = read_layout(base).images().images[0].layers[0]
    assert isinstance(layer, FileLayer)
    layer.path.write_bytes(layer.path.read_bytes()[:-100] + bytes(100))
    done = world.build(world.app("small\n"), "--base", f"oci:{base}", "--platform", "linux/amd64")
    assert done.code == 9, done.err
    assert "not what its digest says" in done.err and "checked" not in done.err
    layer.path.unlink()
    done = world.build(world.app("small\n"), "--base", f"oci:{base}", "--platform", "linux/amd64")
    assert done.code == 9, done.err
    assert "copy the layout again" in done.err


def test_a_password_in_the_name_of_a_base_is_refused_and_not_repeated(world: World) -> None:
    done = world.build(world.app("small\n"), "--base", "user:s3cret@127.0.0.1:1/base:1")
    assert done.code == 2 and "s3cret" not in done.err


@pytest.mark.parametrize("lines", [0, 1, 5])
def test_a_history_that_is_not_of_the_bases_layers_is_not_kept(world: World, lines: int) -> None:
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
