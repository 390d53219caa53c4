"""Debian packages -> file entries. A package is unpacked, never run: no maintainer script is even looked at.

What changes on the way: paths that /usr-merge moves, owners (root), set-id bits (dropped), modes (0644 or 0755), and what a container
has no use for is left out. What dpkg would note is written beside, in the form that image scanners read.
"""

import posixpath
import re
import tarfile
from collections.abc import Iterator
from typing import BinaryIO, cast

import msgspec

from shipwheel.debian.deb import HashedStream, damaged, members, open_tar, refused
from shipwheel.errors import DamagedBlob
from shipwheel.files.entry import EntryType, FileEntry, checked_path, directory, file
from shipwheel.files.segment import key_of
from shipwheel.files.spool import spooled
from shipwheel.store import Store

__all__ = ["LEFT_OUT", "MERGED", "DebSource", "DebianPackage", "left_out", "merged"]

RULES_VERSION = "1"
"""Part of every key: raise it when a package would give other entries."""

MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Top directories that are links into usr/ (Debian: UsrMerge)."""

LEFT_OUT = {
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
    "starting and minding a machine": (
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
"""Why -> what is not taken into an image: a directory by its path with a slash, anything else by the beginning of its path."""

_LEFT_OUT = tuple(prefix for prefixes in LEFT_OUT.values() for prefix in prefixes)
# The copyright of a package is kept: its licence asks for it.
_KEPT = re.compile(r"usr/share/doc/[^/]+(?:/copyright)?")


class DebianPackage(msgspec.Struct, frozen=True):
    """A package as the archive has it: what the lock's base table holds. `size` in bytes, `archive` is debian or debian-security."""

    name: str
    version: str
    architecture: str
    filename: str
    sha256: str
    size: int
    archive: str = "debian"
    source: str = ""

    @property
    def digest(self) -> str:
        """The digest of the .deb."""
        return f"sha256:{self.sha256}"

    @property
    def label(self) -> str:
        """`libc6 2.36-9+deb12u10`."""
        return f"{self.name} {self.version}"


def merged(path: str) -> str:
    """Where /usr-merge has a path: `lib/x86_64-linux-gnu/libc.so.6` below usr/."""
    top, slash, _ = path.partition("/")
    return f"usr/{path}" if slash and top in MERGED else path


def left_out(path: str) -> bool:
    """Whether a path, after /usr-merge, is left out of images."""
    return path.startswith(_LEFT_OUT) and not _KEPT.fullmatch(path)


class DebSource(msgspec.Struct, frozen=True):
    """A .deb of the store as a source of file entries."""

    package: DebianPackage
    store: Store

    @property
    def key(self) -> str:
        """From the package's sha256 alone."""
        return key_of("deb", RULES_VERSION, self.package.sha256)

    @property
    def label(self) -> str:
        """`libc6 2.36-9+deb12u10`."""
        return self.package.label

    def entries(self) -> Iterator[FileEntry]:
        """The package's files, then what scanners read of it in var/lib/dpkg/status.d/.

        Raises ArchiveError for a damaged or hostile package, DamagedBlob at the end when the .deb is not what its hash says.
        """
        control, sums, kept = b"", b"", set[str]()
        with self.store.open(self.package.digest) as raw:
            stream = HashedStream(raw)
            for name, body in members(cast(BinaryIO, stream), self.label):
                if name.startswith("control.tar"):
                    control, sums = self._control(name, body)
                elif name.startswith("data.tar"):
                    yield from self._data(name, body, kept)
            if stream.finish() != self.package.digest:
                self.store.discard(self.package.digest)
                raise DamagedBlob(self.package.digest)
        if not control or not kept:
            raise damaged(self.label, "it has no control file or no files")
        status = f"var/lib/dpkg/status.d/{self.package.name}"
        yield file(status, control.rstrip(b"\n") + b"\n")
        yield file(f"{status}.md5sums", b"".join(_sums(sums, kept)))

    def _control(self, name: str, body: BinaryIO) -> tuple[bytes, bytes]:
        found = {"control": b"", "md5sums": b""}
        with open_tar(name, body, self.label, limit=64 << 20) as tar:
            for info in tar:
                part = info.name.removeprefix("./")
                content = tar.extractfile(info) if part in found and info.isreg() else None
                if content is not None:
                    found[part] = content.read()
        return found["control"], found["md5sums"]

    def _data(self, name: str, body: BinaryIO, kept: set[str]) -> Iterator[FileEntry]:
        with open_tar(name, body, self.label) as tar:
            for info in tar:
                if info.name in (".", "./", ""):
                    continue
                original = checked_path(info.name, self.label)
                path = merged(original)
                if left_out(path + "/" if info.isdir() else path):
                    continue
                for entry in self._entry(tar, info, original, path):
                    if entry.type is EntryType.HARDLINK and entry.target not in kept:
                        raise refused(self.label, f"{path} is a link to {entry.target}, which is not in the image")
                    kept.add(entry.path)
                    yield entry

    def _entry(self, tar: tarfile.TarFile, info: tarfile.TarInfo, original: str, path: str) -> Iterator[FileEntry]:
        if info.isdir():
            # Set-id bits go; what is left is worth an entry only where it is not the usual.
            if info.mode & 0o1777 != 0o755 and path not in MERGED:
                yield directory(path, info.mode & 0o1777)
        elif info.issym():
            # The links of /usr-merge itself come with the generated files, for every suite.
            if path not in MERGED:
                yield FileEntry(path, EntryType.SYMLINK, 0o777, target=self._target(original, path, info.linkname))
        elif info.islnk():
            yield FileEntry(path, EntryType.HARDLINK, _mode(info), target=merged(checked_path(info.linkname, self.label)))
        elif info.isreg() and not info.issparse():
            content = tar.extractfile(info)
            assert content is not None  # noqa: S101 - a regular file has content
            yield from spooled(content, info.size, path, _mode(info))
        else:
            raise refused(self.label, f"{path} is a device or of another type that packages do not hold")

    def _target(self, original: str, path: str, text: str) -> str:
        """A link's text after /usr-merge: unchanged where it still leads to the same place."""
        if "\0" in text or not text:
            raise refused(self.label, f"the link {path} leads nowhere")
        if text.startswith("/"):
            return f"/{merged(text.lstrip('/'))}"
        leads = posixpath.normpath(posixpath.join(posixpath.dirname(original), text))
        if leads == ".." or leads.startswith("../"):
            raise refused(self.label, f"the link {path} leads outside the image ({text})")
        if path == original and merged(leads) == leads:
            return text
        return posixpath.relpath(f"/{merged(leads)}", f"/{posixpath.dirname(path)}")


def _mode(info: tarfile.TarInfo) -> int:
    return 0o755 if info.mode & 0o111 else 0o644


def _sums(text: bytes, kept: set[str]) -> Iterator[bytes]:
    """The lines of a md5sums file whose files are in the image, with the paths that they have there."""
    for line in text.splitlines():
        digest, _, name = line.partition(b"  ")
        path = merged(name.decode("utf-8", "replace").removeprefix("./"))
        if path in kept:
            yield b"%b  %b\n" % (digest, path.encode())
