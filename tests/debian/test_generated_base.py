"""The files that are generated in place of maintainer scripts."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from support.debian_packages import base_sources, fetching

from shipwheel.debian.downloads import load_segments
from shipwheel.debian.package import DebianPackage
from shipwheel.files.entry import EntryType, FileEntry, read_content
from shipwheel.files.segment import make_segment
from shipwheel.oci.layer import LayerSpec, find_layer, make_layer
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.suites import suite_by_name
from shipwheel.testing.debian import FakeArchive, make_deb, shared_object

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
BOOKWORM = suite_by_name("bookworm")


@pytest.fixture
def fake(tmp_path: Path) -> FakeArchive:
    return FakeArchive(tmp_path / "mirror")


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
    load_segments(packages, fetching(fake.mirror, store), store)
    return packages


def _generated(packages: Sequence[DebianPackage], platform: Platform, store: Store) -> dict[str, FileEntry]:
    return {entry.path: entry for entry in base_sources(packages, platform, BOOKWORM, store)[-1].entries()}


def test_sources_are_sorted_by_name(fake: FakeArchive, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    packages = _base(fake, store)
    labels = [source.label for source in base_sources(packages, AMD64, BOOKWORM, store)]
    assert labels == ["ca-certificates 1", "libblas3 1", "libopenblas0 1", "openssl 1", "zlib1g 1", "generated files of bookworm"]
    forward, backward = (base_sources(order, AMD64, BOOKWORM, store)[-1].key for order in (packages, packages[::-1]))
    assert forward == backward
    assert forward != base_sources(packages[1:], AMD64, BOOKWORM, store)[-1].key


@pytest.mark.parametrize("platform", [AMD64, ARM64])
def test_generates_the_files_of_maintainer_scripts(fake: FakeArchive, tmp_path: Path, platform: Platform) -> None:
    store = Store(tmp_path / "store")
    found = _generated(_base(fake, store, platform), platform, store)
    links = {path: entry.target for path, entry in found.items() if entry.type is EntryType.SYMLINK}
    assert ("lib64" in links) == (platform == AMD64)
    assert (links["bin"], links["lib"], links["sbin"], links["usr/bin/python3"]) == ("usr/bin", "usr/lib", "usr/sbin", "python3.11")
    assert links[f"usr/lib/{platform.multiarch}/libblas.so.3"] == "openblas-pthread/libblas.so.3"
    assert read_content(found["etc/ssl/certs/ca-certificates.crt"].content) == b"AAA\nBBB\n"
    assert b"app:x:65532:65532:" in read_content(found["etc/passwd"].content)
    assert (found["tmp"].mode, found["var/tmp"].mode, found["root"].mode) == (0o1777, 0o1777, 0o700)
    assert f"/usr/lib/{platform.multiarch}/libz.so.1\0".encode() in read_content(found["etc/ld.so.cache"].content)


def test_a_path_of_a_package_is_not_generated(fake: FakeArchive, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert "usr/lib/ssl/cert.pem" not in _generated(_base(fake, store), AMD64, store)


def test_reads_certificates_from_the_segment(fake: FakeArchive, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    packages = _base(fake, store)
    for package in packages:
        store.discard(package.digest)
    assert read_content(_generated(packages, AMD64, store)["etc/ssl/certs/ca-certificates.crt"].content) == b"AAA\nBBB\n"


def test_generates_no_certificates_without_their_package(fake: FakeArchive, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    packages = [package for package in _base(fake, store) if package.name != "ca-certificates"]
    assert "etc/ssl/certs/ca-certificates.crt" not in _generated(packages, AMD64, store)


def test_the_layer_does_not_depend_on_store_or_order(fake: FakeArchive, tmp_path: Path) -> None:
    digests = set()
    for number in range(2):
        store = Store(tmp_path / f"store{number}")
        packages = _base(fake, store)
        spec = LayerSpec("base", base_sources(packages[:: 1 - 2 * number], AMD64, BOOKWORM, store))
        layer = make_layer(spec, store)
        assert find_layer(spec, store) == layer
        digests.add((layer.digest, layer.diff_id))
    assert len(digests) == 1


def test_no_path_is_in_a_base_twice(fake: FakeArchive, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    sources = base_sources(_base(fake, store), AMD64, BOOKWORM, store)
    paths = [path for source in sources for segment in [make_segment(source, store)] for path in (*segment.files, *segment.links)]
    assert len(paths) == len(set(paths))
