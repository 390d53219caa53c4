"""A small Debian archive in a directory, with signed releases and Contents files, and small ELF files for its packages."""

import gzip
import hashlib
import io
import lzma
import struct
import tarfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from shipwheel.debian.mirror import DebianMirror
from shipwheel.debian.package import DebianPackage
from shipwheel.digest import sha256_of

__all__ = ["FakeArchive", "make_deb", "make_tar", "shared_object"]

_MACHINES = {"amd64": 62, "arm64": 183}


def make_tar(members: Sequence[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """Return an uncompressed tar of the members, unchecked."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def make_deb(
    name: str,
    version: str,
    files: Mapping[str, bytes | str] | None = None,
    *,
    architecture: str = "amd64",
    compression: str = "xz",
    members: Sequence[tuple[tarfile.TarInfo, bytes]] | None = None,
) -> bytes:
    """Return a .deb. A `str` among the files is the target of a symbolic link. `members` replaces the files by unchecked tar members."""
    files = files or {}
    made = [_member(path, content) for path, content in files.items()] if members is None else members
    control = f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: Nobody\nDescription: a test\n"
    sums = "".join(
        f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}  {path}\n"
        for path, content in files.items()
        if isinstance(content, bytes)
    )
    parts = [
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", lzma.compress(make_tar([_member("control", control.encode()), _member("md5sums", sums.encode())]))),
        (f"data.tar{f'.{compression}' if compression else ''}", _compress(make_tar(made), compression)),
    ]
    return b"!<arch>\n" + b"".join(_ar(part, data) for part, data in parts)


def _member(path: str, content: bytes | str) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(f"./{path}")
    info.mode = 0o755 if path.startswith(("bin/", "usr/bin/")) else 0o644
    if isinstance(content, bytes):
        return info, content
    info.type, info.linkname = tarfile.SYMTYPE, content
    return info, b""


def _compress(data: bytes, kind: str) -> bytes:
    match kind:
        case "xz":
            return lzma.compress(data)
        case "gz":
            return gzip.compress(data, mtime=0)
        case "zst":
            import zstandard

            return zstandard.compress(data)
    return data


def _ar(name: str, data: bytes) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n"
    return head.encode() + data + b"\n" * (len(data) % 2)


def shared_object(soname: str = "", needed: Sequence[str] = (), runpath: str = "", architecture: str = "amd64") -> bytes:
    """Return the smallest ELF shared object with a soname and needed libraries. It contains no code."""
    strings, tags = b"\0", []
    for tag, text in ((14, soname), (29, runpath), *((1, name) for name in needed)):
        if text:
            tags.append((tag, len(strings)))
            strings += text.encode() + b"\0"
    start = 64 + 2 * 56
    tags += [(5, start), (10, len(strings)), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", tag, value) for tag, value in tags)
    padded = strings + bytes(-len(strings) % 8)
    size = start + len(padded) + len(dynamic)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = ident + struct.pack("<HHIQQQIHHHHHH", 3, _MACHINES[architecture], 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 4096)
    at = start + len(padded)
    table = struct.pack("<IIQQQQQQ", 2, 6, at, at, at, len(dynamic), len(dynamic), 8)
    return header + load + table + padded + dynamic


class FakeArchive:
    """An archive in `root/debian` and `root/debian-security`, signed by a key of its own. Add packages, then publish."""

    def __init__(self, root: Path, codename: str = "bookworm", key: Any = None) -> None:
        import pysequoia

        self.root = root
        self.codename = codename
        self.mirror = DebianMirror(f"file://{root}/debian", f"file://{root}/debian-security")
        self._key: Any = key or pysequoia.Tsk.generate("Test Archive <test@example.com>")
        self.keyring = bytes(self._key.extract_certificate())
        self._stanzas: dict[tuple[str, str, str], list[str]] = {}
        self._contents: dict[str, list[str]] = {}

    def other_suite(self, codename: str) -> "FakeArchive":
        """Return another suite of the same archive, empty and signed by the same key."""
        return FakeArchive(self.root, codename, self._key)

    def add(
        self,
        deb: bytes,
        package: tuple[str, str, str],
        *,
        release: str = "",
        contents: Sequence[str] = (),
        source: str = "",
        depends: str = "",
        provides: str = "",
        priority: str = "optional",
    ) -> DebianPackage:
        """Add a .deb to the suite, or to the release `updates` or `security`.

        `package` is (name, version, architecture). `contents` are the paths that the Contents file lists for it.
        """
        name, version, architecture = package
        archive = "debian-security" if release == "security" else "debian"
        filename = f"pool/main/{name[0]}/{name}/{name}_{version.rpartition(':')[2]}_{architecture}.deb"
        path = self.root / archive / filename
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(deb)
        made = DebianPackage(name, version, architecture, filename, sha256_of(deb), len(deb), archive, source or name)
        fields = {"Package": name, "Source": f"{source} (1)" if source else "", "Version": version, "Architecture": architecture}
        fields |= {"Filename": filename, "Size": str(made.size), "SHA256": made.sha256, "Depends": depends, "Provides": provides}
        fields |= {"Priority": priority, "Description": "a test"}
        stanza = "".join(f"{key}: {value}\n" for key, value in fields.items() if value)
        for one in ("amd64", "arm64") if architecture == "all" else (architecture,):
            self._stanzas.setdefault((archive, self._release(release), one), []).append(stanza)
            self._contents.setdefault(one, []).extend(f"{path}  libs/{name}" for path in contents)
        return made

    def publish(self, *, date: datetime | None = None, valid: timedelta | None = None, codename: str = "", by_hash: bool = True) -> None:
        """Write and sign the suite, its updates and its security updates, valid from `date` for `valid`.

        With another `codename`, the signed files contradict their paths.
        """
        for archive, release in (("debian", ""), ("debian", "updates"), ("debian-security", "security")):
            self._publish(archive, self._release(release), date or datetime.now(UTC), valid, codename, by_hash)

    def sign(self, text: bytes) -> bytes:
        """Return the text as a signed InRelease file."""
        import pysequoia

        return bytes(pysequoia.sign(self._key.signer(), text, mode=pysequoia.SignatureMode.CLEAR))

    def folder(self, release: str = "") -> Path:
        """Return the directory of the suite, its updates or its security updates."""
        return self.root / ("debian-security" if release == "security" else "debian") / "dists" / self._release(release)

    def _release(self, release: str) -> str:
        return f"{self.codename}-{release}" if release else self.codename

    def _publish(self, archive: str, release: str, date: datetime, valid: timedelta | None, codename: str, by_hash: bool) -> None:
        folder = self.root / archive / "dists" / release
        files = {}
        for architecture in ("amd64", "arm64"):
            packages = "\n".join(sorted(self._stanzas.get((archive, release, architecture), ())))
            files[f"main/binary-{architecture}/Packages.xz"] = lzma.compress(packages.encode())
            contents = "".join(f"{line}\n" for line in sorted(self._contents.get(architecture, ()))) if release == self.codename else ""
            files[f"main/Contents-{architecture}.gz"] = gzip.compress(contents.encode(), mtime=0)
        for path, data in files.items():
            digest = hashlib.sha256(data).hexdigest()
            for name in (path, f"{path.rpartition('/')[0]}/by-hash/SHA256/{digest}"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
        sums = "".join(f" {hashlib.sha256(data).hexdigest()} {len(data)} {path}\n" for path, data in sorted(files.items()))
        until = f"Valid-Until: {format_datetime(date + valid)}\n" if valid is not None else ""
        text = (
            f"Origin: Debian\nSuite: {release}\nCodename: {codename or release}\nDate: {format_datetime(date)}\n{until}"
            f"Acquire-By-Hash: {'yes' if by_hash else 'no'}\nNo-Support-for-Architecture-all: Packages\n"
            f"Architectures: all amd64 arm64\nComponents: main\nSHA256:\n{sums}"
        )
        (folder / "InRelease").write_bytes(self.sign(text.encode()))
