"""The crates of a source in Rust: its own if it brings them, else fetched by its Cargo.lock, and unpacked by `vendored_crates`.

The source's own configuration of cargo can name programs to run. Only the step that looks for its own crates reads it, on a copy and
without a network; nothing that this step could change is used afterwards.
"""

import os
import re
import shutil
import tempfile
import threading
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.builder.sandbox_run import SandboxRun
from shipwheel.builder.sandboxes import run_in_sandbox
from shipwheel.builder.surroundings import INSIDE
from shipwheel.builder.vendored_crates import (
    LockedCrate,
    fetched_archive,
    locked_crates,
    pack_crate,
    replacement,
    store_archives,
    stored_digest,
    unpack_crates,
)
from shipwheel.errors import BuildError
from shipwheel.files.segment import key_of
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.locking.bounds import Bounds
from shipwheel.locking.environment import network_variables
from shipwheel.locking.process import Finished
from shipwheel.store.contents import BUILD_PACKAGES
from shipwheel.store.directory_cache import CachedDirectory, DirectoryCache
from shipwheel.store.store import Store, store_write_error
from shipwheel.wheels.kept_requirements import KeptRequirements

__all__ = ["CRATES_INSIDE", "CrateFetch", "CratesFailed", "use_crates"]

CRATES_INSIDE = f"{INSIDE}/crates"
"""The directory of fetched crates in the sandbox."""

_VERSION = "2"
"""Part of every key: raise it whenever the same lock file gives another directory."""
_KEPT = 32
_CARGO_HOME = f"{INSIDE}/cargo"
_CONFIGURATION = "config.toml"
_TABLES = ("source", "registries", "registry", "http", "net")
"""The tables of the user's configuration that say where crates come from. Others name programs of this machine."""
_VARIABLES = lazy_pattern(r"CARGO_(REGISTRY|REGISTRIES|HTTP|NET)_\w+", re.ASCII)
_NAMES_SERVER = lazy_pattern(r"CARGO_REGISTRIES_\w+_INDEX", re.ASCII)
_VENDORED = "vendor"
_CERTIFICATES = ("SSL_CERT_FILE", "CARGO_HTTP_CAINFO")
_SKIPPED = frozenset({"target", "vendor", "node_modules"})


