"""The package indexes of a project: those that uv is configured with, else pip's, else the mirror that was chosen.

uv reads its own settings. shipwheel only needs to know whether they name an index, and passes on pip's settings, which uv does not read.
A mirror has each file under the same path as the index itself (`packages/ab/cd/…/file`). Such files are fetched from the mirror first,
then from the URL in the lock.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from shipwheel.download.mirrors import Choice, is_index_mirror, load_choice
from shipwheel.events import Warned
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.machine_settings import pip_settings, uv_files
from shipwheel.project.project import Project
from shipwheel.project.tool_indexes import pipfile_indexes
from shipwheel.store.store import default_root

__all__ = [
    "ACCELERATOR_INDEX",
    "DEFAULT_VARIABLES",
    "Indexes",
    "files_root",
    "indexes_of",
    "read_indexes",
    "shared_path",
    "warn_of_extra_indexes",
    "warn_of_failed_mirror",
    "warn_of_replaced_mirror",
    "without_login",
]

ACCELERATOR_INDEX = "https://download.pytorch.org/whl"
"""The package index of PyTorch's maintainers; uv knows one index below it for each kind of accelerator."""

_SHARED_PATH = lazy_pattern(r"/packages/([0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/[^/?#]+)$")
"""The path of a file on the package index and all its mirrors; it holds a hash of the contents."""
_PROJECT = "the project's settings"
_REQUIREMENTS = "the requirements"
DEFAULT_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL")
"""uv's variables for the default index."""
_EXTRA_VARIABLES = ("UV_INDEX", "UV_EXTRA_INDEX_URL")


class Indexes(msgspec.Struct, frozen=True):
    """The package indexes of a project.

    `default` is the default index's URL with its login, empty for uv's own default; `origin` names the setting that it comes from.
    `is_chosen` tells whether it is a mirror that shipwheel chose; `mirrors` are further mirrors, the best first. `environment` holds the
    variables that uv must run with. `rewrites` are URL prefixes in the lock with the prefixes to try first in their place.
    """

    default: str = ""
    origin: str = ""
    mirrors: tuple[str, ...] = ()
    environment: Mapping[str, str] = msgspec.field(default_factory=dict)
    rewrites: tuple[tuple[str, str], ...] = ()
    is_chosen: bool = False

    def __repr__(self) -> str:
        return "Indexes(…)"

    @property
    def replacement_hint(self) -> str:
        """How to do without a default index that the project itself names; empty if something else names it."""
        if self.origin not in (_PROJECT, _REQUIREMENTS):
            return ""
        return (
            f"{self.origin.capitalize()} name this package index as the default ([[tool.uv.index]], [[tool.poetry.source]], --index-url):"
            " if it cannot be reached from here, UV_DEFAULT_INDEX=URL takes another in its place."
        )

    def next_mirror(self) -> "Indexes | None":
        """Return the same with the next chosen mirror, and after the last one with uv's default index; None if none was chosen."""
        if not self.is_chosen:
            return None
        rest = {name: value for name, value in self.environment.items() if name != "UV_DEFAULT_INDEX"}
        if not self.mirrors:
            return replace(self, default="", origin="", environment=rest, is_chosen=False)
        first = self.mirrors[0]
        return replace(self, default=first, mirrors=self.mirrors[1:], environment={**rest, "UV_DEFAULT_INDEX": first})

    def without_mirror(self, failed: str, listed: Sequence[Mapping[str, Any]], instead: str) -> "Indexes | None":
        """Return the same with the index `instead` for a public mirror of it that the project names, and that the URL `failed` is of.

        `listed` are the project's indexes in uv's form. None if the URL is of another index, or uv cannot be told to take another.
        """
        if not instead:
            return None
        if self.origin in (_PROJECT, _REQUIREMENTS) and _is_mirror_behind(self.default, failed):
            return replace(self, default=instead, origin="", environment={**self.environment, "UV_DEFAULT_INDEX": instead})
        name = next((index["name"] for index in listed if "name" in index and _is_mirror_behind(str(index.get("url", "")), failed)), "")
        others = self.environment.get("UV_INDEX", "")
        if not name or f"{name}=" in others:
            return None
        return replace(self, environment={**self.environment, "UV_INDEX": f"{name}={instead} {others}".strip()})

    def urls(self, url: str) -> tuple[str, ...]:
        """Return the URLs to try for a file whose URL in the lock is `url`, in order."""
        found = _SHARED_PATH.search(urlsplit(url).path)
        if found is None:
            return (*(new + url.removeprefix(old) for old, new in self.rewrites if url.startswith(old)), url)
        roots = [root for index in (self.default, *self.mirrors) if (root := files_root(index))]
        return tuple(dict.fromkeys((*(f"{root}/{found[1]}" for root in roots), url)))


def _is_mirror_behind(index: str, failed: str) -> bool:
    """Return whether an index is a public mirror, and a URL is of its server."""
    return is_index_mirror(index) and urlsplit(index).hostname == urlsplit(failed).hostname


def without_login(url: str) -> str:
    """Return a URL without user name and password."""
    scheme, slashes, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{authority.rpartition('@')[2]}{slash}{path}" if slashes else url


