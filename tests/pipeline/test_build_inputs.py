"""Bundles for a build: a machine without a network builds what the lock has, to the same digest."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from support.sdist import sdist

from shipwheel.builder.vendored_crates import CRATE_RECORD
from shipwheel.builder.workshop import BUILDER_RECORD, BuilderPackages
from shipwheel.debian.package import DebianPackage
from shipwheel.digest import digest_of, sha256_of
from shipwheel.errors import ImageError, UsageError
from shipwheel.events import silent
from shipwheel.files.segment import SEGMENT_RECORD
from shipwheel.oci.image import make_index
from shipwheel.oci.layout import write_layout
from shipwheel.pipeline.build_inputs import BuildInputs, StoreRecord, kept_programs
from shipwheel.pipeline.input_archive import fill, read_inputs, write_inputs
from shipwheel.pipeline.local_builds import KeptBuilds
from shipwheel.project.app_tree import list_app
from shipwheel.store.store import Store
from shipwheel.testing.bases import python_base, python_files
from shipwheel.testing.images import AMD64
from shipwheel.testing.registry import FakeRegistry
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import MINOR, SUITE, CommandResult, World
from shipwheel.wheels.kept_requirements import KEPT_RECORD, KeptRequirements, KeptWheel

BACKEND = """
import os, zipfile
def get_requires_for_build_wheel(*_):
    return ["helper"]