class CratesFailed(Exception):
    """The crates of a source cannot be had; `output` is what cargo printed."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


class CrateFetch(msgspec.Struct, frozen=True):
    """The crates for the source in `place`, whose `source` has it; `below` is the package's directory in it.

    `root` has cargo. Setting `stop` ends it, and each of its programs has `bounds`. With `kept`, archives of all are collected there.
    """

    place: Path
    root: Path
    below: str
    store: Store
    stop: threading.Event
    bounds: Bounds = msgspec.field(default_factory=Bounds)
    kept: KeptRequirements | None = None

    def run(self) -> CachedDirectory | None:
        """Return the directory of the crates, None if the source has them or needs none. Raise CratesFailed, OverBounds, StoreError.

        Raise ArchiveError for a hostile crate.
        """
        manifests = _manifests(self._source)
        output = self._missing(manifests)
        if output is None:
            return None
        locks = [lock for path in manifests if (lock := self._lock_of(path)) is not None]
        if len(locks) != len(manifests):
            raise CratesFailed("its source has neither its crates nor a Cargo.lock with their checksums", output)
        crates = _locked(locks)
        if self.kept is not None:
            self._store_archives(manifests, crates)
        cache = DirectoryCache(self.store.root / BUILD_PACKAGES)
        name = key_of("crates", _VERSION, *(path.read_text(encoding="utf-8", errors="replace") for path in locks))
        try:
            found = cache.find(name) or cache.fill(name, lambda directory: self._fill(manifests, crates, directory), keep=_KEPT)
            if self.kept is not None:
                self._keep(crates, found.path / _VENDORED, self.kept)
        except OSError as error:
            raise store_write_error(self.store.root, error) from error
        return found

    @property
    def _source(self) -> Path:
        return self.place / "source" / self.below

    def _lock_of(self, manifest: Path) -> Path | None:
        """Return the lock file of a manifest, which is above it if that is a member of a workspace."""
        folders = (folder for folder in manifest.parents if folder.is_relative_to(self.place / "source"))
        return next((lock for folder in folders if (lock := folder / "Cargo.lock").is_file()), None)

    def _missing(self, manifests: Sequence[Path]) -> str | None:
        """Return what cargo prints if crates are missing."""
        with tempfile.TemporaryDirectory(dir=self.place, ignore_cleanup_errors=True) as name:
            copy, home = Path(name, "source"), Path(name, "cargo")
            shutil.copytree(self.place / "source", copy, symlinks=True)
            home.mkdir()
            for path in manifests:
                command = ("cargo", "fetch", "--offline", "--manifest-path", self._inside(path))
                finished = self._cargo(command, {f"{INSIDE}/source": (copy, True)}, self._inside(self._source), home)
                if finished.code != 0:
                    return _text(finished)
        return None

    def _store_archives(self, manifests: Sequence[Path], crates: Sequence[LockedCrate]) -> None:
        """Bring the archives that Cargo.lock has checksums of into the store."""
        if any(crate.digest is not None and stored_digest(crate, self.store) is None for crate in crates):
            with tempfile.TemporaryDirectory(dir=self.place, ignore_cleanup_errors=True) as name:
                home = Path(name, "cargo")
                home.mkdir()
                self._download(manifests, home)
                store_archives(crates, home, self.store)

    def _keep(self, crates: Sequence[LockedCrate], vendored: Path, kept: KeptRequirements) -> None:
        """Note the archives of all crates. Those from git, or from a directory of the user, are made of what cargo has copied."""
        kept.crates.update((crate.key, stored_digest(crate, self.store) or pack_crate(crate, vendored, self.store)) for crate in crates)

    def _fill(self, manifests: Sequence[Path], crates: Sequence[LockedCrate], directory: Path) -> None:
        """Write crates into a directory, and the configuration that makes cargo take them. Cargo.lock has their checksums."""
        inside = f"{CRATES_INSIDE}/{_VENDORED}"
        digests = {crate: stored_digest(crate, self.store) for crate in crates}
        stored = {crate: self.store.path(digest) for crate, digest in digests.items() if digest is not None and self.store.verify(digest)}
        if crates and len(stored) == len(crates):
            unpack_crates(crates, stored.get, directory / _VENDORED)
            _write(replacement(crates, inside), directory)
            return
        home = self.place / "cargo"
        home.mkdir()
        tables, binds = self._download(manifests, home)
        if unpack_crates(crates, lambda crate: fetched_archive(crate, home), directory / _VENDORED):
            _write(replacement(crates, inside), directory)
            return
        self._vendor([*map(self._inside, manifests)], tables, binds, crates, home, directory)

    def _download(self, manifests: Sequence[Path], home: Path) -> tuple[dict[str, Any], dict[str, tuple[Path, bool]]]:
        """Let cargo fetch crates into a home. Return its configuration, and the paths that this needs."""
        tables, binds = _user_configuration(os.environ)
        binds[f"{INSIDE}/source"] = (self.place / "source", False)
        _write(tables, home)
        for path in map(self._inside, manifests):
            fetch = ("cargo", "fetch", "--locked", "--manifest-path", path)
            fetching = {**binds, **_user_secrets(os.environ)}
            _check(self._cargo(fetch, fetching, _CARGO_HOME, home, _user_variables(os.environ), network=True))
        return tables, binds

    def _vendor(
        self,
        paths: Sequence[str],
        tables: Mapping[str, Any],
        binds: Mapping[str, tuple[Path, bool]],
        crates: Sequence[LockedCrate],
        home: Path,
        directory: Path,
    ) -> None:
        """Let cargo copy crates, of which some are no archives of a registry but come from git, or from a directory of the user.

        Such a crate can have a link to any file that cargo sees, and cargo copies what is behind it. So what copies has no passwords and no
        network, and registries are the directory of those crates that were unpacked.
        """
        # They may be on two file systems.
        shutil.move(directory / _VENDORED, self.place / _VENDORED)
        inside, (first, *more) = f"{INSIDE}/{_VENDORED}", paths
        _write(_without_servers(tables, replacement([crate for crate in crates if crate.is_of_registry], inside)), home)
        also = [word for path in more for word in ("--sync", path)]
        command = (
            "cargo",
            "vendor",
            "--locked",
            "--offline",
            "--versioned-dirs",
            "--respect-source-config",
            "--manifest-path",
            first,
            *also,
        )
        copying = {**binds, inside: (self.place / _VENDORED, False), CRATES_INSIDE: (directory, True)}
        variables = {name: value for name, value in os.environ.items() if _NAMES_SERVER.fullmatch(name)}
        finished = _check(self._cargo((*command, f"{CRATES_INSIDE}/{_VENDORED}"), copying, _CARGO_HOME, home, variables))
        (directory / _CONFIGURATION).write_text(finished.stdout, encoding="utf-8")

    def _cargo(
        self,
        command: Sequence[str],
        binds: Mapping[str, tuple[Path, bool]],
        directory: str,
        home: Path,
        variables: Mapping[str, str] | None = None,
        *,
        network: bool = False,
    ) -> Finished:
        every = {**binds, _CARGO_HOME: (home, True)}
        own = {"PATH": "/usr/bin", "HOME": _CARGO_HOME, "CARGO_HOME": _CARGO_HOME, "CARGO_TERM_COLOR": "never", "LC_ALL": "C.UTF-8"}
        run = SandboxRun(command, self.root, every, directory, {**own, **(variables or {})}, network)
        return run_in_sandbox(run, stop=self.stop, bounds=self.bounds)

    def _inside(self, path: Path) -> str:
        return str(path).replace(str(self.place), INSIDE)


def use_crates(source: Path, crates: Path) -> None:
    """Make cargo take the fetched crates for a source, in place of the servers that its own configuration names.

    Raise BuildError if that cannot be read.
    """
    folder = source / ".cargo"
    # A link could lead to a file of this machine.
    for path in (folder, folder / "config", folder / _CONFIGURATION):
        if path.is_symlink():
            path.unlink()
    named = next((folder / name for name in ("config", _CONFIGURATION) if (folder / name).is_file()), folder / _CONFIGURATION)
    import tomli_w

    try:
        fetched = tomllib.loads((crates / _CONFIGURATION).read_text(encoding="utf-8"))
        own = tomllib.loads(named.read_text(encoding="utf-8")) if named.is_file() else {}
        text = tomli_w.dumps({**own, "source": fetched.get("source", {})})
        folder.mkdir(exist_ok=True)
        named.unlink(missing_ok=True)
        named.write_text(text, encoding="utf-8")
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BuildError(f"{named.relative_to(source)} cannot be read: {reason}", hint="Correct it, or choose another version.") from error


def _manifests(source: Path) -> tuple[Path, ...]:
    """Return the manifests of a source, of crates or workspaces: those that are nearest to its top, and have a Cargo.lock if one has."""
    found = sorted(_walk(source), key=lambda path: (not path.with_name("Cargo.lock").is_file(), len(path.parts), path))
    if not found:
        return ()
    first = found[0]
    is_locked = first.with_name("Cargo.lock").is_file()
    if not is_locked:
        return (first,)
    return tuple(path for path in found if len(path.parts) == len(first.parts) and path.with_name("Cargo.lock").is_file())


def _walk(source: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(source):
        names[:] = [name for name in names if name not in _SKIPPED and not name.startswith(".")]
        if "Cargo.toml" in files:
            yield Path(folder, "Cargo.toml")


def _user_variables(environ: Mapping[str, str]) -> dict[str, str]:
    own = {name: value for name, value in environ.items() if _VARIABLES.fullmatch(name)}
    certificates = {name: f"{INSIDE}/{name}" for name in _CERTIFICATES if environ.get(name)}
    return {**own, **network_variables(environ), **certificates}


def _user_secrets(environ: Mapping[str, str]) -> dict[str, tuple[Path, bool]]:
    """Return the files with the user's passwords for servers, and with the authorities that certify these."""
    home = _user_home(environ)
    certificates = {f"{INSIDE}/{name}": (Path(path), False) for name in _CERTIFICATES if (path := environ.get(name))}
    credentials = {f"{_CARGO_HOME}/{name}": (home / name, False) for name in ("credentials.toml", "credentials") if (home / name).is_file()}
    return {**certificates, **credentials}