def files_root(index: str) -> str:
    """Return the URL below which a mirror has its files, for an index that ends with /simple; empty for any other index."""
    index = index.rstrip("/")
    return f"{index.removesuffix('/simple')}/packages" if index.endswith("/simple") else ""


def shared_path(url: str) -> str:
    """Return the part of a file's URL that all mirrors share; empty without one."""
    found = _SHARED_PATH.search(urlsplit(url).path)
    return f"packages/{found[1]}" if found else ""


def indexes_of(project: Project, environ: Mapping[str, str] | None = None, root: Path | None = None) -> Indexes:
    """Return the indexes of a project. A chosen mirror is recorded beside the store `root`."""
    inputs, listed = project.inputs, ""
    if inputs.requirements is not None:
        listed = inputs.requirements.index_url
    elif inputs.pipfile is not None:
        pipfile = pipfile_indexes(inputs.pipfile.tables, environ)
        listed = next((str(index["url"]) for index in pipfile if index.get("default")), "")
    indexes = read_indexes(inputs.workspace.settings, environ, lambda: load_choice(root or default_root()), listed=listed)
    mirror = project.settings.accelerator_index
    return replace(indexes, rewrites=((f"{ACCELERATOR_INDEX}/", f"{mirror}/"),)) if mirror else indexes


def read_indexes(
    settings: Mapping[str, Any], environ: Mapping[str, str] | None = None, choice: Callable[[], Choice] = Choice, *, listed: str = ""
) -> Indexes:
    """Return the indexes for uv's `settings` of a project.

    `listed` is the default index that the project's requirements name; `choice` returns the chosen mirrors.
    """
    environ = os.environ if environ is None else environ
    default, origin, has_more = _configured(settings, environ, listed)
    if default or origin:
        return Indexes(default, origin)
    pip = pip_settings(environ)
    environment: dict[str, str] = {}
    if pip.get("extra-index-url") and not has_more:
        # uv's first-index rule holds for them: it looks no further for a package that one of them has.
        environment["UV_INDEX"] = " ".join(pip["extra-index-url"].split())
    if pip.get("index-url"):
        environment["UV_DEFAULT_INDEX"] = pip["index-url"]
        return Indexes(pip["index-url"], "pip's settings", environment=environment)
    chosen = choice().index
    if chosen:
        environment["UV_DEFAULT_INDEX"] = chosen[0]
        return Indexes(chosen[0], "the chosen mirror", chosen[1:], environment, is_chosen=True)
    return Indexes(environment=environment)


def _configured(settings: Mapping[str, Any], environ: Mapping[str, str], listed: str) -> tuple[str, str, bool]:
    """Return the default index that uv finds by itself, the setting that names it, and whether uv finds further indexes.

    A setting without an index means that no index is used at all.
    """
    default, origin = next(((environ[name], name) for name in DEFAULT_VARIABLES if environ.get(name)), ("", ""))
    has_more = any(environ.get(name) for name in _EXTRA_VARIABLES)
    if not default and listed:
        default, origin = listed, _REQUIREMENTS
    for name, table in [(_PROJECT, settings), *((str(path), table) for path, table in uv_files(environ))]:
        for index in table.get("index", []):
            if index.get("default") and not default:
                default, origin = str(index.get("url", "")), name
            has_more = has_more or not index.get("default")
        if table.get("index-url") and not default:
            default, origin = str(table["index-url"]), name
        if table.get("no-index") and not origin:
            origin = name
        has_more = has_more or bool(table.get("extra-index-url"))
    if environ.get("UV_NO_INDEX") and not origin:
        origin = "UV_NO_INDEX"
    return default, origin, has_more


def warn_of_extra_indexes(origin: str, urls: Sequence[str]) -> Warned:
    """Return the warning for `--extra-index-url` in a requirements file: by pip's rule, the highest version of any index wins."""
    hosts = ", ".join(sorted({urlsplit(url).netloc.rpartition("@")[2] for url in urls}))
    return Warned(
        f"{origin} has --extra-index-url: as with pip, the highest version wins, whichever index has it. Anybody who uploads a higher"
        f" version of a package of {hosts} to the default index replaces it",
        "In pyproject.toml, [tool.uv.sources] with an explicit [[tool.uv.index]] binds a package to its index; hashes bind it to files.",
    )


def warn_of_replaced_mirror(failed: str, instead: str) -> Warned:
    """Return the warning for a public mirror that the project names and that cannot be reached, so that the index itself is used."""
    return Warned(
        f"{urlsplit(failed).netloc}, which the project names, cannot be reached:"
        f" using {urlsplit(without_login(instead)).netloc} instead, which it mirrors",
        "To use another, set UV_DEFAULT_INDEX=URL, or UV_INDEX=NAME=URL for an index with a name.",
    )


def warn_of_failed_mirror(indexes: Indexes, reason: str) -> Warned:
    """Return the warning for a chosen mirror that failed for `reason`, so that the next one is used."""
    return Warned(f"the chosen mirror {urlsplit(indexes.default).netloc} failed, using the next one: {reason}")
