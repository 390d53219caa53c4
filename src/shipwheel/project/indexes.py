"""Which package index is used: what uv is told of, else what pip is told of on this machine, else the mirror that was chosen.

uv reads its own settings itself; here is read only whether there are any, and what uv does not read: pip's. Files of the lock that lie in
the paths which all mirrors share (`packages/ab/cd/…/file`) are fetched from the mirror first, and from where the lock says after it.
"""

import configparser
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from shipwheel.download.mirrors import MIRRORS, Choice, load_choice
from shipwheel.errors import LockError, ProjectError
from shipwheel.events import Warned
from shipwheel.project.detect import Project
from shipwheel.project.requirements import read_requirements
from shipwheel.project.tool_indexes import pipfile_indexes
from shipwheel.project.workspace import uv_settings
from shipwheel.store import default_root
from shipwheel.user_dirs import config_dirs, config_home, home
from shipwheel.user_files import read_toml

__all__ = [
    "ACCELERATOR_INDEX",
    "Indexes",
    "bare",
    "configured",
    "confusable",
    "files_root",
    "indexes_of",
    "is_mirror",
    "pip_settings",
    "read_indexes",
    "shared_path",
    "uv_files",
]

SHARED = re.compile(r"/packages/([0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/[^/?#]+)$")
"""Where the package index and all its mirrors have a file: the path holds a hash of the bytes."""

ACCELERATOR_INDEX = "https://download.pytorch.org/whl"
"""The index of the torch family's vendor: below it there is one for each kind of accelerator, as in uv."""

_DEFAULT = ("UV_DEFAULT_INDEX", "UV_INDEX_URL")
_EXTRA = ("UV_INDEX", "UV_EXTRA_INDEX_URL")


@dataclass(frozen=True, slots=True)
class Indexes:
    """What decides where distributions come from.

    `default` is the default index's address with its credentials, empty for uv's own; `origin` says who named it; `mirrors` are further
    addresses of mirrors, the best first; `environment` is what uv must be told, since it does not read it itself.
    """

    default: str = field(default="", repr=False)
    origin: str = ""
    mirrors: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    rewrites: tuple[tuple[str, str], ...] = ()
    """Beginnings of addresses in the lock, and what to try in their place first."""

    def following(self) -> "Indexes | None":
        """The same with the next mirror of a kept choice, and after the last one with uv's own index; None where nothing was chosen."""
        if self.origin != "the kept choice":
            return None
        rest = {name: value for name, value in self.environment.items() if name != "UV_DEFAULT_INDEX"}
        if not self.mirrors:
            return replace(self, default="", origin="", environment=rest)
        first = self.mirrors[0]
        return replace(self, default=first, mirrors=self.mirrors[1:], environment={**rest, "UV_DEFAULT_INDEX": first})

    def left(self, reason: str) -> Warned:
        """Return the warning that the chosen mirror gave no usable answer, for `reason`, and the following one is used."""
        return Warned(f"the chosen mirror {urlsplit(self.default).netloc} is left for the next one: {reason}")

    def addresses(self, url: str) -> tuple[str, ...]:
        """All addresses of a file whose address in the lock is this one, in the order in which they are tried."""
        found = SHARED.search(urlsplit(url).path)
        if found is None:
            return (*(new + url.removeprefix(old) for old, new in self.rewrites if url.startswith(old)), url)
        roots = [root for index in (self.default, *self.mirrors) if (root := files_root(index))]
        return tuple(dict.fromkeys((*(f"{root}/{found[1]}" for root in roots), url)))


def bare(url: str) -> str:
    """The address without user and password."""
    scheme, slashes, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{authority.rpartition('@')[2]}{slash}{path}" if slashes else url


def files_root(index: str) -> str:
    """Where an index that ends with /simple would have its files if it is a mirror; empty for another index."""
    index = index.rstrip("/")
    return f"{index.removesuffix('/simple')}/packages" if index.endswith("/simple") else ""


def shared_path(url: str) -> str:
    """The part of a file's address that all mirrors share, empty when it has none."""
    found = SHARED.search(urlsplit(url).path)
    return f"packages/{found[1]}" if found else ""


def read_indexes(
    root: Path,
    environ: Mapping[str, str] | None = None,
    choice: Callable[[], Choice] = Choice,
    *,
    listed: Sequence[str] = (),
) -> Indexes:
    """The indexes of a project. `listed` are the default indexes that its requirements files name; `choice` is the kept one."""
    environ = os.environ if environ is None else environ
    default, origin, more = configured(root, environ, listed)
    if default or origin:
        return Indexes(default, origin)
    pip = pip_settings(environ)
    environment: dict[str, str] = {}
    if pip.get("extra-index-url") and not more:
        # uv's first-index rule holds for them: what one of these has is not looked for elsewhere.
        environment["UV_INDEX"] = " ".join(pip["extra-index-url"].split())
    if pip.get("index-url"):
        environment["UV_DEFAULT_INDEX"] = pip["index-url"]
        return Indexes(pip["index-url"], "pip's settings", environment=environment)
    chosen = choice().index
    if chosen:
        environment["UV_DEFAULT_INDEX"] = chosen[0]
        return Indexes(chosen[0], "the kept choice", chosen[1:], environment)
    return Indexes(environment=environment)