def _user_home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("CARGO_HOME") or Path.home() / ".cargo")


def _user_configuration(environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, tuple[Path, bool]]]:
    """Return what the user's configuration of cargo says about servers and directories of crates, and the paths that it needs."""
    home = _user_home(environ)
    named = next((home / name for name in ("config", _CONFIGURATION) if (home / name).is_file()), None)
    tables: dict[str, Any] = {}
    if named is not None:
        try:
            tables = tomllib.loads(named.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BuildError(f"{named} cannot be read: {error}", hint="Correct it: crates come from where it says.") from error
    tables = {name: table for name, table in tables.items() if name in _TABLES}
    binds: dict[str, tuple[Path, bool]] = {}
    for number, (table, key) in enumerate(_paths(tables)):
        inside = f"{INSIDE}/registry-{number}"
        # Relative paths start at the parent of the configuration's directory.
        binds[inside] = (home.parent / table[key], False)
        table[key] = inside
    return tables, binds


def _without_servers(tables: Mapping[str, Any], replaced: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with the user's directories of crates, and with what takes the place of all registries, without passwords."""
    own = {name: table for name, table in tables.get("source", {}).items() if isinstance(table, dict)}
    kept = {name: table for name, table in own.items() if {"directory", "local-registry"} & table.keys()}
    # A registry that the user has replaced by a directory of crates stays so.
    chosen = {name: table for name, table in own.items() if table.get("replace-with") in kept and "registry" not in table}
    # Cargo.lock has these addresses, too.
    registries = {name: {"index": table["index"]} for name, table in tables.get("registries", {}).items() if "index" in table}
    return {"source": {**replaced["source"], **chosen, **kept}, "registries": registries}


def _locked(locks: Sequence[Path]) -> tuple[LockedCrate, ...]:
    """Return the crates of lock files. Raise CratesFailed if one is broken."""
    try:
        return locked_crates(locks)
    except (OSError, ValueError) as error:
        raise CratesFailed(f"its Cargo.lock cannot be read: {error}", "") from error


def _write(tables: Mapping[str, Any], home: Path) -> None:
    import tomli_w

    (home / _CONFIGURATION).write_text(tomli_w.dumps(tables), encoding="utf-8")


def _check(finished: Finished) -> Finished:
    """Return what cargo did. Raise CratesFailed if it failed."""
    if finished.code != 0:
        raise CratesFailed("its crates cannot be fetched", _text(finished))
    return finished


def _paths(tables: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the settings that are paths of this machine: each a table and its key."""
    places = [*tables.get("source", {}).values(), tables.get("http", {})]
    for table in places:
        yield from ((table, key) for key in ("directory", "local-registry", "cainfo") if isinstance(table, dict) and key in table)


def _text(finished: Finished) -> str:
    return f"{finished.stdout}\n{finished.stderr}"
