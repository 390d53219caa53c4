"""One build of a front end: packages are fetched by a lock file, then the project's own command runs without a network."""

import json
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from shipwheel.builder.sandbox_run import SandboxRun
from shipwheel.builder.sandboxes import run_in_sandbox, sandbox_user
from shipwheel.errors import BuildError
from shipwheel.files.segment import source_date_epoch
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.locking.bounds import BOUNDS_HINT, Bounds, OverBounds
from shipwheel.locking.process import Finished

__all__ = ["LOCK_FILES", "OLD_HASHES", "AssetBuild", "AssetFailed", "PackageManager", "package_manager"]

LOCK_FILES = ("pnpm-lock.yaml", "yarn.lock", "package-lock.json", "npm-shrinkwrap.json", "bun.lock", "bun.lockb")
"""The first of them that is there decides."""

_INSIDE = "/build"
_PNPM_BY_LOCK = {"5": "7", "6": "8", "7": "9", "9": "10"}
"""Major version of pnpm-lock.yaml -> that of pnpm."""
_YARN_BY_LOCK = {"4": "2", "5": "3", "6": "3", "8": "4.13", "9": "4.14"}
"""Version of a yarn.lock with metadata -> the last yarn that writes it: no yarn takes an older lock file as it is."""
_USER_VARIABLES = lazy_pattern(
    r"(npm|yarn|pnpm)_\w+|https?_proxy|no_proxy|all_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR)", re.IGNORECASE
)
"""The variables of this machine that say where packages come from."""
_OF_THIS_MACHINE = frozenset(
    {"npm_config_cache", "npm_config_prefix", "npm_config_globalconfig", "npm_config_store_dir", "yarn_cache_folder", "yarn_global_folder"}
)
"""Directories, which a build does not see."""
_OFF = ("audit", "fund", "update_notifier")
_YARN_1 = "1.22.22"
OLD_HASHES = "--openssl-legacy-provider"
"""The option by which node has hashes that OpenSSL 3 has put aside."""
_NO_OLD_HASH = lazy_pattern(r"ERR_OSSL_EVP_UNSUPPORTED|error:0308010C:")
"""The code of node's error about such a hash, and of OpenSSL's, which is all that some tools print of it."""


class AssetFailed(Exception):
    """A command of a build failed: `shown` is the command, `output` what it and those before it printed."""

    def __init__(self, shown: str, code: int, output: str) -> None:
        super().__init__(f"`{shown}` failed (exit status {code})")
        self.output = output


class PackageManager(msgspec.Struct, frozen=True):
    """How packages are fetched: `tool` is a package of npm's registry that has the program, empty for npm itself."""

    tool: str
    fetch: tuple[str, ...]
    rebuild: tuple[str, ...]
    env: Mapping[str, str] = msgspec.field(default_factory=dict)
    is_locked: bool = True
    set_up: tuple[str, ...] = ()
    """The command that completes `tool`, whose own scripts do not run when it is fetched."""


def package_manager(directory: Path) -> PackageManager:
    """Return the package manager of a directory by its lock file, and by package.json. Raise BuildError if that cannot be read."""
    stated = _stated(directory / "package.json")
    lock = next((name for name in LOCK_FILES if (directory / name).is_file()), "")
    if lock == "pnpm-lock.yaml":
        version = stated.get("pnpm") or _pnpm_version(directory / lock)
        return PackageManager(f"pnpm@{version}", ("pnpm", "install", "--frozen-lockfile", "--ignore-scripts"), ("pnpm", "rebuild"))
    if lock == "yarn.lock":
        if newer := _yarn_version(directory / lock):
            env = {"YARN_NODE_LINKER": "node-modules", "YARN_ENABLE_SCRIPTS": "0", "YARN_ENABLE_TELEMETRY": "0"}
            version = stated.get("yarn") or newer
            locked = () if _lets_yarn_change_its_lock(directory) else ("--immutable",)
            return PackageManager(f"@yarnpkg/cli-dist@{version}", ("yarn", "install", *locked), ("npm", "rebuild"), env)
        # It alone refuses packages that ask for another node: what needs that says so when it runs.
        options = ("--frozen-lockfile", "--ignore-scripts", "--ignore-engines", "--non-interactive", "--production=false")
        return PackageManager(f"yarn@{_YARN_1}", ("yarn", "install", *options), ("npm", "rebuild"))
    if lock.startswith("bun."):
        set_up = ("sh", "-c", f"cd {_INSIDE}/tools/node_modules/bun && node install.js")
        fetch, env = ("bun", "install", "--frozen-lockfile", "--ignore-scripts"), {"BUN_INSTALL_CACHE_DIR": f"{_INSIDE}/cache/bun"}
        return PackageManager(f"bun@{stated.get('bun') or '1'}", fetch, ("npm", "rebuild"), env, set_up=set_up)
    if lock:
        return PackageManager("", ("npm", "ci", "--ignore-scripts", "--include=dev"), ("npm", "rebuild"))
    return PackageManager(
        "", ("npm", "install", "--ignore-scripts", "--include=dev", "--no-package-lock"), ("npm", "rebuild"), is_locked=False
    )


