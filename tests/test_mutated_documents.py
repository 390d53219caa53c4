"""Mutated documents through every reader: each is read or refused with a named error, and nothing outside the store is touched.

SHIPWHEEL_MUTATIONS is the number of documents, 600 by default. A failure names its reader and number, which make the same document again.
"""

import gzip
import json
import lzma
import os
import random
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import tomli_w
from support.canary import plant, strays, untouched
from support.digests import sha256_of
from support.handmade_layout import Made
from support.lock_requests import lock_request
from support.mutate import mutated_bytes, mutated_table, mutated_tar, mutated_text

from shipwheel.base.image_facts import image_facts
from shipwheel.base.image_source import open_images
from shipwheel.base.model import read_locked_base
from shipwheel.base.standalone_archive import Standalone, StandaloneSource
from shipwheel.container.venv import Paths
from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.debian.package_index import Contents, DebianPackageIndex
from shipwheel.debian.release import parse_release
from shipwheel.debian.tables import contents_table, packages_table
from shipwheel.errors import ShipwheelError
from shipwheel.events import silent
from shipwheel.files.compress import member
from shipwheel.files.entry import Source, read_content, write_entries
from shipwheel.files.segment import find_segment, load_segment_metadata, make_segment
from shipwheel.locking.formats.read import read_tool_lock
from shipwheel.locking.formats.tool_lock import requirements_for_linux
from shipwheel.locking.pylock import read_lock
from shipwheel.locking.selection import select_all
from shipwheel.locking.target import Target
from shipwheel.oci.archive import read_archive, write_archive
from shipwheel.oci.convert import to_oci_media_types
from shipwheel.oci.layout import LayoutReader, read_layout, write_layout
from shipwheel.oci.model import Manifest, decode
from shipwheel.oci.read.file_tree import find_file_tree, read_file_tree
from shipwheel.oci.read.layer_files import read_layer
from shipwheel.oci.read.layer_stream import Allowance
from shipwheel.oci.read.rootfs import Rootfs
from shipwheel.oci.reference import Reference
from shipwheel.oci.validate.check import validate
from shipwheel.pipeline.rebase_info import ANNOTATION_REBASE_INFO, read_rebase_info
from shipwheel.pipeline.segment_metadata import pack_builds, unpack, unpack_builds
from shipwheel.platform import Platform
from shipwheel.project.lock_inputs import OtherLock
from shipwheel.registry.pull import pull, remote_images
from shipwheel.registry.repository import Repository
from shipwheel.store.store import Store
from shipwheel.testing.bases import python_base, python_files
from shipwheel.testing.debian import make_deb
from shipwheel.testing.images import AMD64, EntriesSource, small_index
from shipwheel.testing.registry import FakeRegistry
from shipwheel.testing.standalone import invented_files, make_standalone
from shipwheel.testing.wheels import SmallWheel
from shipwheel.wheels.built_wheels import BuiltWheel, find_built_wheel
from shipwheel.wheels.wheel import WheelSource

COUNT = int(os.environ.get("SHIPWHEEL_MUTATIONS", "600"))
RECORDED = Path(__file__).parent / "locking" / "formats" / "recorded"
DEBIAN: dict[str, bytes | str] = {"usr/bin/tool": b"#!/bin/sh\n" * 40, "usr/lib/libx.so.1": "libx.so.1.0", "etc/tool.conf": b"x = 1\n"}
RELEASE = """Origin: Debian
Codename: bookworm
Date: Mon, 23 Nov 2026 02:09:33 UTC
Valid-Until: Mon, 30 Nov 2026 02:09:33 UTC
Acquire-By-Hash: yes
Architectures: all amd64
SHA256:
 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 22 main/binary-amd64/Packages.xz
"""
STANZA = f"""Package: tool
Version: 1.0-1
Architecture: amd64
Depends: libc6 (>= 2.36), libx1 | libx2
Filename: pool/main/t/tool/tool_1.0-1_amd64.deb
Size: 1234
SHA256: {"ab" * 32}
"""


