"""The composed base: which packages it starts from, and the files that maintainer scripts would have made."""

import io
import re
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from shipwheel.debian.package import DebianPackage, DebSource
from shipwheel.debian.version import upstream
from shipwheel.errors import DamagedBlob, FetchError, IntegrityError, LockError, UsageError
from shipwheel.events import Reporter, silent
from shipwheel.files.entry import EntryType, FileEntry, Source, directory, file, symlink
from shipwheel.files.segment import Segment, find_segment, key_of, known_segment, make_segment, unpacked
from shipwheel.platform import Platform
from shipwheel.store import Store
from shipwheel.suites import Suite

if TYPE_CHECKING:
    from shipwheel.debian.archive import PackageIndex
    from shipwheel.debian.mirror import Mirror
    from shipwheel.download.fetch import Download

__all__ = [
    "COMMON_SEED",
    "SPLIT_SEED",
    "GeneratedBase",
    "base_facts",
    "base_sources",
    "downloads",
    "fetch_packages",
    "libc_version",
    "load_packages",
    "resolve_named",
    "resolve_seed",
    "seed_names",
]

GENERATED_VERSION = "1"
"""Part of the generated files' key: raise it when they would be others."""

COMMON_SEED = (
    "base-files",
    "ca-certificates",
    "libc-bin",
    "libc6",
    "libexpat1",
    "libgcc-s1",
    "media-types",
    "ncurses-base",
    "netbase",
    "tzdata",
    "zlib1g",
)
"""What every base has. libc-bin: ldconfig, without which `ctypes.util.find_library` finds nothing, and bullseye's C.UTF-8 locale.
libexpat1, zlib1g: the interpreter is linked with them, and compiles before the closure is known.
libgcc-s1: glibc loads it by name when a thread is cancelled. ncurses-base: the terminals that curses and readline know."""

SPLIT_SEED = ("python3-distutils", "python3-lib2to3")
"""Parts of the standard library that older suites have in packages of their own."""

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
_AUTHORITIES = "ca-certificates"
_CERTIFICATE = re.compile(r"usr/share/ca-certificates/mozilla/.+\.crt")
_RENEW = (
    "Renew the base with `shipwheel build --upgrade-base` (or delete the base table of pylock.toml). "
    "If that was done just now, the mirror is not complete: use another one (SHIPWHEEL_DEBIAN_MIRROR)."
)


def seed_names(suite: Suite) -> tuple[str, ...]:
    """The names of the packages that a suite's base starts from, those that it may not have included."""
    python = suite.python
    if not python:
        return COMMON_SEED
    interpreter = (f"python{python}-minimal", f"libpython{python}-minimal", f"libpython{python}-stdlib")
    return (*COMMON_SEED, *interpreter, *(SPLIT_SEED if suite.python in ("3.9", "3.11") else ()))


def resolve_seed(index: "PackageIndex", suite: Suite, extra: Sequence[str] = ()) -> tuple[DebianPackage, ...]:
    """The newest of each seed package and of those the user names, by name; raises UsageError with all unknown names and their likes."""
    return resolve_named(index, (*seed_names(suite), *extra))


def resolve_named(index: "PackageIndex", names: Sequence[str]) -> tuple[DebianPackage, ...]:
    """The newest package of each name, by name; raises UsageError with all unknown names and their likes."""
    found: dict[str, DebianPackage] = {}
    unknown: list[str] = []
    for name in names:
        package = index.newest(name)
        if package is None:
            unknown.append(name)
        else:
            found[name] = package
    if unknown:
        likes = [f"{name} (did you mean {', '.join(near)}?)" if (near := index.nearest(name)) else name for name in dict.fromkeys(unknown)]
        raise UsageError(
            f"{index.label} has no package {'; '.join(likes)}",
            hint="Name packages as Debian does; they can be searched for by the library they hold.",
        )
    return tuple(found[name] for name in sorted(found))


def base_facts(packages: Sequence[DebianPackage]) -> tuple[str, tuple[int, int]]:
    """(Python's full version, libc's major and minor) of a base's packages: ("3.11.2", (2, 36)). Raises LockError."""
    python = None
    for package in packages:
        if re.fullmatch(r"python3\.\d+-minimal", package.name):
            python = re.match(r"\d+\.\d+\.\d+", upstream(package.version))
    if python is None:
        raise LockError("the base has no interpreter", hint=_RENEW)
    return python[0], libc_version(packages)


def libc_version(packages: Sequence[DebianPackage]) -> tuple[int, int]:
    """libc's major and minor version, of a base's packages: (2, 36). Raises LockError."""
    found = next((package.version for package in packages if package.name == "libc6"), "")
    libc = re.match(r"(\d+)\.(\d+)", upstream(found))
    if libc is None:
        raise LockError("the base has no libc6", hint=_RENEW)
    return int(libc[1]), int(libc[2])


def downloads(packages: Sequence[DebianPackage], mirror: "Mirror") -> "list[Download]":
    """What to fetch for these packages. A security update moves to the main archive with a point release: that is the second address."""
    from shipwheel.download.fetch import Download

    return [
        Download(tuple(dict.fromkeys(_addresses(package, mirror))), package.digest, package.size, f"{package.name}_{package.version}.deb")
        for package in packages
    ]


def _addresses(package: DebianPackage, mirror: "Mirror") -> Iterator[str]:
    for each in (mirror, *mirror.others):
        yield f"{each.base(package.archive)}/{package.filename}"
        yield f"{each.debian}/{package.filename.replace('pool/updates/', 'pool/', 1)}"


