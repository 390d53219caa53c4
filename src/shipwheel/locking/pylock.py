"""The lock: a pylock.toml (PEP 751) beside the project, one file for all targets.

shipwheel adds `packages.dependencies`, and a table [tool.shipwheel]: the checksum of the inputs, the day as of which the index was read,
the Python version, the requirements of the project itself (`roots`), the packages that are compiled with the Debian packages that this
needs (`compiled`), the `compilers` with the digests of their Debian packages (`builder`), the build requirements with theirs
(`build-wheels.<architecture>`), the `node` of front ends, and the exact packages of the base (`base.<architecture>`), whose contents this
module does not interpret.
"""

import os
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec.structs import replace

from shipwheel.decoding import InvalidDocument, convert
from shipwheel.digest import Sha256, as_sha256
from shipwheel.errors import LockError
from shipwheel.locking.pylock_text import document, file_name

if TYPE_CHECKING:
    from packaging.pylock import Package

__all__ = [
    "CREATOR",
    "FORMAT",
    "Lock",
    "LockedDeb",
    "LockedFile",
    "LockedNode",
    "check_hashes",
    "checked_lock",
    "file_name",
    "name_in",
    "parsed",
    "read_lock",
]

FORMAT = 2
"""The format of the [tool.shipwheel] table. It is part of the inputs' checksum, so a lock in another format is made again.

From format 2 on, the lock has every package that `packages.dependencies` names (PEP 751: they are "other entries in [[packages]]").
"""

CREATOR = "shipwheel"

_LAST_TABLES = ("compiled", "compilers", "builder", "build-wheels", "node", "imports", "base")
_OLD_ENDINGS = (".tar.bz2", ".tar.xz", ".tgz", ".tar.Z", ".tar")


class LockedDeb(msgspec.Struct, frozen=True):
    """A Debian package that decided what was compiled. The architecture is that of the file."""

    name: str
    version: str
    architecture: str
    sha256: Sha256

    @property
    def place(self) -> tuple[str, str]:
        """The name and the architecture, of which a builder has one version."""
        return self.name, self.architecture


class LockedFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file of a package index. `size` in bytes, None if the index does not say."""

    url: str
    sha256: Sha256
    size: int | None = None

    @property
    def name(self) -> str:
        """The name of the file."""
        return file_name({"url": self.url})


class LockedNode(msgspec.Struct, frozen=True):
    """A version of node, and its wheels for the machines that build front ends."""

    version: Annotated[str, msgspec.Meta(pattern=r"^\d+\.\d+\.\d+\Z")]
    wheels: tuple[LockedFile, ...]


Pin = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*==[A-Za-z0-9.!+_-]+( --hash=sha256:[0-9a-f]{64})+\Z")]
"""The version of a build requirement with the hashes of its wheels. uv reads it, so that it must not be another option."""


class _Named(msgspec.Struct):
    name: str


class _File(msgspec.Struct):
    hashes: dict[str, Any] = {}


class _Package(_Named):
    wheels: list[_File] = []
    sdist: _File = msgspec.field(default_factory=_File)
    archive: _File = msgspec.field(default_factory=_File)
    dependencies: list[_Named] = []


class _Table(msgspec.Struct):
    format: int = 1
    parts: dict[str, str] = {}
    roots: dict[str, str] = {}
    groups: list[str] = []
    extras: list[str] = []
    accelerator: dict[str, Any] = {}
    compiled: dict[str, list[str]] = {}
    compilers: dict[str, list[str]] = {}
    builder: dict[str, tuple[LockedDeb, ...]] = {}
    build_wheels: dict[str, dict[str, list[Pin]]] = msgspec.field(name="build-wheels", default_factory=dict)
    node: dict[str, LockedNode] = {}
    imports: dict[str, list[str]] = {}
    base: dict[str, dict[str, Any]] = {}


class _Tools(msgspec.Struct):
    shipwheel: _Table


class _Shape(msgspec.Struct):
    """The shape that the rest of the code relies on: a lock may have been edited, or merged."""

    tool: _Tools
    packages: list[_Package] = []
    default_groups: list[str] = msgspec.field(name="default-groups", default_factory=list)


class Lock(msgspec.Struct, frozen=True, dict=True):
    """A lock as its file has it: `data` is the TOML document, and paths in it are relative to the directory of `path`."""

    path: Path
    data: Mapping[str, Any]

    @cached_property
    def packages(self) -> "tuple[Package, ...]":
        """The packages, parsed and validated against PEP 751. Raise LockError if the file violates it."""
        from packaging.pylock import Pylock, PylockUnsupportedVersionError, PylockValidationError

        packages = self.data.get("packages")
        data = {**self.data, "packages": [*map(_with_standard_name, packages)]} if isinstance(packages, list) else self.data
        try:
            found = tuple(Pylock.from_dict(data).packages)
        except (PylockValidationError, PylockUnsupportedVersionError) as error:
            raise _invalid(self.path.name, error) from error
        self._check_complete(found)
        return found

    def _check_complete(self, packages: "tuple[Package, ...]") -> None:
        """Raise LockError for entries that were removed by hand or by a merge: the image would lack them."""
        if self.format < 2:
            return
        names = self.names
        required = ((edge.get("name"), package.name) for package in packages for edge in package.dependencies or ())
        missing = [f"{name} (for {dependent})" for name, dependent in required if name not in names]
        if missing:
            raise _invalid(self.path.name, f"it lacks {', '.join(missing)}")

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of all packages."""
        return frozenset(package["name"] for package in self.data.get("packages", []))

    @property
    def _tool(self) -> Mapping[str, Any]:
        table: Mapping[str, Any] = self.data.get("tool", {}).get("shipwheel", {})
        return table

    @property
    def format(self) -> int:
        """The format of its [tool.shipwheel] table."""
        return int(self._tool.get("format", 1))

    @property
    def inputs(self) -> str:
        """The checksum of everything from which the lock was made: `sha256:<hex>`."""
        return str(self._tool.get("inputs", ""))

    @property
    def parts(self) -> dict[str, str]:
        """The inputs from which the lock was made, as `input_parts` returns them; empty if they were not recorded."""
        return dict(self._tool.get("parts", {}))

    @property
    def as_of(self) -> str:
        """The day (UTC, `2024-09-15`) as of which the package index was read."""
        return str(self._tool.get("as-of", ""))

    @property
    def packages_of(self) -> str:
        """The day as of which packages were taken because the project is old; empty if they were of the day of the lock."""
        return str(self._tool.get("packages-of", ""))

    @property
    def python(self) -> str:
        """The Python version for which it was made: "3.11"."""
        return str(self._tool.get("python", ""))

    @property
    def frozen(self) -> bool:
        """True if it was made from a list that pins everything, and so may have packages that only another system needs."""
        return bool(self._tool.get("frozen", False))

    @property
    def origin(self) -> str:
        """The user's file from which it was made: `requirements.txt`, `pyproject.toml`, `uv.lock`."""
        return str(self._tool.get("origin", "the project"))

    @property
    def build_requirements(self) -> dict[str, tuple[str, ...]]:
        """The requirements that the build of a package has beyond those that it states, by its normalized name."""
        return {name: tuple(needed) for name, needed in self._tool.get("build-requirements", {}).items()}

    @property
    def roots(self) -> dict[str, str]:
        """The packages that the project itself requires, with the file and line of the requirement."""
        return dict(self._tool.get("roots", {}))

    @property
    def chosen(self) -> dict[str, frozenset[str]]:
        """The chosen extras and dependency groups, under the names of PEP 751's marker variables."""
        groups = [*self._tool.get("groups", ()), *self.data.get("default-groups", ())]
        return {"extras": frozenset(self._tool.get("extras", ())), "dependency_groups": frozenset(groups)}

    @property
    def accelerator(self) -> dict[str, Any]:
        """The kind of accelerator build (`build`) of some packages (`of`), the packages `without` which it works, the bytes it `saves`."""
        return dict(self._tool.get("accelerator", {}))

    @property
    def compiled(self) -> dict[str, tuple[str, ...]]:
        """The packages that are compiled where no wheel fits: normalized name -> the Debian packages that this needs."""
        return {name: tuple(needed) for name, needed in self._tool.get("compiled", {}).items()}

    @property
    def compilers(self) -> dict[str, tuple[str, ...]]:
        """The compilers and Debian packages that these were compiled with, by architecture, as labels: "gcc-14 14.2.0-19"."""
        return {architecture: tuple(labels) for architecture, labels in self._tool.get("compilers", {}).items()}

    @property
    def builder(self) -> tuple[LockedDeb, ...]:
        """The Debian packages of `compilers` as files, for each processor that has compiled. A lock of an older version has none."""
        return convert(self._tool.get("builder", {}).get("packages", ()), tuple[LockedDeb, ...])

    @property
    def build_wheels(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """The build requirements of what is compiled, as `Pin`, by the architecture of the target and the name of the package."""
        return {each: {name: tuple(pins) for name, pins in found.items()} for each, found in self._tool.get("build-wheels", {}).items()}

    @property
    def node(self) -> dict[str, LockedNode]:
        """The node of front ends, by the range of versions that they ask for."""
        return convert(self._tool.get("node", {}), dict[str, LockedNode])

    @property
    def imports(self) -> dict[str, tuple[str, ...]] | None:
        """The modules that a start of the image imported, by the normalized name of their package, as files: "pandas.core.frame".

        Packages of which it imported none have an empty list. None if no start was recorded.
        """
        found = self._tool.get("imports")
        return None if found is None else {name: tuple(modules) for name, modules in found.items()}

    @property
    def base(self) -> dict[str, Any]:
        """The exact parts of the base by architecture."""
        return dict(self._tool.get("base", {}))

    def exceeded(self, bounds: Iterable[str]) -> tuple[str, ...]:
        """Return the packages whose versions do not satisfy constraints, "numpy 2.4.1"; without constraints, nothing is parsed."""
        if not bounds:
            return ()
        from packaging.requirements import Requirement

        limits = [Requirement(text) for text in bounds]
        return tuple(
            f"{package.name} {package.version}"
            for package in self.packages
            for limit in limits
            if limit.name == package.name and package.version and not limit.specifier.contains(package.version, prereleases=True)
        )

    def is_current(self, inputs: str) -> bool:
        """Return whether it was made from inputs with this checksum."""
        return self.inputs == inputs

    def with_base(self, architecture: str, base: Mapping[str, Any]) -> "Lock":
        """Return the lock with another base for an architecture."""
        return self._with({**self._tool, "base": {**self.base, architecture: dict(base)}})

    def with_packages_of(self, day: str) -> "Lock":
        """Return the lock with the day of an old project; the same lock if there is none."""
        return self._with({"packages-of": day, **self._tool}) if day else self

    def with_imports(self, imports: Mapping[str, Iterable[str]]) -> "Lock":
        """Return the lock with the modules that a start imported, for those of its packages that are named."""
        return self._with_lists("imports", {name: modules for name, modules in imports.items() if name in self.names})

    def with_compiled(self, compiled: Mapping[str, tuple[str, ...]]) -> "Lock":
        """Return the lock with other packages to compile."""
        return self._with_lists("compiled", compiled)

    def with_compilers(
        self,
        compilers: Mapping[str, tuple[str, ...]],
        builder: Iterable[LockedDeb] = (),
        build_wheels: Mapping[str, Mapping[str, Iterable[str]]] = {},
    ) -> "Lock":
        """Return the lock with other compilers and their files, and other build requirements."""
        packages = msgspec.to_builtins(sorted(builder, key=lambda deb: deb.place))
        pins = {each: {name: sorted(pins) for name, pins in sorted(found.items())} for each, found in sorted(build_wheels.items())}
        lock = self._with_lists("compilers", compilers)._with_table("builder", {"packages": packages} if packages else {})
        return lock._with_table("build-wheels", pins)

    def with_node(self, node: Mapping[str, LockedNode]) -> "Lock":
        """Return the lock with another node for each range of versions."""
        return self._with_table("node", {wished: msgspec.to_builtins(found) for wished, found in sorted(node.items())})

    def _with_lists(self, key: str, lists: Mapping[str, Iterable[str]]) -> "Lock":
        return self._with_table(key, {name: sorted(items) for name, items in sorted(lists.items())})

    def _with_table(self, key: str, table: Mapping[str, Any]) -> "Lock":
        tool = {**self._tool, key: table}
        last = {name: tool[name] for name in _LAST_TABLES if tool.get(name)}
        return self._with({**{name: value for name, value in tool.items() if name not in _LAST_TABLES}, **last})

    def _with(self, tool: Mapping[str, Any]) -> "Lock":
        return replace(self, data={**self.data, "tool": {**self.data.get("tool", {}), "shipwheel": dict(tool)}})

    def text(self) -> str:
        """Return the text of the file: in canonical order, with one wheel per line."""
        return "\n".join(document(self.data)) + "\n"

    def write(self) -> None:
        """Write the file atomically, unless it already has the same contents. Raise LockError."""
        data = self.text().encode()
        try:
            if self.path.is_file() and self.path.read_bytes() == data:
                return
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=".pylock-")
            try:
                with os.fdopen(handle, "wb") as stream:
                    stream.write(data)
                Path(name).chmod(0o644)
                Path(name).replace(self.path)
            finally:
                with suppress(OSError):
                    Path(name).unlink(missing_ok=True)
        except OSError as error:
            raise LockError(
                f"the lock {self.path} cannot be written: {error.strerror or error}", hint="Make its directory writable."
            ) from error