@dataclass
class Room:
    """What a reader may use: its generator, an empty directory, and a store. Files of a user lie beside both."""

    chance: random.Random
    out: Path
    store: Store

    def drain(self, source: Source) -> None:
        """Read every entry of a source with its content, write them to disk, and make a segment of them."""
        for entry in source.entries():
            read_content(entry.content)
        write_entries(source.entries(), self.out, source.label)
        make_segment(source, self.store)

    def layout(self) -> Made:
        """Return the maker of a layout below the directory."""
        return Made(self.out / "layout")


def table_text(table: object, chance: random.Random) -> bytes:
    """Return a table as JSON, now and then with changed bytes."""
    text = json.dumps(table).encode()
    return mutated_bytes(text, chance) if chance.randrange(5) == 0 else text


def read_image_layout(room: Room, path: Path, *, write: bool = True) -> None:
    """Read everything of a layout, validate it, and write into it."""
    reader: LayoutReader = read_archive(path) if path.suffix == ".tar" else read_layout(path)
    index = reader.images()
    for image in index.images:
        converted = to_oci_media_types(image)
        manifest = decode(image.manifest, Manifest, "it")
        read_rebase_info(manifest.annotations)
        image_facts(converted, read_file_tree(converted, room.store, "it"), "it")
    for entry in reader.entries:
        list(reader.reachable(entry))
    if write:
        write_layout(index, room.out / "copy", room.store, name="it:1")
        write_archive(index, room.out / "copy.tar", room.store, name="it:1")


def guarded(*steps: Callable[[], object]) -> None:
    """Take each step, whether or not one before it was refused."""
    refused: list[ShipwheelError] = []
    for step in steps:
        try:
            step()
        except ShipwheelError as error:
            refused.append(error)
    if refused:
        raise refused[0]


def manifests(room: Room) -> None:
    made = room.layout()

    def change(document: dict[str, Any]) -> None:
        changed = mutated_table(document, room.chance)
        document.clear()
        document.update(changed if isinstance(changed, dict) else {})

    if room.chance.randrange(2):
        made.change_manifest = change
    else:
        made.change_index = change
    path = made.write()
    guarded(
        lambda: read_image_layout(room, path),
        lambda: validate(path, workers=1),
        lambda: write_layout(small_index(room.store, [AMD64]), path, room.store, name="app:1", recheck=True),
    )


def configs(room: Room) -> None:
    made = room.layout()
    config: dict[str, Any] = {
        "User": "1:1",
        "Env": ["PATH=/usr/bin", "A=1"],
        "Entrypoint": ["/bin/a"],
        "Cmd": ["b"],
        "Volumes": {"/data": {}},
        "ExposedPorts": {"80/tcp": {}},
        "Labels": {"a": "b"},
        "WorkingDir": "/app",
    }

    def change(document: dict[str, Any]) -> None:
        changed = mutated_table({**document, "config": config}, room.chance)
        document.clear()
        document.update(changed if isinstance(changed, dict) else {})

    made.change_config = change
    path = made.write()
    guarded(lambda: read_image_layout(room, path), lambda: validate(path, workers=1))


def documents_of_bytes(room: Room) -> None:
    path = room.layout().write()
    files = [file for file in path.rglob("*") if file.is_file()]
    file = room.chance.choice(files)
    file.write_bytes(mutated_bytes(file.read_bytes(), room.chance))
    guarded(lambda: read_image_layout(room, path), lambda: validate(path, workers=1))


def image_archives(room: Room) -> None:
    index = small_index(room.store, [AMD64])
    path = room.out / "image.tar"
    write_archive(index, path, room.store, name="app:1")
    path.write_bytes(mutated_tar(path.read_bytes(), room.chance))
    guarded(lambda: read_image_layout(room, path), lambda: validate(path, workers=1))


