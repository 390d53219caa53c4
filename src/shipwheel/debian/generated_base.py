"""The files of a composed base that maintainer scripts would make: users, certificates, links and the loader's cache."""

import io
import tarfile
from collections.abc import Iterator, Sequence

import msgspec

from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.files.entry import EntryType, FileEntry, directory, file, symlink
from shipwheel.files.segment import Segment, find_segment, key_of, load_segment_metadata, make_segment, uncompressed_chunks
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.platform import Platform
from shipwheel.store.store import Store
from shipwheel.suites import Suite

__all__ = ["GeneratedBase"]

_VERSION = "1"
"""Part of the key of the generated files: raise it whenever their bytes change."""

_USERS = (
    "root:x:0:0:root:/root:/usr/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    "app:x:65532:65532:app:/tmp:/usr/sbin/nologin\n"
)
_GROUP = "root:x:0:\nnogroup:x:65534:\napp:x:65532:\n"
_NSSWITCH = (
    "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n"
    "protocols: files\nservices: files\nethers: files\nrpc: files\nnetgroup: files\n"
)
_CERTIFICATES_PACKAGE = "ca-certificates"
_CERTIFICATE = lazy_pattern(r"usr/share/ca-certificates/mozilla/.+\.crt")
_BUNDLE = "etc/ssl/certs/ca-certificates.crt"


class GeneratedBase(msgspec.Struct, frozen=True):
    """The generated files of a base as a source. A path that a package contains is left to the package.

    `interpreter` is the absolute path that `python3` links to, empty for the suite's own Python.
    """

    packages: tuple[DebianPackage, ...]
    platform: Platform
    suite: Suite
    store: Store
    interpreter: str = ""

    @property
    def key(self) -> str:
        """The key, from the packages' hashes, the platform, the suite and the interpreter."""
        interpreter = (self.interpreter,) if self.interpreter else ()
        hashes = (package.sha256 for package in self.packages)
        return key_of("generated base", _VERSION, str(self.platform), self.suite.codename, *interpreter, *hashes)

    @property
    def label(self) -> str:
        """The name in errors and reports."""
        return f"generated files of {self.suite.codename}"

    def entries(self) -> Iterator[FileEntry]:
        """Yield the entries sorted by path. The store must have each package or its segment."""
        from shipwheel.debian.ldcache import cached_libraries, ld_cache

        segments = [load_segment_metadata(source.key, self.store) or make_segment(source, self.store) for source in self._debs()]
        packaged = {path for segment in segments for path in (*segment.files, *segment.links)}
        cache = ld_cache(cached_libraries(segments, self.platform).items(), self.platform)
        entries = [
            *self._links(),
            *_alternatives(segments, self.platform),
            *_etc(),
            file("etc/ld.so.cache", cache),
            *self._certificates(segments),
        ]
        for entry in sorted(entries, key=lambda entry: entry.path):
            if entry.type is EntryType.DIRECTORY or entry.path not in packaged:
                yield entry

    def packages_to_fetch(self) -> tuple[DebianPackage, ...]:
        """Return the packages that must be fetched first; for most, the metadata of their segment is enough."""
        sources = [
            source
            for source in self._debs()
            if load_segment_metadata(source.key, self.store) is None or source.package.name == _CERTIFICATES_PACKAGE
        ]
        return tuple(source.package for source in sources if find_segment(source.key, self.store) is None)

    def _debs(self) -> Iterator[DebSource]:
        return (DebSource(package, self.store) for package in self.packages)

    def _links(self) -> Iterator[FileEntry]:
        for top in ("bin", "lib", "sbin", *(("lib64",) if self.platform.architecture == "amd64" else ())):
            yield symlink(top, f"usr/{top}")
        for top in ("usr/bin", "usr/lib", "usr/sbin"):
            yield directory(top)
        yield symlink("usr/bin/python3", self.interpreter or f"python{self.suite.python}")
        # The paths where OpenSSL looks if SSL_CERT_FILE is not set.
        yield symlink("usr/lib/ssl/cert.pem", f"/{_BUNDLE}")
        yield symlink("usr/lib/ssl/certs", "/etc/ssl/certs")

    def _certificates(self, segments: Sequence[Segment]) -> Iterator[FileEntry]:
        """Yield the bundle of Mozilla's certificates that update-ca-certificates would write."""
        for source, segment in zip(self._debs(), segments, strict=True):
            if source.package.name == _CERTIFICATES_PACKAGE:
                stored = segment if self.store.has(segment.digest) else make_segment(source, self.store)
                yield file(_BUNDLE, _bundle(stored, self.store))


def _bundle(segment: Segment, store: Store) -> bytes:
    """Return the certificates in a segment, sorted by path. The store may have the segment and no longer the .deb."""
    certificates: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(uncompressed_chunks(segment, store))), mode="r:", encoding="utf-8") as tar:
        for info in tar:
            stream = tar.extractfile(info) if _CERTIFICATE.fullmatch(info.name) and info.isreg() else None
            if stream is not None:
                certificates[info.name] = stream.read().rstrip(b"\n") + b"\n"
    return b"".join(certificates[path] for path in sorted(certificates))


def _etc() -> Iterator[FileEntry]:
    yield file("etc/passwd", _USERS)
    yield file("etc/group", _GROUP)
    yield file("etc/nsswitch.conf", _NSSWITCH)
    for path in ("dev", "proc", "sys", "run", "var/lib", "var/log"):
        yield directory(path)
    yield directory("root", 0o700)
    yield directory("tmp", 0o1777)
    yield directory("var/tmp", 0o1777)
    yield symlink("var/run", "/run")


def _alternatives(segments: Sequence[Segment], platform: Platform) -> Iterator[FileEntry]:
    """Yield the links that update-alternatives would make for libraries in a subdirectory, such as libblas.so.3.

    An optimised implementation is preferred over the reference one.
    """
    from shipwheel.debian.tables import is_alternatives_directory

    root = f"usr/lib/{platform.multiarch}"
    targets: dict[str, str] = {}
    for path in sorted(path for segment in segments for path in (*segment.files, *segment.links)):
        subdirectory, slash, name = path.removeprefix(f"{root}/").partition("/")
        if not path.startswith(f"{root}/") or not slash or "/" in name or not is_alternatives_directory(subdirectory) or ".so." not in name:
            continue
        if name not in targets or targets[name].partition("/")[0] in ("blas", "lapack"):
            targets[name] = f"{subdirectory}/{name}"
    for name, target in sorted(targets.items()):
        yield symlink(f"{root}/{name}", target)
