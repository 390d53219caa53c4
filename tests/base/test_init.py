"""The init in an image: which of tini's programs it gets, how the lock pins it, and how the container's command uses it."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from shipwheel.files.entry import FileEntry, symlink
from shipwheel.oci.image import Image, make_index
from shipwheel.oci.layout import read_layout, write_layout
from shipwheel.oci.read.file_tree import FileTree, read_file_tree
from shipwheel.platform import DEBIAN_ARCHITECTURES
from shipwheel.testing.bases import python_base, python_files
from shipwheel.testing.debian import FakeArchive, make_deb, shared_object
from shipwheel.testing.images import AMD64
from shipwheel.testing.world import MINOR, SUITE, CommandResult, World, make_archive

DYNAMIC, STATIC = "usr/bin/tini", "usr/bin/tini-static"


def image_of(world: World, project: Path) -> Image:
    return read_layout(world.output(project)).images().images[0]


def tree_of(world: World, project: Path) -> FileTree:
    return read_file_tree(image_of(world, project), world.store, "image")


def entrypoint(world: World, project: Path) -> tuple[str, ...]:
    return image_of(world, project).config_file.config.entrypoint


def base_table(project: Path, architecture: str = "amd64") -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((project / "pylock.toml").read_text())["tool"]["shipwheel"]["base"][architecture]
    return table


def build_upon(world: World, project: Path, *more: FileEntry, codename: str = SUITE.codename, flags: tuple[str, ...] = ()) -> CommandResult:
    """A build upon a foreign base of a Debian suite, or of none when the codename is unknown."""
    layout = world.root / "base.oci"
    files = [*python_files(f"{MINOR}.7", platform=AMD64, codename=codename), *more]
    base = python_base(world.store, AMD64, files, {"PATH": "/usr/local/bin:/usr/bin:/bin"})
    write_layout(make_index([base]), layout, world.store, name="base:1")
    return world.build(project, "--platform", "linux/amd64", "--base", f"oci:{layout}", *flags)


def add_tini(archive: FakeArchive, version: str) -> None:
    for architecture in DEBIAN_ARCHITECTURES:
        program = shared_object(architecture=architecture) + version.encode()
        files = {DYNAMIC: program, STATIC: program, "usr/share/doc/tini/copyright": b"tini: yours\n"}
        deb = make_deb("tini", version, files, architecture=architecture)
        archive.add(deb, ("tini", version, architecture))
    archive.publish()


def test_a_composed_base_gets_the_dynamic_init(world: World) -> None:
    project = world.app("small\n")
    done = world.build(project)
    assert done.code == 0, done.err
    segment = tree_of(world, project).segment
    assert DYNAMIC in segment.files and STATIC not in segment.files
    assert {"usr/share/doc/tini/copyright", "var/lib/dpkg/status.d/tini"} <= segment.files.keys(), "its licence, and what scanners read"
    assert entrypoint(world, project) == (f"/{DYNAMIC}", "--")
    assert image_of(world, project).config_file.config.cmd == ("python", "main.py")
    assert done.document["images"][0]["packages"]["tini"] == "1.0-1"
    assert base_table(project)["init"]["name"] == "tini"
    assert all(package["name"] != "tini" for package in base_table(project)["packages"])


def test_the_launcher_runs_behind_the_init(world: World) -> None:
    project = world.app("small\n", settings='before-start = [["python", "-V"]]\n')
    assert world.build(project).code == 0
    assert entrypoint(world, project)[:3] == (f"/{DYNAMIC}", "--", f"/usr/bin/python{MINOR}")


def test_only_the_init_s_own_layer_comes_and_goes_with_it(world: World) -> None:
    project = world.app("small\n")
    assert world.build(project).code == 0
    layers = [layer.descriptor.digest for layer in image_of(world, project).layers]
    done = world.build(project, "--no-init")
    assert done.code == 0, done.err
    without = [layer.descriptor.digest for layer in image_of(world, project).layers]
    assert set(without) < set(layers) and len(layers) == len(without) + 1
    assert entrypoint(world, project) == ()
    assert "tini" not in done.document["images"][0]["packages"]
    assert DYNAMIC not in tree_of(world, project).segment.files
    assert world.build(project).code == 0
    assert [layer.descriptor.digest for layer in image_of(world, project).layers] == layers


@pytest.mark.parametrize("codename", [SUITE.codename, ""])
def test_a_foreign_base_gets_the_static_init(world: World, codename: str) -> None:
    project = world.app("small\n")
    done = build_upon(world, project, codename=codename)
    assert done.code == 0, done.err
    segment = tree_of(world, project).segment
    assert STATIC in segment.files and DYNAMIC not in segment.files
    assert entrypoint(world, project) == (f"/{STATIC}", "--")
    assert base_table(project)["init"]["name"] == "tini"
    again = build_upon(world, project, codename=codename)
    assert again.digest == done.digest


def test_a_foreign_base_needs_no_archive_without_an_init(world: World) -> None:
    project = world.app("small\n")
    unreachable = ("--debian-mirror", f"file://{world.root}/nowhere")
    failed = build_upon(world, project, codename="", flags=unreachable)
    assert failed.code == 5 and "init = false" in failed.err, failed.err
    done = build_upon(world, project, codename="", flags=(*unreachable, "--no-init"))
    assert done.code == 0, done.err
    assert entrypoint(world, project) == ()


def test_rejects_a_base_with_a_link_where_the_init_goes(world: World) -> None:
    failed = build_upon(world, world.app("small\n"), symlink("usr/bin", "../bin"))
    assert failed.code != 0 and "usr/bin: a link" in failed.err


def test_the_lock_keeps_the_init_until_the_base_is_upgraded(world: World, tmp_path: Path) -> None:
    project = world.app("small\n")
    assert world.build(project).code == 0
    archive = make_archive(tmp_path)
    add_tini(archive, "2.0-1")
    world.serve(archive)
    assert world.build(project).code == 0
    assert base_table(project)["init"]["version"] == "1.0-1"
    assert world.build(project, "--upgrade-base").code == 0
    assert base_table(project)["init"]["version"] == "2.0-1"


def test_a_lock_without_an_init_gets_one_and_keeps_its_packages(world: World) -> None:
    project = world.app("small\n")
    assert world.build(project, "--no-init").code == 0
    before = base_table(project)
    assert "init" not in before
    done = world.build(project)
    assert done.code == 0, done.err
    after = base_table(project)
    assert after.pop("init")["name"] == "tini" and after == before


def test_the_whole_package_is_used_when_the_user_names_it(world: World) -> None:
    project = world.app("small\n")
    done = world.build(project, "--package", "tini")
    assert done.code == 0, done.err
    assert {DYNAMIC, STATIC} <= tree_of(world, project).segment.files.keys()
    assert entrypoint(world, project) == (f"/{DYNAMIC}", "--")
    assert "warning" not in done.err