def layers(room: Room) -> None:
    made = room.layout()
    made.tars = [mutated_tar(tar, room.chance) for tar in made.tars]
    path = made.write()
    root = room.out / "root"
    root.mkdir()

    def unpack_layers() -> None:
        for layer in read_layout(path).images().images[0].layers:
            Rootfs(root).apply(read_layer(layer, room.store, Allowance()))

    guarded(unpack_layers, lambda: read_image_layout(room, path), lambda: validate(path, workers=1))


def registry_documents(room: Room) -> None:
    name = "team/app"
    image = python_base(room.store, AMD64, python_files())
    with FakeRegistry() as registry:
        manifest, config = json.loads(image.manifest), json.loads(image.config)
        for layer in image.layers:
            registry.add(name, b"".join(chunk for part in layer.parts for chunk in room.store.chunks(part)))  # type: ignore[union-attr]
        if room.chance.randrange(3) == 0:
            config = mutated_table(config, room.chance)
        text = table_text(config, room.chance)
        manifest["config"] |= {"digest": registry.add(name, text), "size": len(text)}
        manifest = mutated_table(manifest, room.chance) if room.chance.randrange(3) else manifest
        data = table_text(manifest, room.chance)
        registry.put(name, data, "application/vnd.oci.image.manifest.v1+json", "1")
        reference = Reference.parse(f"{registry.host}/{name}:1")
        with Repository(reference) as repository:
            guarded(
                lambda: remote_images(repository, "1"),
                lambda: pull(repository, remote_images(repository, "1"), room.out / "pulled", room.store, name="app:1", reporter=silent),
                lambda: read_base(room, str(reference)),
            )


def read_base(room: Room, name: str) -> None:
    index, _ = open_images(name, None, [AMD64], room.store, silent, root=room.out)
    for image in index.images:
        image_facts(image, read_file_tree(image, room.store, name), name)


def wheel_records(room: Room) -> None:
    wheel = SmallWheel(files={"small/__init__.py": "VALUE = 1\n", "small/data.bin": bytes(5000)}, console_scripts={"small": "small:main"})
    named = dict(wheel._all())
    chosen = room.chance.choice([name for name in named if ".dist-info/" in name])
    text = mutated_text(named[chosen].decode(), room.chance).encode("utf-8", "surrogateescape")
    changed = SmallWheel(
        files={**wheel.files, chosen: text}, omitted=frozenset([chosen.rpartition("/")[2]]), console_scripts=wheel.console_scripts
    )
    data = changed.content()
    read_wheel(room, data)


def wheel_archives(room: Room) -> None:
    wheel = SmallWheel(files={"small/__init__.py": "VALUE = 1\n", "small/data.bin": bytes(5000)}, zip64=room.chance.randrange(3) == 0)
    read_wheel(room, mutated_bytes(wheel.content(), room.chance))


def read_wheel(room: Room, data: bytes) -> None:
    room.drain(WheelSource("small 1.0", SmallWheel().filename, room.store.add(data), room.store, Paths("3.11")))


def debian_packages(room: Room) -> None:
    data = make_deb("tool", "1.0-1", DEBIAN, compression="")
    start = data.index(b"data.tar") + 60
    changed = data[:start] + mutated_tar(data[start:], room.chance) if room.chance.randrange(3) else mutated_bytes(data, room.chance)
    digest = room.store.add(changed)
    package = DebianPackage("tool", "1.0-1", "amd64", "pool/tool.deb", sha256_of(digest), len(changed))
    room.drain(DebSource(package, room.store))