def name_in(label: str) -> str:
    """Return the name of the package in a label of `Lock.compilers`."""
    return label.partition(" ")[0]


def read_lock(path: Path, parse: Callable[[str], Mapping[str, Any]] | None = None) -> Lock | None:
    """Return the lock in a file, or None if there is none or another tool made it. Raise LockError for a damaged one.

    `parse` may know the text already; by default it is that of the standard library.
    """
    try:
        data = (parse or parsed)(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise LockError(f"{path.name} cannot be read: {error}", hint=f"Restore {path.name}, or delete it and build again.") from error
    tool = data.get("tool", {})
    if not isinstance(tool, dict) or "shipwheel" not in tool:
        return None
    return checked_lock(path, data, path.name)


def checked_lock(path: Path, data: Mapping[str, Any], name: str) -> Lock:
    """Return a lock made by shipwheel, which errors call `name`. Raise LockError if its shape is wrong or a file has no hash."""
    try:
        convert(data, _Shape)
    except InvalidDocument as error:
        raise _invalid(name, error) from error
    check_hashes(data, name)
    return Lock(path, data)


def _with_standard_name(package: Any) -> Any:
    """Return a package with the name that PEP 751 wants for a source of before PEP 625, such as Twisted-20.3.0.tar.bz2. Its URL stays."""
    sdist: Any = package.get("sdist") if isinstance(package, dict) else None
    name = file_name(sdist) if isinstance(sdist, dict) else ""
    ending = next(filter(name.endswith, _OLD_ENDINGS), None)
    return package if ending is None else {**package, "sdist": {**sdist, "name": f"{name.removesuffix(ending)}.tar.gz"}}


def _invalid(name: str, reason: object) -> LockError:
    return LockError(f"{name} is not a valid lock: {reason}", hint=f"Restore {name}, or delete it and build again.")


@lru_cache(maxsize=1)
def parsed(text: str) -> Mapping[str, Any]:
    """Return the data of a lock's text. Raise ValueError, RecursionError."""
    # A build reads the lock more than once, and parsing it takes longer than anything else that is done with it.
    return tomllib.loads(text)


def check_hashes(data: Mapping[str, Any], name: str) -> None:
    """Raise LockError for files without a sha256, the only hash that is accepted, naming all of them."""
    missing = []
    for package in data.get("packages", []):
        files = [*package.get("wheels", []), *(package[key] for key in ("sdist", "archive") if key in package)]
        missing += [file_name(file) for file in files if as_sha256(str(file.get("hashes", {}).get("sha256", ""))) is None]
    if missing:
        shown = "\n".join(sorted(missing)[:20])
        raise LockError(f"{name}: these files have no sha256 hash:\n{shown}", hint="Use an index that publishes sha256 hashes.")
