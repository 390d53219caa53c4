"""The seed, the facts, the downloads, and the generated files."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from shipwheel.debian.archive import Archive
from shipwheel.debian.downloads import load_segments, package_downloads
from shipwheel.debian.generated_base import base_sources
from shipwheel.debian.mirror import Mirror
from shipwheel.debian.package import DebianPackage
from shipwheel.debian.package_index import PackageIndex
from shipwheel.debian.seed import libc_version, python_version, resolve_seed, seed_names
from shipwheel.errors import FetchError, IntegrityError, LockError, UsageError
from shipwheel.files.content import read
from shipwheel.files.entry import EntryType, FileEntry
from shipwheel.files.segment import make_segment
from shipwheel.oci.layer import LayerSpec, find_layer, make_layer
from shipwheel.platform import Platform
from shipwheel.store import Store
from shipwheel.suites import SUITES, suite_by_name
from shipwheel.testing.debian import FakeArchive, make_deb, shared_object

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
BOOKWORM = suite_by_name("bookworm")


def _package(name: str, version: str, archive: str = "debian", filename: str = "pool/main/x/x.deb") -> DebianPackage:
    return DebianPackage(name, version, "amd64", filename, "0" * 64, 7, archive)


def _index(*names: str) -> PackageIndex:
    table = b"".join(b"%b\t1\tamd64\tpool/x.deb\t%b\t1\t\n" % (name.encode(), b"0" * 64) for name in names)
    return PackageIndex("Debian test", [("debian", table)], lambda: b"")


def test_seed() -> None:
    found = resolve_seed(_index(*seed_names(BOOKWORM), "libmagic1", "other"), BOOKWORM, ["libmagic1"])
    names = [package.name for package in found]
    assert names == sorted({*seed_names(BOOKWORM), "libmagic1"})
    assert {"python3.11-minimal", "python3-distutils", "libc6"} <= set(names)


def test_newer_suites_have_no_split_library() -> None:
    assert [("python3-distutils" in seed_names(suite)) for suite in SUITES] == [True, True, False, False]


def test_all_unknown_packages_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        resolve_seed(_index(*seed_names(BOOKWORM), "libmagic1"), BOOKWORM, ["libmagic", "qqqq"])
    assert "libmagic (did you mean libmagic1" in caught.value.message
    assert "qqqq" in caught.value.message


def test_facts() -> None:
    packages = [_package("python3.11-minimal", "3.11.2-6+deb12u6"), _package("libc6", "2.36-9+deb12u10"), _package("zlib1g", "1:1.2-1")]
    assert (python_version(packages), libc_version(packages)) == ("3.11.2", (2, 36))
    assert python_version([_package("python3.14-minimal", "3.14.0~rc3-1")]) == "3.14.0"
    with pytest.raises(LockError, match="no interpreter"):
        python_version(packages[1:])
    with pytest.raises(LockError, match="no libc6"):
        libc_version(packages[2:])


def test_downloads() -> None:
    mirror = Mirror("http://m/debian", "http://m/debian-security")
    main, security = package_downloads([_package("a", "1"), _package("b", "2", "debian-security", "pool/updates/main/b/b.deb")], mirror)
    assert main.urls == ("http://m/debian/pool/main/x/x.deb",)
    assert security.urls == ("http://m/debian-security/pool/updates/main/b/b.deb", "http://m/debian/pool/main/b/b.deb")
    assert (main.digest, main.size) == (f"sha256:{'0' * 64}", 7)


@pytest.fixture
def fake(tmp_path: Path) -> FakeArchive:
    return FakeArchive(tmp_path / "mirror")


def test_package_that_the_mirror_no_longer_has(fake: FakeArchive, tmp_path: Path) -> None:
    gone = fake.add(make_deb("gone", "1", {"x": b"x"}), ("gone", "1", "amd64"))
    kept = fake.add(make_deb("kept", "1", {"x": b"x"}), ("kept", "1", "amd64"))
    (fake.root / "debian" / gone.filename).unlink()
    with pytest.raises(FetchError) as caught:
        load_segments([gone, kept], fake.mirror, Store(tmp_path / "store"))
    assert "gone_1.deb" in caught.value.message
    assert "--upgrade-base" in caught.value.hint
    assert "pylock.toml" in caught.value.hint


def test_package_with_another_hash(fake: FakeArchive, tmp_path: Path) -> None:
    made = fake.add(make_deb("a", "1", {"x": b"x"}), ("a", "1", "amd64"))
    path = fake.root / "debian" / made.filename
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    store = Store(tmp_path / "store")
    with pytest.raises(IntegrityError, match=r"a_1\.deb"):
        load_segments([made], fake.mirror, store)
    assert not store.has(made.digest)


def test_damaged_package_in_the_store_is_fetched_again(fake: FakeArchive, tmp_path: Path) -> None:
    made = fake.add(make_deb("a", "1", {"x": b"x"}), ("a", "1", "amd64"))
    store = Store(tmp_path / "store")
    store.add((fake.root / "debian" / made.filename).read_bytes())
    store.path(made.digest).write_bytes(make_deb("a", "1", {"x": b"y"}))
    (segment,) = load_segments([made], fake.mirror, store)
    assert segment.label == "a 1"


def test_segments_are_made_once(fake: FakeArchive, tmp_path: Path) -> None:
    made = fake.add(make_deb("a", "1", {"x": b"x"}), ("a", "1", "amd64"))
    store = Store(tmp_path / "store")
    first = load_segments([made], fake.mirror, store)
    (fake.root / "debian" / made.filename).unlink()
    store.discard(made.digest)
    assert load_segments([made], fake.mirror, store) == first


def _base(fake: FakeArchive, store: Store, platform: Platform = AMD64) -> list[DebianPackage]:
    lib = f"usr/lib/{platform.multiarch}"
    crt = "usr/share/ca-certificates/mozilla"
    architecture = platform.architecture
    library = shared_object("libz.so.1", architecture=architecture)
    debs: dict[str, dict[str, bytes | str]] = {
        "zlib1g": {f"{lib}/libz.so.1.2": library, f"{lib}/libz.so.1": "libz.so.1.2"},
        "libblas3": {f"{lib}/blas/libblas.so.3": shared_object("libblas.so.3", architecture=architecture)},
        "libopenblas0": {f"{lib}/openblas-pthread/libblas.so.3": shared_object("libblas.so.3", architecture=architecture)},
        "ca-certificates": {f"{crt}/B.crt": b"BBB", f"{crt}/A.crt": b"AAA\n", f"{crt}/README": b"no"},
        "openssl": {"usr/lib/ssl/cert.pem": "/etc/ssl/other"},
    }
    packages = [fake.add(make_deb(name, "1", files, architecture=architecture), (name, "1", architecture)) for name, files in debs.items()]
    load_segments(packages, fake.mirror, store)
    return packages


def _generated(packages: Sequence[DebianPackage], platform: Platform, store: Store) -> dict[str, FileEntry]:
    return {entry.path: entry for entry in base_sources(packages, platform, BOOKWORM, store)[-1].entries()}


def test_sources_are_in_the_order_of_their_names(fake: FakeArchive, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    packages = _base(fake, store)
    labels = [source.label for source in base_sources(packages, AMD64, BOOKWORM, store)]
    assert labels == ["ca-certificates 1", "libblas3 1", "libopenblas0 1", "openssl 1", "zlib1g 1", "generated files of bookworm"]
    forward, backward = (base_sources(order, AMD64, BOOKWORM, store)[-1].key for order in (packages, packages[::-1]))
    assert forward == backward
    assert forward != base_sources(packages[1:], AMD64, BOOKWORM, store)[-1].key


@pytest.mark.parametrize("platform", [AMD64, ARM64])
def test_generated_files(fake: FakeArchive, tmp_path: Path, platform: Platform) -> None:
    store = Store(tmp_path / "store")
    found = _generated(_base(fake, store, platform), platform, store)
    links = {path: entry.target for path, entry in found.items() if entry.type is EntryType.SYMLINK}
    assert ("lib64" in links) == (platform == AMD64)
    assert (links["bin"], links["lib"], links["sbin"], links["usr/bin/python3"]) == ("usr/bin", "usr/lib", "usr/sbin", "python3.11")
    assert links[f"usr/lib/{platform.multiarch}/libblas.so.3"] == "openblas-pthread/libblas.so.3"
    assert read(found["etc/ssl/certs/ca-certificates.crt"].content) == b"AAA\nBBB\n"
    assert b"app:x:65532:65532:" in read(found["etc/passwd"].content)
    assert (found["tmp"].mode, found["var/tmp"].mode, found["root"].mode) == (0o1777, 0o1777, 0o700)
    assert f"/usr/lib/{platform.multiarch}/libz.so.1\0".encode() in read(found["etc/ld.so.cache"].content)


def test_what_a_package_has_is_left_to_it(fake: FakeArchive, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert "usr/lib/ssl/cert.pem" not in _generated(_base(fake, store), AMD64, store)


def test_certificates_come_from_the_segment(fake: FakeArchive, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    packages = _base(fake, store)
    for package in packages:
        store.discard(package.digest)
    assert read(_generated(packages, AMD64, store)["etc/ssl/certs/ca-certificates.crt"].content) == b"AAA\nBBB\n"


def test_no_certificates_without_their_package(fake: FakeArchive, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    packages = [package for package in _base(fake, store) if package.name != "ca-certificates"]
    assert "etc/ssl/certs/ca-certificates.crt" not in _generated(packages, AMD64, store)


def test_same_layer_in_any_store_and_order(fake: FakeArchive, tmp_path: Path) -> None:
    digests = set()
    for number in range(2):
        store = Store(tmp_path / f"store{number}")
        packages = _base(fake, store)
        spec = LayerSpec("base", base_sources(packages[:: 1 - 2 * number], AMD64, BOOKWORM, store))
        layer = make_layer(spec, store)
        assert find_layer(spec, store) == layer
        digests.add((layer.digest, layer.diff_id))
    assert len(digests) == 1


def test_no_path_twice_in_a_base(fake: FakeArchive, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    sources = base_sources(_base(fake, store), AMD64, BOOKWORM, store)
    paths = [path for source in sources for segment in [make_segment(source, store)] for path in (*segment.files, *segment.links)]
    assert len(paths) == len(set(paths))


def test_archive_and_seed_together(fake: FakeArchive, tmp_path: Path) -> None:
    for name in seed_names(BOOKWORM):
        fake.add(make_deb(name, "3.11.2-1", {f"usr/share/x/{name}": b"x"}), (name, "3.11.2-1", "amd64"))
    fake.publish()
    index = Archive(fake.mirror, Store(tmp_path / "store"), keyring=fake.keyring).package_index(BOOKWORM, AMD64)
    seed = resolve_seed(index, BOOKWORM)
    assert (python_version(seed), libc_version(seed)) == ("3.11.2", (3, 11))