def debian_lists(room: Room) -> None:
    text = mutated_text(STANZA + "\n" + STANZA.replace("tool", "libx1"), room.chance)
    packed = lzma.compress(text.encode("utf-8", "surrogateescape"))
    listed = mutated_text("usr/lib/x86_64-linux-gnu/libx.so.1  libs/libx1\n" * 3, room.chance)
    contents = gzip.compress(listed.encode("utf-8", "surrogateescape"))

    def look_up() -> None:
        table = packages_table([packed], "it")
        index = DebianPackageIndex(
            "it", [("debian", table)], lambda: Contents(contents_table([contents], "x86_64-linux-gnu", "it")), lambda _pattern: {}
        )
        for name in ("tool", "libx1"):
            if (found := index.newest(name)) is not None:
                index.depends(found)

    guarded(
        look_up,
        lambda: parse_release(mutated_text(RELEASE, room.chance).encode("utf-8", "surrogateescape"), "it", "bookworm"),
    )


def standalone_pythons(room: Room) -> None:
    data = gzip.compress(mutated_tar(gzip.decompress(make_standalone(invented_files("3.12"))), room.chance), 1)
    build = Standalone("3.12.1", "20240101", "x.tar.gz", sha256_of(room.store.add(data)), "amd64")
    room.drain(StandaloneSource(build, room.store))


LOCK = """
lock-version = "1.0"
created-by = "shipwheel"
requires-python = ">=3.11"
[[packages]]
name = "small"
version = "1.0"
marker = "python_version >= '3.11'"
dependencies = [{name = "tiny"}]
wheels = [{url = "https://files.invalid/small-1.0-py3-none-any.whl", size = 7, hashes = {sha256 = "HASH"}}]
[[packages]]
name = "tiny"
version = "2.0"
sdist = {url = "https://files.invalid/tiny-2.0.tar.gz", hashes = {sha256 = "HASH"}}
[[packages]]
name = "v"
version = "2"
vcs = {type = "git", url = "https://x.invalid/v.git", commit-id = "c0ffee", subdirectory = "py"}
[[packages]]
name = "d"
directory = {path = "../d"}
[tool.shipwheel]
format = 2
inputs = "sha256:00"
as-of = "2024-09-15"
python = "3.11"
roots = {small = "requirements.txt, line 1"}
[tool.shipwheel.base.amd64]
suite = "bookworm"
extra = []
absent = []
[[tool.shipwheel.base.amd64.packages]]
name = "libc6"
version = "2.36-9"
architecture = "amd64"
filename = "pool/libc6.deb"
sha256 = "HASH"
size = 3
archive = "debian"
source = "glibc"
[tool.shipwheel.base.amd64.image]
name = "python:3.11"
digest = "sha256:HASH"
manifest = "sha256:HASH"
facts = {python = "3.11.2", interpreter = "/usr/bin/python3", libc = [2, 36], directories = {tmp = [1023, 0, 0]}}
""".replace("HASH", "ab" * 32)


def locks(room: Room) -> None:
    path = room.out / "pylock.toml"
    if room.chance.randrange(4):
        values: tuple[Any, ...] = (True, 0, -1, 2**31, 2**62, 0.5, [], {}, [[]], [{}], {"a": {}}, "x")
        text = tomli_w.dumps(mutated_table(tomllib.loads(LOCK), room.chance, values=values))
    else:
        text = mutated_text(LOCK, room.chance)
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    lock = read_lock(path)
    if lock is None:
        return
    target = Target(Platform("linux", "amd64"), "3.11.2", (2, 36))
    guarded(lambda: select_all(lock, [target]), lambda: read_locked_base(lock, AMD64), lock.write)


def locks_of_other_tools(room: Room) -> None:
    tool = room.chance.choice(("poetry", "pdm", "pipenv"))
    name = {"poetry": "poetry.lock", "pdm": "pdm.lock", "pipenv": "Pipfile.lock"}[tool]
    root = room.out / tool
    shutil.copytree(RECORDED / tool, root)
    text = (root / name).read_text()
    if name.endswith(".json") or tool == "pipenv":
        data = table_text(mutated_table(json.loads(text), room.chance), room.chance)
    elif room.chance.randrange(2):
        values: tuple[Any, ...] = (True, 0, -1, 2**62, 0.5, [], {}, [[]], [{}], {"a": {}}, "x")
        data = tomli_w.dumps(mutated_table(tomllib.loads(text), room.chance, values=values)).encode("utf-8", "surrogateescape")
    else:
        data = mutated_text(text, room.chance).encode("utf-8", "surrogateescape")
    (root / name).write_bytes(data)
    lock = read_tool_lock(OtherLock(root / name, data), lock_request(root, "3.11"))
    requirements_for_linux(lock, "3.11", ())


