"""The validator: valid images pass, and every problem is listed with both values."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.handmade_layout import DOCKER, OCI, SOUND, Json, Made, digest_of, entry, folder, tar

from shipwheel.errors import ImageError, ShipwheelError, UsageError
from shipwheel.oci.archive import write_archive
from shipwheel.oci.layer import ANNOTATION_KEY
from shipwheel.oci.layout import write_layout
from shipwheel.oci.validate.check import validate
from shipwheel.oci.validate.layers import check_layer
from shipwheel.store.store import Store
from shipwheel.testing.images import AMD64, small_index


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "layout")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_reports_a_valid_layout(made: Made) -> None:
    (report,) = validate(made.write()).images
    assert (report.platform, report.layers, report.entries, report.unpacked_size) == ("linux/amd64", 1, 3, len(SOUND))
    assert report.size == sum(path.stat().st_size for path in (made.root / "blobs").rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("media_type", "pack"),
    [
        (f"{OCI}layer.v1.tar", bytes),
        (f"{OCI}layer.v1.tar+zstd", zstandard.ZstdCompressor().compress),
        (f"{OCI}layer.v1.tar+gzip", lambda data: gzip.compress(data[:700]) + gzip.compress(b"") + gzip.compress(data[700:])),
        (f"{OCI}layer.v1.tar+zstd", lambda data: zstandard.compress(data[:700]) + zstandard.compress(data[700:])),
    ],
    ids=["plain", "zstd", "gzip members", "zstd frames"],
)
def test_accepts_every_compression(made: Made, media_type: str, pack: Callable[[bytes], bytes]) -> None:
    made.layer_type, made.pack = media_type, pack
    assert validate(made.write()).images[0].unpacked_size == len(SOUND)


def test_accepts_docker_s_media_types(made: Made) -> None:
    made.layer_type = f"{DOCKER}image.rootfs.diff.tar.gzip"
    made.config_type = f"{DOCKER}container.image.v1+json"
    made.manifest_type = f"{DOCKER}distribution.manifest.v2+json"
    assert len(validate(made.write()).images) == 1


def test_rejects_mixed_media_types(made: Made) -> None:
    made.layer_type = f"{DOCKER}image.rootfs.diff.tar.gzip"
    assert "mixed media types: OCI for the manifest, Docker for a layer" in made.problems()
    made.layer_type, made.config_type = f"{OCI}layer.v1.tar+gzip", f"{DOCKER}container.image.v1+json"
    assert "mixed media types: OCI for the manifest, Docker for the config" in made.problems()


@pytest.mark.parametrize("name", ["layer_type", "config_type", "manifest_type"])
def test_rejects_unknown_media_types(made: Made, name: str) -> None:
    setattr(made, name, "application/x-what")
    assert "'application/x-what' is unknown" in made.problems()


DIGEST = "sha256:" + "0" * 64

CHANGES: list[tuple[str, str, Callable[[Json], object], str]] = [
    ("config", "diff_id", lambda c: c["rootfs"].update(diff_ids=[DIGEST]), f"diff_id: stated {DIGEST}, found {digest_of(SOUND)}"),
    ("config", "too many diff_ids", lambda c: c["rootfs"]["diff_ids"].append(DIGEST), "diff_ids and of layers: stated 2, found 1"),
    ("config", "diff_id twisted", lambda c: c["rootfs"].update(diff_ids=["sha256:x"]), "not a list of digests"),
    ("config", "no rootfs", lambda c: c.pop("rootfs"), "rootfs.type: stated None, found layers"),
    ("config", "rootfs a text", lambda c: c.update(rootfs="x"), "rootfs.type"),
    ("config", "architecture", lambda c: c.update(architecture="arm64"), "stated amd64, found arm64"),
    ("config", "os", lambda c: c.update(os="windows"), "stated linux, found windows"),
    ("config", "variant", lambda c: c.update(variant="v3"), "stated None, found v3"),
    ("config", "no os", lambda c: c.pop("os"), "states no os"),
    ("config", "history", lambda c: c.update(history=[{}, {}, {}]), "history lines with a layer, and layers: stated 3, found 1"),
    ("config", "history a text", lambda c: c.update(history="x"), "stated 0, found 1"),
    ("config", "created", lambda c: c.update(created="yesterday"), "'yesterday' is not an RFC 3339 time"),
    ("manifest", "schema", lambda m: m.update(schemaVersion=1), "schemaVersion: stated 1, found 2"),
    ("manifest", "no schema", lambda m: m.pop("schemaVersion"), "schemaVersion: stated None, found 2"),
    ("manifest", "media type", lambda m: m.update(mediaType="x/y"), f"media type: stated {OCI}manifest.v1+json, found x/y"),
    ("manifest", "no config", lambda m: m.pop("config"), "no config"),
    ("manifest", "no layers", lambda m: m.pop("layers"), "layers is not a list"),
    ("manifest", "size", lambda m: m["layers"][0].update(size=7), "size: stated 7, found"),
    ("manifest", "size a text", lambda m: m["layers"][0].update(size="7"), "lacks its media type or size"),
    ("manifest", "size true", lambda m: m["layers"][0].update(size=True), "lacks its media type or size"),
    ("manifest", "config's size", lambda m: m["config"].update(size=7), "stated 7, found"),
    ("manifest", "missing layer", lambda m: m["layers"][0].update(digest=DIGEST), f"blobs/sha256/{'0' * 64} is missing"),
    ("manifest", "path", lambda m: m["layers"][0].update(digest="sha256:../../../x"), "is not a digest"),
    ("manifest", "other hash", lambda m: m["layers"][0].update(digest="md5:" + "0" * 32), "is not a digest"),
    ("index", "schema", lambda i: i.update(schemaVersion=3), "schemaVersion: stated 3, found 2"),
    ("index", "media type", lambda i: i.update(mediaType="x/y"), "mediaType: stated x/y"),
    ("index", "no manifests", lambda i: i.pop("manifests"), "manifests is not a list"),
    ("index", "texts", lambda i: i.update(manifests=["x"]), "manifests is not a list"),
    ("index", "size", lambda i: i["manifests"][0].update(size=1), "stated 1, found"),
    ("index", "digest", lambda i: i["manifests"][0].update(digest=DIGEST), "is missing"),
]


@pytest.mark.parametrize(
    ("which", "change", "expected"), [(one[0], one[2], one[3]) for one in CHANGES], ids=[f"{c[0]}: {c[1]}" for c in CHANGES]
)
def test_finds_every_wrong_value_of_a_document(made: Made, which: str, change: Callable[[Json], object], expected: str) -> None:
    setattr(made, f"change_{which}", change)
    assert expected in made.problems()


BROKEN: list[tuple[str, bytes, str]] = [
    ("no end", SOUND[: -(-len(SOUND) // 512) * 512].rstrip(b"\0") + bytes(-len(SOUND.rstrip(b"\0")) % 512), "no end-of-archive"),
    ("end in the middle", tar(folder("a")) + tar(folder("b")), "data follows until byte"),
    ("cut off in a header", SOUND[:700], "damaged at byte 512, and data follows"),
    ("cut off in a file", SOUND[:1030], "unexpected end of data"),
    ("not a tar", b"this is no tar" * 100, "the tar cannot be read"),
    ("nothing", b"", "no end-of-archive"),
    ("outside", tar(entry("../evil", b"x")), "'../evil': the path is malformed or leads outside"),
    ("inside and out", tar(folder("a"), entry("a/../../evil", b"x")), "the path is malformed or leads outside"),
    ("absolute", tar(entry("/etc/passwd", b"x")), "'/etc/passwd': the path is malformed or leads outside"),
    ("long", tar(entry("a" * 5000, b"x")), "the path is malformed or leads outside"),
    ("twice", tar(entry("a", b"1"), entry("./a", b"2")), "a: occurs twice"),
    ("directory twice", tar(folder("a"), folder("a/")), "a: occurs twice"),
    ("child first", tar(entry("a/b", b"x"), folder("a")), "a: comes after a/b, which is below it"),
    ("no parent", tar(folder("a"), entry("a/b/c", b"x")), "a/b/c: its parent a/b is in no layer"),
    ("below a file", tar(entry("a", b"x"), entry("a/b", b"x")), "below a, which is not a directory"),
    ("below a link", tar(entry("a", kind=tarfile.SYMTYPE, target="/etc"), entry("a/b", b"x")), "below a, which is not a directory"),
    ("hard link to nothing", tar(entry("a", kind=tarfile.LNKTYPE, target="b")), "a hard link to b, which is not an earlier file"),
    ("hard link outside", tar(entry("a", kind=tarfile.LNKTYPE, target="../b")), "'../b': the path is malformed or leads outside"),
    ("strange type", tar(entry("a", kind=b"Z")), "an entry of type b'Z'"),
]


@pytest.mark.parametrize(("data", "expected"), [(one[1], one[2]) for one in BROKEN], ids=[one[0] for one in BROKEN])
def test_rejects_a_malformed_or_hostile_layer(made: Made, data: bytes, expected: str) -> None:
    made.tars = [data]
    message = made.problems()
    assert expected in message
    assert "linux/amd64) layer 0" in message


PACKED: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("plain", bytes, "states gzip, found no compression"),
    ("zstd", zstandard.compress, "states gzip, found zstd"),
    ("cut off", lambda data: gzip.compress(data)[:-9], "cut off"),
    ("rubbish behind", lambda data: gzip.compress(data) + b"rubbish", "the gzip data is damaged"),
    ("checksum", lambda data: gzip.compress(data)[:-8] + b"\0" * 8, "the gzip data is damaged"),
]


@pytest.mark.parametrize(("pack", "expected"), [(one[1], one[2]) for one in PACKED], ids=[one[0] for one in PACKED])
def test_rejects_another_compression_than_stated(made: Made, pack: Callable[[bytes], bytes], expected: str) -> None:
    made.pack = pack
    assert expected in made.problems()


def test_rejects_trailing_data_after_zstd(made: Made) -> None:
    made.layer_type, made.pack = f"{OCI}layer.v1.tar+zstd", lambda data: zstandard.compress(data) + b"rubbish"
    assert "the zstd data is damaged" in made.problems()


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_stops_a_decompression_bomb(made: Made, kind: str) -> None:
    made.layer_type = f"{OCI}layer.v1.tar+{kind}"
    made.pack = gzip.compress if kind == "gzip" else zstandard.compress
    made.tars = [tar(entry("zeros", bytes(30 << 20)))]
    root = made.write()
    validate(root)
    with pytest.raises(ImageError, match="unpacks to more than 1048576 bytes"):
        validate(root, limit=1 << 20)


def test_limits_all_layers_of_an_image_together(made: Made, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made.tars = [tar(entry(name, name.encode() * 600_000)) for name in "ab"]
    root = made.write()
    for remembered in (None, store, store):
        validate(root, store=remembered)
        with pytest.raises(ImageError, match="unpacks to more than 1048576 bytes"):
            validate(root, store=remembered, limit=1 << 20)
    made.tars = [tar(*(entry(f"{name}{number}") for number in range(3))) for name in "ab"]
    monkeypatch.setattr("shipwheel.oci.read.layer_stream.MAX_ENTRIES", 5)
    assert "more than 5 entries" in made.problems()


def test_does_not_read_a_huge_header_into_memory(made: Made) -> None:
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 7 << 30
    made.tars = [info.tobuf(tarfile.USTAR_FORMAT) + bytes(4096)]
    assert "a header of 7516192768 bytes" in made.problems()


@settings(deadline=None, max_examples=50)
@given(
    where=st.lists(
        st.tuples(st.integers(0, len(SOUND) // 512 - 1), st.sampled_from([0, 100, 124, 136, 156, 157, 345])), min_size=1, max_size=5
    ),
    what=st.binary(min_size=1, max_size=12),
    pack=st.sampled_from([bytes, gzip.compress, zstandard.compress]),
)
def test_any_header_yields_facts(where: list[tuple[int, int]], what: bytes, pack: Callable[[bytes], bytes]) -> None:
    data = bytearray(SOUND)
    for block, position in where:
        header = data[block * 512 : block * 512 + 512]
        header[position : position + len(what)] = what
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        data[block * 512 : block * 512 + 512] = header[:512]
    packed = pack(bytes(data))
    facts = check_layer(io.BytesIO(packed), len(packed), "sha256", None)
    assert (facts.digest, facts.size) == (digest_of(packed), len(packed))
    assert facts.diff_id == digest_of(bytes(data))


def test_checks_layers_against_those_below(made: Made) -> None:
    base = tar(folder("usr"), folder("usr/lib"), entry("lib", kind=tarfile.SYMTYPE, target="usr/lib"), folder("old"), folder("old/deep"))
    made.tars = [base, tar(entry("usr/lib/x", b"x")), tar(entry("lib/y", b"y"))]
    assert "layer 2: lib/y is below lib, which is a symbolic link in a layer below" in made.problems()
    made.tars = [base, tar(folder("lib"), entry("lib/y", b"y"))]
    assert any("replaces a symbolic link of a layer below" in note for note in validate(made.write()).notes)
    made.tars = [base, tar(entry(".wh.old")), tar(entry("old/deep/z", b"z"))]
    assert "old/deep/z: its parent old/deep is in no layer" in made.problems()
    made.tars = [base, tar(folder("old"), entry("old/.wh..wh..opq")), tar(entry("old/deep/z", b"z"))]
    assert "old/deep/z: its parent old/deep is in no layer" in made.problems()


@pytest.mark.parametrize("whiteout", [entry("etc/.wh.passwd"), entry("etc/.wh..wh..opq"), folder("etc/.wh.passwd")])
def test_rejects_whiteouts_in_layers_of_our_own(made: Made, whiteout: tuple[tarfile.TarInfo, bytes]) -> None:
    made.tars = [tar(folder("etc"), whiteout)]
    assert validate(made.write()).images, "other tools' layers may have them"
    made.change_manifest = lambda manifest: manifest["layers"][0].update(annotations={ANNOTATION_KEY: "0" * 64})
    assert "layer 0: a whiteout deletes etc/" in made.problems()


def test_notes_devices_and_unused_blobs(made: Made) -> None:
    made.tars = [tar(entry("null", kind=tarfile.CHRTYPE))]
    orphan = made.blob(b"left over", "x")
    notes = "\n".join(validate(made.write()).notes)
    assert "null: a device" in notes
    assert f"{orphan['digest'][7:]}: nothing refers to it" in notes


@pytest.mark.parametrize("text", [b"", b"[]", b"3", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":1,"a":2}', b"1" * 10_000])
@pytest.mark.parametrize("name", ["index.json", "oci-layout", "manifest.json"])
def test_rejects_malformed_documents(made: Made, name: str, text: bytes) -> None:
    (made.write() / name).write_bytes(text)
    with pytest.raises(ImageError, match=name):
        validate(made.root)


def test_rejects_a_document_of_five_megabytes(made: Made) -> None:
    made.change_config = lambda config: config.update(author="x" * (5 << 20))
    assert "exceed the maximum of 4194304" in made.problems()


def test_limits_nested_indexes(made: Made) -> None:
    def nest(index: Json) -> None:
        for _ in range(7):
            inner = json.dumps({"schemaVersion": 2, "mediaType": f"{OCI}index.v1+json", "manifests": index["manifests"]}).encode()
            index["manifests"] = [made.blob(inner, f"{OCI}index.v1+json")]

    made.change_index = nest
    assert "nested image indexes" in made.problems()


def test_hashes_attestations_and_artifacts(made: Made) -> None:
    statement = made.blob(b"{}", "application/vnd.in-toto+json")
    config = made.blob(
        json.dumps({"os": "unknown", "architecture": "unknown", "rootfs": {"type": "layers", "diff_ids": [DIGEST]}}).encode(),
        made.config_type,
    )
    manifest = {"schemaVersion": 2, "mediaType": made.manifest_type, "config": config, "layers": [statement]}
    found = made.blob(json.dumps(manifest).encode(), made.manifest_type)
    made.change_index = lambda index: index["manifests"].append(found)
    report = validate(made.write())
    assert len(report.images) == 1
    assert "an attestation in the image index" in report.notes[0]
    made.path(statement).write_bytes(b"[]")
    with pytest.raises(ImageError, match="digest: stated"):
        validate(made.root)


def test_lists_all_problems_at_once(made: Made) -> None:
    made.tars = [tar(entry("../evil", b"x")), tar(entry("a", b"1"), entry("a", b"2"))]
    made.change_config = lambda config: config.update(architecture="arm64", created="x")
    message = made.problems()
    assert "has 4 problems:" in message
    assert message.count("\n  - ") == 4


def test_shortens_thousands_of_problems(made: Made) -> None:
    made.tars = [tar(*(entry(f"../{number}") for number in range(3000)))]
    assert "and 2980 more" in made.problems()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("written")
    store = Store(root / "store")
    write_layout(small_index(store), root / "layout", store, name="app:1")
    write_archive(small_index(store), root / "app.tar", store, name="app:1")
    return root


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(data=st.data())
def test_finds_any_flipped_bit(written: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted((written / "layout" / "blobs" / "sha256").iterdir())))
    sound = path.read_bytes()
    position = data.draw(st.integers(0, len(sound) - 1))
    changed = bytearray(sound)
    changed[position] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(changed)
    try:
        with pytest.raises(ImageError, match=path.name):
            validate(written / "layout")
    finally:
        path.write_bytes(sound)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(cut=st.integers(0, 20000), tail=st.binary(max_size=600))
def test_rejects_a_truncated_or_overwritten_archive(written: Path, tmp_path: Path, cut: int, tail: bytes) -> None:
    sound = (written / "app.tar").read_bytes()
    changed = sound[: min(cut, len(sound) - 1025)] + tail
    (tmp_path / "cut.tar").write_bytes(changed)
    with pytest.raises(ShipwheelError):
        validate(tmp_path / "cut.tar")


def rewritten(written: Path, to: Path, change: Callable[[tarfile.TarInfo, bytes], list[tuple[tarfile.TarInfo, bytes]]]) -> Path:
    with tarfile.open(written / "app.tar") as archive, tarfile.open(to, "w") as copy:
        for member in archive:
            stream = archive.extractfile(member)
            for info, data in change(member, stream.read() if stream else b""):
                info.size = len(data)
                copy.addfile(info, io.BytesIO(data))
    return to


def test_rejects_a_wrong_manifest_json(written: Path, tmp_path: Path) -> None:
    def swapped(member: tarfile.TarInfo, data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
        if member.name == "manifest.json":
            (docker,) = json.loads(data)
            docker["Layers"].reverse()
            docker["Config"] = docker["Config"]
            data = json.dumps([docker, {"Config": "blobs/none", "Layers": []}, {"Config": 3}]).encode()
        return [(member, data)]

    with pytest.raises(ImageError) as caught:
        validate(rewritten(written, tmp_path / "bad.tar", swapped))
    assert "here and in its manifest: stated" in caught.value.message
    assert "blobs/none is missing" in caught.value.message
    assert "manifest.json[2]" in caught.value.message


def test_rejects_duplicate_members_and_other_types(written: Path, tmp_path: Path) -> None:
    def doubled(member: tarfile.TarInfo, data: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
        return [(member, data), (member, data)] if member.name == "index.json" else [(member, data)]

    with pytest.raises(ImageError, match=r"index\.json: occurs twice"):
        validate(rewritten(written, tmp_path / "twice.tar", doubled))
    with tarfile.open(tmp_path / "device.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("oci-layout"))
        device = tarfile.TarInfo("index.json")
        device.type = tarfile.CHRTYPE
        archive.addfile(device)
    with pytest.raises(ImageError, match="neither a file nor a directory"):
        validate(tmp_path / "device.tar")


def test_ends_at_links_in_a_circle(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "circle.tar", "w") as archive:
        data = json.dumps([{"Config": "a", "Layers": ["../../b"], "RepoTags": None}]).encode()
        info = tarfile.TarInfo("manifest.json")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
        for name, target in (("a", "b"), ("b", "a")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
    with pytest.raises(ImageError, match="a is missing"):
        validate(tmp_path / "circle.tar")


def test_rejects_neither_layout_nor_archive(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        validate(tmp_path / "missing")
    with pytest.raises(ImageError, match="neither oci-layout nor"):
        validate(tmp_path)
    (tmp_path / "app.tar.gz").write_bytes(gzip.compress(SOUND))
    with pytest.raises(ImageError, match="not a readable archive") as caught:
        validate(tmp_path / "app.tar.gz")
    assert "uncompressed" in caught.value.hint


def test_a_store_remembers_checked_layers_which_are_only_hashed(written: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def counted(*arguments: Any) -> Any:
        calls.append(1)
        return check_layer(*arguments)

    monkeypatch.setattr("shipwheel.oci.validate.check.check_layer", counted)
    first = validate(written / "layout", store=store)
    assert len(calls) == 3
    assert validate(written / "layout", store=store) == first
    assert validate(written / "app.tar", store=store).images == first.images
    assert len(calls) == 3
    layer = max((written / "layout" / "blobs" / "sha256").iterdir(), key=lambda path: path.read_bytes()[:2] == b"\x1f\x8b")
    sound = layer.read_bytes()
    try:
        layer.write_bytes(sound[:-1] + b"\1")
        with pytest.raises(ImageError, match="digest: stated"):
            validate(written / "layout", store=store)
    finally:
        layer.write_bytes(sound)


def test_the_number_of_workers_does_not_matter(written: Path) -> None:
    assert validate(written / "layout", workers=1) == validate(written / "layout", workers=8)


def test_accepts_an_image_for_one_platform(tmp_path: Path, store: Store) -> None:
    write_layout(small_index(store, [AMD64]), tmp_path / "one", store, name="localhost:5000/team/app:1")
    (report,) = validate(tmp_path / "one").images
    assert report.name == "localhost:5000/team/app:1"
    assert report.size == small_index(store, [AMD64]).images[0].size