def build_wheel(folder, *_):
    import helper
    with zipfile.ZipFile(os.path.join(folder, "shop-1.0-py3-none-any.whl"), "w") as wheel:
        wheel.write("shop.py")
        wheel.writestr("shop-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: shop\\nVersion: 1.0\\n")
        wheel.writestr("shop-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("shop-1.0.dist-info/RECORD", "")
    return "shop-1.0-py3-none-any.whl"
"""


def package(world: World, *requirements: str) -> Path:
    """A project with a build backend from the index, and with a dependency that has no wheel."""
    world.add(SmallWheel("backend", "1.0", files={"backend.py": BACKEND}), SmallWheel("helper", "1.0", files={"helper.py": ""}))
    world.index.add("sourced-1.0.tar.gz", sdist("sourced"))
    folder = world.root / "shop"
    folder.mkdir(exist_ok=True)
    (folder / "shop.py").write_text("import small, sourced\n")
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "shop"\nversion = "1.0"\nrequires-python = "=={MINOR}.*"\n'
        f"dependencies = {json.dumps(['small', 'sourced', *requirements])}\n"
        '[build-system]\nrequires = ["backend"]\nbuild-backend = "backend"\n'
        '[tool.shipwheel]\ncommand = ["python", "-m", "shop"]\nbytecode = false\n'
    )
    return folder


def bundle(world: World, app: Path) -> CommandResult:
    done = world.run("bundle", app, "--for-build", "-o", "inputs.tar", "--json")
    assert done.code == 0, done.err
    return done


def leave_the_network(world: World) -> None:
    """Stop all servers, and go on with an empty cache."""
    world.refuse()
    world.env |= {"SHIPWHEEL_CACHE": str(world.root / "air"), "UV_CACHE_DIR": str(world.root / "air-uv")}


def test_a_machine_without_a_network_builds_what_the_lock_has(world: World) -> None:
    app = package(world)
    assert bundle(world, app).document["projects"] == ["shop"]
    digest = world.build(app).digest
    leave_the_network(world)
    done = world.run("unbundle", "inputs.tar", "--load")
    assert (done.code, "inputs.tar has no images, but what builds need" in done.err) == (2, True)
    assert world.run("unbundle", "inputs.tar").code == 0
    assert world.build(app, "--locked").digest == digest
    (app / "shop.py").write_text("import small, sourced\nprint('edited')\n")
    assert world.build(app, "--locked").digest != digest
    package(world, "extra")
    done = world.build(app)
    assert (done.code, "pyproject.toml: dependencies changed (it lacks extra)" in done.err) == (5, True), done.err


def test_a_bundle_has_the_base_image(world: World) -> None:
    app = world.app("small\n", settings='platforms = "linux/amd64"\nbytecode = false\n')
    with FakeRegistry() as registry:
        name, files = f"{registry.host}/bases/python:1", python_files(f"{MINOR}.2", codename=SUITE.codename)
        images = [python_base(world.store, AMD64, files, {"PATH": "/usr/local/bin"})]
        write_layout(make_index(images), world.root / "base.oci", world.store, name="base:1")
        assert world.run("push", world.root / "base.oci", name).code == 0
        with (app / "shipwheel.toml").open("a") as settings:
            settings.write(f'base = "{name}"\n')
        bundle(world, app)
        digest = world.build(app).digest
    leave_the_network(world)
    assert world.run("unbundle", "inputs.tar").code == 0
    assert world.build(app).digest == digest


def test_a_stack_without_a_project_has_nothing_to_build(world: World) -> None:
    app = world.app("small\n")
    (app / "shipwheel.toml").write_text('[services.web]\nimage = "db:1"\n')
    done = world.run("bundle", app, "--for-build", "-o", "other.tar")
    assert (done.code, "no project to build" in done.err) == (2, True)


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Path]:
    """An archive of two blobs and a record."""
    store = Store(tmp_path / "here")
    blobs = frozenset({store.add(b"one" * 1000), store.add(b"two" * 1000)})
    record = StoreRecord(SEGMENT_RECORD, "key", "{}")
    inputs = [BuildInputs("shop", blobs, frozenset({record}))]
    write_inputs(inputs, store, tmp_path / "inputs.tar")
    write_inputs(inputs, store, tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "inputs.tar").read_bytes(), "the same twice"
    yield tmp_path / "inputs.tar"
    store.close()


def test_a_bundle_in_the_project_is_no_file_of_it(written: Path) -> None:
    (written.parent / "other.tar").write_bytes(b"data")
    assert [file.path for file in list_app(written.parent, exclude=["here"]).files] == ["other.tar"]


def filled(archive: Path) -> Store:
    store, inputs = Store(archive.parent / "there"), read_inputs(archive)
    assert inputs is not None
    fill(inputs, store, silent)
    return store


def test_what_was_interrupted_goes_on(written: Path) -> None:
    one, two = digest_of(b"one" * 1000), digest_of(b"two" * 1000)
    store = filled(written)
    assert store.verify(one) and store.verify(two) and store.get(SEGMENT_RECORD, "key") == b"{}"
    store.discard(two)
    before = store.path(one).stat().st_ino
    store = filled(written)
    assert store.verify(two)
    assert store.path(one).stat().st_ino == before, "nothing is written twice"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"twotwo", b"TWOtwo", "is damaged"),
        (b"/" + digest_of(b"one" * 1000)[7:].encode(), b"/" + b"0" * 64, "is missing"),
        (b'"kind":"segment"', b'"kind":"pushed!"', "is damaged"),
    ],
)
def test_a_damaged_archive_is_refused(written: Path, old: bytes, new: bytes, message: str) -> None:
    data = written.read_bytes()
    assert old in data
    # Headers have a checksum of their bytes.
    written.write_bytes(_with_checksums(data.replace(old, new, 1)))
    with pytest.raises(ImageError, match=message):
        filled(written)
    store = Store(written.parent / "there")
    assert store.get(SEGMENT_RECORD, "key") is None, "no record without the blobs"
    assert not store.sweep()


def test_a_size_below_zero_is_refused(written: Path) -> None:
    data = written.read_bytes()
    assert data.count(b'"size": 3000\n') == 2
    written.write_bytes(data.replace(b'"size": 3000\n', b'"size": -300\n'))
    with pytest.raises(ImageError, match=r"shipwheel-build\.json is invalid"):
        filled(written)


def _with_checksums(data: bytes) -> bytes:
    """Return a tar whose headers of blobs have the right checksums."""
    out = bytearray(data)
    for found in re.finditer(rb"blobs/sha256/[0-9a-f]{64}\0", data):
        start = found.start()
        out[start + 148 : start + 156] = b" " * 8
        out[start + 148 : start + 156] = b"%06o\0 " % sum(out[start : start + 512])
    return bytes(out)


@pytest.mark.parametrize("kind", ["pushed", "proof", "../x"])
def test_records_that_no_build_takes_from_others_are_refused(tmp_path: Path, kind: str) -> None:
    store = Store(tmp_path / "here")
    write_inputs([BuildInputs("shop", frozenset(), frozenset({StoreRecord(kind, "key", "{}")}))], store, tmp_path / "inputs.tar")
    with pytest.raises(ImageError, match="a build has no use for records"):
        filled(tmp_path / "inputs.tar")


def test_a_record_leads_to_no_file_outside(tmp_path: Path) -> None:
    store = Store(tmp_path / "here")
    digest = store.add(b"evil")
    listed = tmp_path / "requirements.txt"
    listed.write_text("backend\n")
    kept = KeptRequirements(store, MINOR)
    for name, expected in (("backend-1.0-py3-none-any.whl", 1), ("../backend-1.0-py3-none-any.whl", 0), ("/x.whl", 0), ("..whl", 0)):
        store.put(KEPT_RECORD, kept.key(listed, None, {}), msgspec.json.encode([{"filename": name, "digest": digest}]))
        assert len(kept.find(listed, (), None, {})) == expected, name


def test_a_bundle_has_no_addresses_of_kept_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may be paths of this machine (find-links), or have a signature in their query."""
    store, name = Store(tmp_path / "here"), "helper-1.0-py3-none-any.whl"
    digest, listed = store.add(b"helper"), tmp_path / "requirements.txt"
    fetched: list[KeptWheel] = []
    listed.write_text("helper\n")
    url = f"file://{tmp_path}/{name}?signature=secret"
    pylock = f'[[packages]]\nname = "helper"\nwheels = [{{ url = "{url}", hashes = {{ sha256 = "{digest[7:]}" }} }}]\n'
    monkeypatch.setattr("shipwheel.wheels.kept_requirements.uv.list_wheels", lambda *_: pylock)
    kept = KeptRequirements(store, MINOR, fetched.extend)
    kept.find(listed, (), None, {})
    assert [wheel.url for wheel in fetched] == [url]
    assert [(wheel.filename, wheel.digest, wheel.url) for wheels in kept.kept.values() for wheel in wheels] == [(name, digest, "")]


def test_what_builds_need_is_bundled_with_its_records() -> None:
    wheel, crate = KeptWheel("helper-1.0-py3-none-any.whl", digest_of(b"wheel")), digest_of(b"crate")
    packages = [DebianPackage(name, "1", "amd64", "x.deb", sha256_of(name.encode()), 1) for name in ("gcc", "libyaml-dev")]
    builder = BuilderPackages((packages[0],), (packages[1],), ())
    kept = kept_programs(KeptBuilds({"list": (wheel,)}, {"suite": builder}, {"twig": crate}))
    assert kept.blobs == {wheel.digest, crate, *(each.digest for each in packages)}
    assert [*kept.records] == [(KEPT_RECORD, "list"), (BUILDER_RECORD, "suite"), (CRATE_RECORD, "twig")]
    assert msgspec.json.decode(kept.records[CRATE_RECORD, "twig"]) == crate


def test_an_archive_of_images_is_no_bundle_for_a_build(world: World, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read_inputs(tmp_path / "nothing.tar")
    assert world.run("build", world.app("small\n", settings="bytecode = false\n"), "-o", "shop.tar").code == 0
    assert read_inputs(world.root / "shop.tar") is None