def records(room: Room) -> None:
    """Records of layers and of built wheels from a registry, and the annotation for a rebase."""
    source = EntriesSource((), "one")
    segment = make_segment(source, room.store)
    described = json.loads(msgspec.json.encode(msgspec.structs.replace(segment, files={"usr/bin/a": 1}, links={"b": "a"})))
    wheel = BuiltWheel("a-1-py3-none-any.whl", segment.digest, 3, "ab" * 32)
    facts = {"python": "3.11.2", "interpreter": "/usr/bin/python3", "libc": [2, 36]}
    info = {"layers": 1, "manifest": segment.digest, "facts": facts, "env": ["A"], "volumes": ["/data"]}
    packed = bytes(member(table_text(mutated_table([described], room.chance), room.chance)))
    built = mutated_table(json.loads(msgspec.json.encode([wheel])), room.chance)
    guarded(
        lambda: unpack(mutated_bytes(packed, room.chance) if room.chance.randrange(5) == 0 else packed, [source.key], room.store),
        lambda: unpack_builds(bytes(member(table_text(built, room.chance))), room.store),
        lambda: unpack_builds(mutated_bytes(pack_builds([wheel]), room.chance), room.store),
        lambda: read_rebase_info({ANNOTATION_REBASE_INFO: table_text(mutated_table(info, room.chance), room.chance).decode("latin-1")}),
    )
    assert find_segment(source.key, room.store) == segment
    assert find_built_wheel(wheel.key, room.store, need_bytes=True) is None


def records_of_the_store(room: Room) -> None:
    """Records that another version wrote, or that somebody edited: what cannot be read counts as absent."""
    shutil.rmtree(room.store.root / "records")
    image = python_base(room.store, AMD64, python_files())
    read_file_tree(image, room.store, "it")
    paths = [path for path in (room.store.root / "records").rglob("*") if path.is_file()]
    path = room.chance.choice(paths)
    kind, key = path.relative_to(room.store.root / "records").parts[0], path.name
    data = room.store.get(kind, key)
    assert data is not None
    room.store.put(kind, key, table_text(mutated_table(json.loads(data), room.chance), room.chance))
    find_file_tree(image, room.store)
    load_segment_metadata(key, room.store)
    find_segment(key, room.store)


READERS: tuple[Callable[[Room], None], ...] = (
    manifests,
    configs,
    documents_of_bytes,
    image_archives,
    layers,
    registry_documents,
    wheel_records,
    wheel_archives,
    debian_packages,
    debian_lists,
    standalone_pythons,
    locks,
    locks_of_other_tools,
    records,
    records_of_the_store,
)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_reads_or_refuses_any_document(reader: Callable[[Room], None], tmp_path: Path) -> None:
    plant(tmp_path)
    plant(tmp_path / "home")
    refused = 0
    for number in range(-(-COUNT // len(READERS))):
        out, cache = tmp_path / "home" / "out", tmp_path / "home" / "cache"
        out.mkdir()
        chance = random.Random(f"{reader.__name__} {number}")
        with untouched(tmp_path, out, cache):
            try:
                reader(Room(chance, out, Store(cache)))
            except ShipwheelError as error:
                assert error.message and error.hint, f"{reader.__name__} {number}: {error!r}"
                refused += 1
            except Exception as error:
                error.add_note(f"{reader.__name__} {number}")
                raise
        assert strays(cache) == []
        shutil.rmtree(out)
        if number % 20 == 19:
            shutil.rmtree(cache)
    assert refused or reader is records_of_the_store, "no document was refused: the mutations have no effect"