def load_packages(
    packages: Sequence[DebianPackage], mirror: "Mirror", store: Store, reporter: Reporter = silent, *, workers: int = 2
) -> list[Segment]:
    """The packages' segments, in order; what the store does not have is fetched and made.

    Raises FetchError that says how to renew when the mirror no longer has a package, IntegrityError, ArchiveError.
    """
    sources = [DebSource(package, store) for package in packages]
    known = [find_segment(source.key, store) for source in sources]
    missing = [source for source, segment in zip(sources, known, strict=True) if segment is None]
    fetch_packages([source.package for source in missing], mirror, store, reporter)

    def made(source: DebSource) -> Segment:
        try:
            return make_segment(source, store)
        except DamagedBlob:
            fetch_packages([source.package], mirror, store, reporter)
            return make_segment(source, store)

    with ThreadPoolExecutor(workers, thread_name_prefix="deb") as pool:
        new = {source.key: segment for source, segment in zip(missing, pool.map(made, missing), strict=True)}
    return [segment or new[source.key] for source, segment in zip(sources, known, strict=True)]


def fetch_packages(packages: Sequence[DebianPackage], mirror: "Mirror", store: Store, reporter: Reporter = silent) -> None:
    """Brings the .debs into the store; raises FetchError that says how to renew the base when the mirror no longer has one."""
    from shipwheel.debian.archive import absent
    from shipwheel.download.fetch import fetch

    try:
        fetch(downloads(packages, mirror), store, reporter, stage="packages")
    except IntegrityError:
        raise
    except FetchError as error:
        if absent(error):
            raise FetchError(f"the mirror no longer has a package of the base:\n  {error.message}", hint=_RENEW) from error
        raise


def base_sources(packages: Sequence[DebianPackage], platform: Platform, suite: Suite, store: Store) -> tuple[Source, ...]:
    """All sources of a base: the packages by name, then what their scripts would have made."""
    ordered = tuple(sorted(packages, key=lambda package: package.name))
    return (*(DebSource(package, store) for package in ordered), GeneratedBase(ordered, platform, suite, store))


class GeneratedBase(msgspec.Struct, frozen=True):
    """What maintainer scripts would have made: users, certificates, links, the loader's cache. A path that a package has is left to it.

    `interpreter` is what python3 is, absolute, where it is not the suite's own.
    """

    packages: tuple[DebianPackage, ...]
    platform: Platform
    suite: Suite
    store: Store
    interpreter: str = ""

    @property
    def key(self) -> str:
        """From the packages' hashes, the platform, the suite and the interpreter."""
        given = (self.interpreter,) if self.interpreter else ()
        hashes = (package.sha256 for package in self.packages)
        return key_of("generated base", GENERATED_VERSION, str(self.platform), self.suite.codename, *given, *hashes)

    @property
    def label(self) -> str:
        """For errors and reports."""
        return f"generated files of {self.suite.codename}"

    def entries(self) -> Iterator[FileEntry]:
        """The entries, by path. The packages must be in the store, as their segments or as they came."""
        from shipwheel.debian.ldcache import ld_cache, libraries

        segments = [known_segment(source.key, self.store) or make_segment(source, self.store) for source in self._debs()]
        taken = {path for segment in segments for path in (*segment.files, *segment.links)}
        cache = ld_cache(libraries(segments, self.platform).items(), self.platform)
        made = [*self._links(), *_alternatives(segments, self.platform), *_etc(), file("etc/ld.so.cache", cache)]
        entries = [*made, *self._certificates(segments)]
        for entry in sorted(entries, key=lambda entry: entry.path):
            if entry.type is EntryType.DIRECTORY or entry.path not in taken:
                yield entry

    @property
    def needed(self) -> tuple[DebianPackage, ...]:
        """The packages that have to be fetched for it: of most, what is known of them is enough."""
        sources = [
            source for source in self._debs() if known_segment(source.key, self.store) is None or source.package.name == _AUTHORITIES
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
        # Where OpenSSL looks when SSL_CERT_FILE is not set.
        yield symlink("usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt")
        yield symlink("usr/lib/ssl/certs", "/etc/ssl/certs")

    def _certificates(self, segments: Sequence[Segment]) -> Iterator[FileEntry]:
        """All of Mozilla's authorities in one file, as update-ca-certificates would write it."""
        for source, segment in zip(self._debs(), segments, strict=True):
            if source.package.name == _AUTHORITIES:
                whole = segment if self.store.has(segment.digest) else make_segment(source, self.store)
                yield file("etc/ssl/certs/ca-certificates.crt", _bundle(whole, self.store))


def _bundle(segment: Segment, store: Store) -> bytes:
    """The certificates in a segment, by path. The segment is read, not the .deb, which the store need not have any more."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(b"".join(unpacked(segment, store))), mode="r:", encoding="utf-8") as tar:
        for info in tar:
            stream = tar.extractfile(info) if _CERTIFICATE.fullmatch(info.name) and info.isreg() else None
            if stream is not None:
                found[info.name] = stream.read().rstrip(b"\n") + b"\n"
    return b"".join(found[path] for path in sorted(found))


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
    """Links that update-alternatives would make for libraries in directories of their own (libblas.so.3).

    The quicker ones come before the reference.
    """
    from shipwheel.debian.tables import alternative_directory

    root = f"usr/lib/{platform.multiarch}"
    found: dict[str, str] = {}
    for path in sorted(path for segment in segments for path in (*segment.files, *segment.links)):
        folder, slash, name = path.removeprefix(f"{root}/").partition("/")
        if not path.startswith(f"{root}/") or not slash or "/" in name or not alternative_directory(folder) or ".so." not in name:
            continue
        if name not in found or found[name].partition("/")[0] in ("blas", "lapack"):
            found[name] = f"{folder}/{name}"
    for name, target in sorted(found.items()):
        yield symlink(f"{root}/{name}", target)
