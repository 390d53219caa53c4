"""Debian packages as sources of file entries. Packages are unpacked and never run: maintainer scripts are not even read.

Paths are changed as /usr-merge does, everything belongs to root, set-id bits are dropped, modes become 0644 or 0755, and files that a
container does not need are excluded. dpkg's metadata is added in the form that image scanners read.
"""

import posixpath
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, cast

import msgspec

from shipwheel.debian.deb import HashedStream, damaged, members, open_tar, refused
from shipwheel.digest import Digest, Sha256, sha256_digest
from shipwheel.errors import ArchiveError, DamagedBlob
from shipwheel.files.entry import EntryType, FileEntry, checked_path, directory, file, spooled_file
from shipwheel.files.segment import key_of
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.store.store import Store

__all__ = ["EXCLUDED", "MERGED_DIRECTORIES", "DebSource", "DebianPackage", "is_excluded", "usr_merged"]

RULES_VERSION = "1"
"""Part of every key: raise it whenever the entries of a package change."""

MERGED_DIRECTORIES = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Top-level directories that are links into usr/ (Debian's UsrMerge)."""

EXCLUDED = {
    "documentation": (
        "usr/share/doc/",
        "usr/share/doc-base/",
        "usr/share/man/",
        "usr/share/info/",
        "usr/share/help/",
        "usr/share/gtk-doc/",
    ),
    "translations": ("usr/share/locale/", "usr/share/locale-langpack/"),
    "packaging": (
        "usr/share/bug/",
        "usr/share/lintian/",
        "usr/share/debconf/",
        "usr/share/debhelper/",
        "usr/share/python3/",
        "usr/share/base-files/",
        "etc/apt/",
        "usr/lib/apt/",
        "etc/dpkg/dpkg.cfg.d/",
        "etc/ca-certificates/",
        "usr/sbin/update-ca-certificates",
        "var/lib/dpkg/",
        "var/cache/",
    ),
    "running a machine": (
        "usr/lib/systemd/",
        "usr/lib/tmpfiles.d/",
        "usr/lib/sysusers.d/",
        "usr/lib/udev/",
        "usr/lib/modprobe.d/",
        "usr/lib/sysctl.d/",
        "etc/systemd/",
        "etc/init.d/",
        "etc/init/",
        "etc/cron.",
        "etc/logrotate.d/",
        "etc/pam.d/",
        "etc/update-motd.d/",
        "etc/kernel/",
        "etc/default/",
        "usr/share/initramfs-tools/",
    ),
    "shells and desktops": (
        "usr/share/bash-completion/",
        "usr/share/zsh/",
        "usr/share/fish/",
        "etc/bash_completion.d/",
        "usr/share/menu/",
        "usr/share/applications/",
        "usr/share/gdb/",
        "etc/profile.d/",
    ),
    "making time zones and locales": (
        "usr/share/zoneinfo/right/",
        "usr/share/zoneinfo/posix/",
        "usr/bin/localedef",
        "usr/bin/tzselect",
        "usr/bin/zdump",
        "usr/sbin/zic",
        "usr/sbin/iconvconfig",
        "usr/bin/catchsegv",
        "usr/bin/pldd",
        "usr/bin/ldd",
        "usr/share/libc-bin/",
        "usr/share/i18n/",
    ),
}
"""Topic -> the beginnings of the paths that are excluded from images; directories end in a slash."""

_EXCLUDED = tuple(prefix for prefixes in EXCLUDED.values() for prefix in prefixes)
# Licences require that the copyright stays with the package.
_COPYRIGHT = lazy_pattern(r"usr/share/doc/[^/]+(?:/copyright)?")


class DebianPackage(msgspec.Struct, frozen=True):
    """A package of the archive, as the base table of a lock records it. `size` in bytes; `archive` is debian or debian-security."""

    name: str
    version: str
    architecture: str
    filename: str
    sha256: Sha256
    size: int
    archive: str = "debian"
    source: str = ""

    @property
    def digest(self) -> Digest:
        """The digest of the .deb."""
        return sha256_digest(self.sha256)

    @property
    def label(self) -> str:
        """Name and version: `libc6 2.36-9+deb12u10`."""
        return f"{self.name} {self.version}"


def usr_merged(path: str) -> str:
    """Return a path as /usr-merge moves it: `usr/lib/x86_64-linux-gnu/libc.so.6` for `lib/x86_64-linux-gnu/libc.so.6`."""
    top, slash, _ = path.partition("/")
    return f"usr/{path}" if slash and top in MERGED_DIRECTORIES else path


def is_excluded(path: str) -> bool:
    """Return whether a path, as /usr-merge moves it, is excluded from images."""
    return path.startswith(_EXCLUDED) and not _COPYRIGHT.fullmatch(path)


class DebSource(msgspec.Struct, frozen=True):
    """A .deb in the store as a source of file entries, without the paths in `omit`, which are relative to the root."""

    package: DebianPackage
    store: Store
    omit: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The key, from the package's sha256 and the omitted paths."""
        return key_of("deb", RULES_VERSION, self.package.sha256, *self.omit)

    @property
    def label(self) -> str:
        """Name and version: `libc6 2.36-9+deb12u10`."""
        return self.package.label

    def entries(self) -> Iterator[FileEntry]:
        """Yield the package's files, then its metadata in var/lib/dpkg/status.d/ for scanners.

        Raise ArchiveError for a malformed or hostile package, DamagedBlob if the .deb does not match its hash.
        """
        try:
            yield from self._entries()
        except ArchiveError as error:
            # The format shows most damage before the hash does.
            if not self.store.verify(self.package.digest):
                raise DamagedBlob(self.package.digest) from error
            raise

    def _entries(self) -> Iterator[FileEntry]:
        control, sums, paths = b"", b"", set[str]()
        with self.store.open(self.package.digest) as raw:
            stream = HashedStream(raw)
            for name, body in members(cast(BinaryIO, stream), self.label):
                if name.startswith("control.tar"):
                    control, sums = self._control(name, body)
                elif name.startswith("data.tar"):
                    yield from self._data(name, body, paths)
            if stream.finish() != self.package.digest:
                self.store.discard(self.package.digest)
                raise DamagedBlob(self.package.digest)
        if not control or not paths:
            raise damaged(self.label, "it has no control file or no files")
        status = f"var/lib/dpkg/status.d/{self.package.name}"
        yield file(status, control.rstrip(b"\n") + b"\n")
        yield file(f"{status}.md5sums", b"".join(_md5sums(sums, paths)))

    def _control(self, name: str, body: BinaryIO) -> tuple[bytes, bytes]:
        files = {"control": b"", "md5sums": b""}
        with open_tar(name, body, self.label, limit=64 << 20) as tar:
            for info in tar:
                file_name = info.name.removeprefix("./")
                content = tar.extractfile(info) if file_name in files and info.isreg() else None
                if content is not None:
                    files[file_name] = content.read()
        return files["control"], files["md5sums"]

    def _data(self, name: str, body: BinaryIO, paths: set[str]) -> Iterator[FileEntry]:
        with open_tar(name, body, self.label) as tar:
            for info in tar:
                if info.name in (".", "./", ""):
                    continue
                original = checked_path(info.name, self.label)
                path = usr_merged(original)
                if is_excluded(path + "/" if info.isdir() else path) or path in self.omit:
                    continue
                for entry in self._entry(tar, info, original, path):
                    if entry.type is EntryType.HARDLINK and entry.target not in paths:
                        raise refused(self.label, f"{path} is a link to {entry.target}, which is not in the image")
                    paths.add(entry.path)
                    yield entry

    def _entry(self, tar: tarfile.TarFile, info: tarfile.TarInfo, original: str, path: str) -> Iterator[FileEntry]:
        if info.isdir():
            # Set-id bits are dropped; only a directory with an unusual mode needs an entry.
            if info.mode & 0o1777 != 0o755 and path not in MERGED_DIRECTORIES:
                yield directory(path, info.mode & 0o1777)
        elif info.issym():
            # GeneratedBase adds the links of /usr-merge, for every suite.
            if path not in MERGED_DIRECTORIES:
                yield FileEntry(path, EntryType.SYMLINK, 0o777, target=self._target(original, path, info.linkname))
        elif info.islnk():
            yield FileEntry(path, EntryType.HARDLINK, _mode(info), target=usr_merged(checked_path(info.linkname, self.label)))
        elif info.isreg() and not info.issparse():
            content = tar.extractfile(info)
            assert content is not None  # noqa: S101 - a regular file has content
            yield from spooled_file(content, info.size, path, _mode(info))
        else:
            raise refused(self.label, f"{path} is a device or another type of file that packages never contain")

    def _target(self, original: str, path: str, text: str) -> str:
        """Return a link's target after /usr-merge: unchanged if it still leads to the same file."""
        if "\0" in text or not text:
            raise refused(self.label, f"the link {path} has no valid target")
        if text.startswith("/"):
            return f"/{usr_merged(text.lstrip('/'))}"
        target = posixpath.normpath(posixpath.join(posixpath.dirname(original), text))
        if target == ".." or target.startswith("../"):
            raise refused(self.label, f"the link {path} leads outside the image ({text})")
        if path == original and usr_merged(target) == target:
            return text
        return posixpath.relpath(f"/{usr_merged(target)}", f"/{posixpath.dirname(path)}")


def _mode(info: tarfile.TarInfo) -> int:
    return 0o755 if info.mode & 0o111 else 0o644


def _md5sums(text: bytes, paths: set[str]) -> Iterator[bytes]:
    """Yield the lines of an md5sums file for the files that are in the image, with their paths there."""
    for line in text.splitlines():
        digest, _, name = line.partition(b"  ")
        path = usr_merged(name.decode("utf-8", "replace").removeprefix("./"))
        if path in paths:
            yield b"%b  %b\n" % (digest, path.encode())
