"""The settings of programs that run while an image is built: the tables `build`, `steps` and `assets` of `[tool.shipwheel]`."""

import shlex
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec

from shipwheel.settings.values import InvalidValue, setting_value
from shipwheel.versions import normalized

__all__ = ["AssetSettings", "BuildSettings", "PackageBuildSettings", "StepSettings", "read_assets", "read_build", "read_steps", "stated"]

T = TypeVar("T", bound=msgspec.Struct)


class PackageBuildSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Additions of a user to the build of one package that compiles: Debian packages, environment variables, constraints."""

    packages: tuple[str, ...] = ()
    env: dict[str, str] = {}
    constraints: tuple[str, ...] = ()


class BuildSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """Additions of a user to all builds that compile, and to those of some packages by their normalized names.

    `max_minutes` and `max_gigabytes` bound each step of all builds from source.
    """

    packages: tuple[str, ...] = ()
    env: dict[str, str] = {}
    constraints: tuple[str, ...] = ()
    max_minutes: Annotated[int, msgspec.Meta(ge=1)] = 180
    max_gigabytes: Annotated[int, msgspec.Meta(ge=1)] = 20
    by_package: dict[str, PackageBuildSettings] = {}


class StepSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """A program that runs in the finished image, as its user: the files that it writes become a layer."""

    run: tuple[str, ...]
    """Command to run in the working directory, as a list of words or as one string. A string is split like in a shell, but no shell runs
    it."""
    env: dict[str, str] = {}
    """Environment variables for this step alone, beside those of the image: `{SECRET_KEY = "not-used"}`."""
    network: bool = False
    """Give it the network of this machine."""


class AssetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename=lambda name: name.rstrip("_")):
    """A front end that node builds from the project's source, once for all platforms. All paths are relative to the project."""

    run: tuple[str, ...]
    """Command that builds it, as a list of words or as one string: `npm run build`. A string is split like in a shell, but no shell runs
    it."""
    output: str = ""
    """Directory or file that the command makes. Default: all files that it makes or changes, without packages of node and caches."""
    in_: str = "."
    """Directory with package.json, in which the command runs. Default: the project's."""
    to: str = ""
    """Path of that in the image: below the working directory, or absolute. Default: the same as in the project."""
    env: dict[str, str] = {}
    """Environment variables of the command: `{NODE_ENV = "production"}`."""
    packages: tuple[str, ...] = ()
    """Debian packages with further programs that it needs."""
    node: str = ""
    """Version of node: `22` or `^22.12.0`. Default: the one that .nvmrc, package.json and the like ask for, else the newest with long-term
    support."""
    image: str = ""
    """Image with node and npm in which it is built, by its digest, in place of `node`: `node:22@sha256:…`."""

    @property
    def shown_output(self) -> str:
        """The output, for messages."""
        return self.output or "what it makes"


def read_assets(value: object) -> tuple[AssetSettings, ...]:
    """Return the front ends of a TOML array of tables. Raise InvalidValue with all problems."""
    return _tables(value, "assets", AssetSettings)


def read_steps(value: object) -> tuple[StepSettings, ...]:
    """Return the steps of a TOML array of tables. Raise InvalidValue with all problems."""
    return _tables(value, "steps", StepSettings)


def read_build(value: object) -> BuildSettings:
    """Return the settings of a TOML table, in which a table with a name of its own is that of a package. Raise InvalidValue."""
    if not isinstance(value, Mapping):
        raise InvalidValue("must be a table", "Write [tool.shipwheel.build] and the keys of it below.")
    own = {field.encode_name for field in msgspec.structs.fields(BuildSettings) if field.name != "by_package"}
    tables = {name: table for name, table in value.items() if name not in own and isinstance(table, Mapping)}
    found: BuildSettings = setting_value("build", {name: each for name, each in value.items() if name not in tables}, BuildSettings)
    of_packages = {normalized(name): setting_value(f"build.{name}", table, PackageBuildSettings) for name, table in tables.items()}
    return msgspec.structs.replace(found, by_package=of_packages)


def stated(table: msgspec.Struct) -> dict[str, Any]:
    """Return a table as a settings file has it: without defaults, and a command as one string."""
    found = {}
    for field in msgspec.structs.fields(type(table)):
        value = getattr(table, field.name)
        if value not in ({}, ()) and (field.required or value != field.default):
            found[field.encode_name] = shlex.join(value) if field.name == "run" else value
    return found


def _tables(value: object, key: str, kind: type[T]) -> tuple[T, ...]:
    if not isinstance(value, (list, tuple)):
        raise InvalidValue("must be a list of tables", f"Write [[tool.shipwheel.{key}]] and the keys of one below it.")
    problems: list[InvalidValue] = []
    found = tuple(table if isinstance(table, kind) else _table(table, number, key, kind, problems) for number, table in enumerate(value, 1))
    if problems:
        hints = dict.fromkeys(problem.hint for problem in problems if problem.hint)
        raise InvalidValue("; ".join(problem.message for problem in problems), " ".join(hints))
    return tuple(table for table in found if table is not None)


def _table(table: object, number: int, key: str, kind: type[T], problems: list[InvalidValue]) -> T | None:
    if not isinstance(table, Mapping):
        problems.append(InvalidValue(f"number {number} is not a table", f"Write [[tool.shipwheel.{key}]] and the keys of one below it."))
        return None
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    values: dict[str, Any] = {}
    known = len(problems)
    for name, value in table.items():
        if name not in fields:
            problems.append(InvalidValue(f"number {number}: unknown key {name!r}", f"Its keys: {', '.join(fields)}."))
            continue
        try:
            values[fields[name].name] = setting_value(f"{key}.{name}", value, fields[name].type)
        except InvalidValue as error:
            problems.append(InvalidValue(f"number {number}: {name}: {error.message}", error.hint))
    missing = [name for name, field in fields.items() if field.required and name not in table]
    if missing:
        problems.append(InvalidValue(f"number {number} has no {' and no '.join(missing)}", f"Its keys: {', '.join(fields)}."))
    return kind(**values) if len(problems) == known else None