def _stated(path: Path) -> dict[str, str]:
    """Return the package manager that a package.json names, with its version: `"packageManager": "pnpm@9.1.0+sha512…"`."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BuildError(
            f"{path.name} of the front end cannot be read: {error}", hint="Correct it, or `in` below [[tool.shipwheel.assets]]."
        ) from error
    match = (
        re.match(r"(npm|yarn|pnpm|bun)@(\d+(?:\.\d+){0,2}(?:-[\w.]+)?)", str(data.get("packageManager", "")))
        if isinstance(data, dict)
        else None
    )
    return {match[1]: match[2]} if match is not None else {}


def _pnpm_version(path: Path) -> str:
    match = re.search(r"^lockfileVersion: '?(\d+)", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    return _PNPM_BY_LOCK.get(match[1] if match is not None else "", "10")


def _yarn_version(path: Path) -> str:
    """Return the version of yarn for a lock file; empty for the first yarn, whose lock files have no metadata."""
    match = re.search(r"^__metadata:(?:\n +version: (\d+))?", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    return _YARN_BY_LOCK.get(match[1], "4") if match is not None else ""


def _lets_yarn_change_its_lock(directory: Path) -> bool:
    """Return whether a project says so: its lock file then need not be exactly what this version of yarn would write."""
    path = directory / ".yarnrc.yml"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return re.search(r"^enableImmutableInstalls: *false\b", text, re.MULTILINE) is not None


class AssetBuild(msgspec.Struct, frozen=True):
    """A build in `place`, a directory for it alone whose `source` has the project.

    `root` has node and npm, and `environment` is that of its programs, with their PATH. `cache` is npm's cache, which only the fetch step
    sees. `below` is the directory with package.json. Setting `stop` ends the build, and each of its programs has `bounds`. With
    `prefers_cache`, no server is asked about packages that the cache has.
    """

    place: Path
    root: Path
    environment: Mapping[str, str]
    cache: Path
    below: str
    stated: Mapping[str, str]
    stop: threading.Event
    bounds: Bounds = msgspec.field(default_factory=Bounds)
    prefers_cache: bool = False

    def prepare(self) -> str:
        """Fetch the packages, let them prepare themselves, and return what that printed. Raise AssetFailed, BuildError."""
        fetched, manager = self.fetch(), self._manager
        # A script that wants a network fails here; most builds do without what it would bring.
        return f"{fetched}\n{_text(self._run(manager.rebuild, manager))}"

    def run(self, command: Sequence[str], prepared: str) -> tuple[bool, str]:
        """Run the command after `prepare`, whose output is shown with its own. Return whether it needed old hashes of node, and all output.

        The webpack of before 2021 names files by MD4, which node has had since version 17 only if it is told to. It may end with status 0
        without. Raise AssetFailed, BuildError.
        """
        manager = self._manager
        finished = self._run(command, manager)
        needs_old = _NO_OLD_HASH.search(_text(finished)) is not None and "NODE_OPTIONS" not in self.stated
        if needs_old:
            finished = self._run(command, replace(manager, env={**manager.env, "NODE_OPTIONS": OLD_HASHES}))
        if finished.code != 0:
            raise AssetFailed(" ".join(command), finished.code, f"{prepared}\n{_text(finished)}")
        return needs_old, f"{prepared}\n{_text(finished)}"

    def fetch(self, *, network: bool = True) -> str:
        """Fetch the packages, and return what that printed. Without a network, the cache must have them. Raise AssetFailed, BuildError."""
        for name in ("home", "tmp", "tools"):
            (self.place / name).mkdir()
        uid, gid = sandbox_user()
        (self.place / "passwd").write_text(f"build:x:{uid}:{gid}::{_INSIDE}/home:/bin/sh\n")
        self.cache.mkdir(parents=True, exist_ok=True)
        manager, output = self._manager, []
        tool = ("npm", "install", "--prefix", f"{_INSIDE}/tools", "--ignore-scripts", "--no-package-lock", "--no-save", manager.tool)
        for command in filter(None, (tool if manager.tool else (), manager.set_up, manager.fetch)):
            fetches = command != manager.set_up
            finished = self._run(command, manager, fetches=fetches, network=network and fetches)
            if finished.code != 0:
                raise AssetFailed(" ".join(command), finished.code, _text(finished))
            output.append(_text(finished))
        return "\n".join(output)

    @property
    def _manager(self) -> PackageManager:
        return package_manager(self.place / "source" / self.below)

    def _run(self, command: Sequence[str], manager: PackageManager, *, fetches: bool = False, network: bool = False) -> Finished:
        own = {f"{_INSIDE}/{name}": (self.place / name, True) for name in ("source", "home", "tools")}
        binds = {**own, "/etc/passwd": (self.place / "passwd", False)}
        variables = {**self._variables(), **manager.env, **self.stated}
        if fetches:
            binds |= {f"{_INSIDE}/cache": (self.cache, True), **_user_configuration()}
            variables |= _user_variables()
            variables |= (
                {"npm_config_offline": "true"} if not network else {"npm_config_prefer_offline": "true"} if self.prefers_cache else {}
            )
        directory = f"{_INSIDE}/source/{self.below}".rstrip("/.")
        run = SandboxRun(command, self.root, binds, directory, variables, network, self.place / "tmp")
        try:
            return run_in_sandbox(run, stop=self.stop, bounds=self.bounds)
        except OverBounds as error:
            raise BuildError(f"`{' '.join(command)}`: {error}", hint=BOUNDS_HINT) from None

    def _variables(self) -> dict[str, str]:
        own = f"{_INSIDE}/source/{self.below}".rstrip("/.")
        return {
            **self.environment,
            "PATH": f"{own}/node_modules/.bin:{_INSIDE}/tools/node_modules/.bin:{self.environment['PATH']}",
            "HOME": f"{_INSIDE}/home",
            "USER": "build",
            "LOGNAME": "build",
            "SHELL": "/bin/sh",
            "TZ": "UTC",
            "LC_ALL": "C.UTF-8",
            "SOURCE_DATE_EPOCH": str(source_date_epoch()),
            "COREPACK_ENABLE_DOWNLOAD_PROMPT": "0",
            "npm_config_cache": f"{_INSIDE}/cache/npm",
            "npm_config_store_dir": f"{_INSIDE}/cache/pnpm",
            "YARN_CACHE_FOLDER": f"{_INSIDE}/cache/yarn",
            "YARN_GLOBAL_FOLDER": f"{_INSIDE}/cache/yarn-global",
            **{f"npm_config_{name}": "false" for name in _OFF},
        }


def _user_variables() -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if _USER_VARIABLES.fullmatch(name)}
    found = {name: value for name, value in found.items() if name.lower() not in _OF_THIS_MACHINE}
    return {**found, "npm_config_globalconfig": "/etc/npmrc"}


def _user_configuration() -> dict[str, tuple[Path, bool]]:
    """Return the user's configuration of npm, and certificates that variables name, by their paths in the sandbox."""
    found = dict(_configuration_files())
    return {inside: (path, False) for inside, path in found.items() if path.exists()}


def _configuration_files() -> Iterator[tuple[str, Path]]:
    named = next((value for name, value in os.environ.items() if name.lower() == "npm_config_userconfig" and value), "")
    # Where every package manager looks for it.
    yield f"{_INSIDE}/home/.npmrc", Path(named) if named else Path.home() / ".npmrc"
    yield "/etc/npmrc", Path("/etc/npmrc")
    for name in ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"):
        path = os.environ.get(name, "")
        if path.startswith("/") and not path.startswith(("/etc/ssl/", "/usr/")):
            yield path, Path(path)


def _text(finished: Finished) -> str:
    return f"{finished.stdout}\n{finished.stderr}"