def indexes_of(project: Project, environ: Mapping[str, str] | None = None, root: Path | None = None) -> Indexes:
    """The indexes of a project; the kept choice is that beside the store `root`."""
    listed: tuple[str, ...] = ()
    if project.requirements:
        with suppress(LockError):
            listed = tuple(filter(None, [read_requirements(project.requirements).index_url]))
    elif "Pipfile" in project.lock_inputs:
        pipfile = pipfile_indexes(read_toml(project.root / "Pipfile"), environ)
        listed = tuple(str(index["url"]) for index in pipfile if index.get("default"))
    found = read_indexes(project.root, environ, lambda: load_choice(root or default_root()), listed=listed)
    mirror = project.settings.accelerator_index
    return replace(found, rewrites=((f"{ACCELERATOR_INDEX}/", f"{mirror}/"),)) if mirror else found


def configured(root: Path, environ: Mapping[str, str], listed: Sequence[str] = ()) -> tuple[str, str, bool]:
    """The default index that uv finds by itself, who names it, and whether it finds further ones; an origin alone: no index at all."""
    default, origin = next(((environ[name], name) for name in _DEFAULT if environ.get(name)), ("", ""))
    more = any(environ.get(name) for name in _EXTRA)
    if not default and listed:
        default, origin = listed[0], "the requirements"
    for path, settings in [(Path("the project's settings"), uv_settings(root)), *uv_files(environ)]:
        for index in settings.get("index", []):
            if index.get("default") and not default:
                default, origin = str(index.get("url", "")), str(path)
            more = more or not index.get("default")
        if settings.get("index-url") and not default:
            default, origin = str(settings["index-url"]), str(path)
        if settings.get("no-index") and not origin:
            origin = str(path)
        more = more or bool(settings.get("extra-index-url"))
    if environ.get("UV_NO_INDEX") and not origin:
        origin = "UV_NO_INDEX"
    return default, origin, more


def uv_files(environ: Mapping[str, str]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """uv's own settings files outside the project, the user's first."""
    if environ.get("UV_NO_CONFIG"):
        return
    system = [folder / "uv" / "uv.toml" for folder in config_dirs(environ)]
    named = environ.get("UV_CONFIG_FILE")
    paths = (
        [Path(named)]
        if named
        else [config_home(environ) / "uv" / "uv.toml", *[path for path in (*system, Path("/etc/uv/uv.toml")) if path.is_file()][:1]]
    )
    for path in paths:
        if path.is_file():
            try:
                yield path, read_toml(path)
            except ProjectError:
                continue  # uv says what is wrong with it


def pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """pip's `index-url` and `extra-index-url`: its variables, else its files, the user's before the machine's (pip's configuration)."""
    found: dict[str, str] = {}
    for path in _pip_files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        for section in ("global", "install", "download"):
            for key in ("index-url", "extra-index-url"):
                if parser.has_option(section, key):
                    found[key] = parser.get(section, key)
                elif parser.has_option(section, key.replace("-", "_")):
                    found[key] = parser.get(section, key.replace("-", "_"))
    for key in ("index-url", "extra-index-url"):
        value = environ.get(f"PIP_{key.upper().replace('-', '_')}")
        if value:
            found[key] = value
    return found


def _pip_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """The least important first, as pip reads them."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    yield from (folder / "pip" / "pip.conf" for folder in config_dirs(environ))
    yield Path("/etc/pip.conf")
    yield home(environ) / ".pip" / "pip.conf"
    yield config_home(environ) / "pip" / "pip.conf"
    if environ.get("VIRTUAL_ENV"):
        yield Path(environ["VIRTUAL_ENV"]) / "pip.conf"
    if named:
        yield Path(named)


def confusable(origin: str, urls: Sequence[str]) -> Warned:
    """What is said of pip's rule, which holds for pip's files: whoever uploads the higher version wins."""
    hosts = ", ".join(sorted({urlsplit(url).netloc.rpartition("@")[2] for url in urls}))
    return Warned(
        f"{origin} has --extra-index-url: as pip does, the highest version is taken from whichever index has it, so a package of"
        f" {hosts} gives way to one of the same name that anybody uploads to the default index",
        "In pyproject.toml, [tool.uv.sources] with an explicit [[tool.uv.index]] binds a package to its index; hashes bind it to files.",
    )


def is_mirror(index: str) -> bool:
    """Whether an index is one of the table of public mirrors."""
    return any(bare(index).rstrip("/") == mirror.index.rstrip("/") for mirror in MIRRORS if mirror.index)
