"""Compose files: the services that are built from the project, and their companions (the Compose specification)."""

import os
import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec
from msgspec.structs import replace

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.compose_merge import ComposeTables
from shipwheel.project.deployment.secrets import is_secret
from shipwheel.project.deployment.stage import parse_port
from shipwheel.project.deployment.yaml_file import YamlTable, parse_yaml, yaml_list, yaml_table, yaml_text
from shipwheel.user.example_files import environment_beside
from shipwheel.user.files import UserFiles

__all__ = ["ComposeService", "ServiceMount", "find_compose_services"]

_FILE = lazy_pattern(r"(docker-)?compose([._-][\w.-]+)?\.ya?ml", re.IGNORECASE)
_ANY = lazy_pattern(r"[\w-].*\.ya?ml", re.IGNORECASE)
_SERVICES = lazy_pattern(rb"^services:\s", re.MULTILINE)
_TOP_LEVEL = frozenset("version name services networks volumes configs secrets include models".split())  # noqa: SIM905
"""The keys of a compose file (the Compose specification)."""
_FOLDERS = ("docker", "container", "deploy", "deployment", ".docker", "ops", "infra", "compose", "docker/compose", "docker-compose")
_OTHER_PURPOSE = frozenset(
    """
    dev devel devcontainer development test tests testing ci local debug override example sample e2e lint traefik
    """.split()  # noqa: SIM905
)
_PRODUCTION = frozenset({"prod", "production", "deploy"})
_PLAIN = frozenset({"docker", "compose", "yml", "yaml"})
_OPERAND = r"(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*"
"""The text behind the operator of a variable, which may have braces and variables of its own."""
_VARIABLE = lazy_pattern(rf"\$(?:(\$)|([A-Za-z_]\w*)|\{{([A-Za-z_]\w*)(?:(:?[-?+])({_OPERAND}))?\}})", re.ASCII)
_HERE = MappingProxyType({"PWD": "."})
"""The directory of the compose file, in which it is started."""
_MAX_SERVICES = 60
_MAX_BYTES = 1 << 20


class ServiceMount(msgspec.Struct, frozen=True):
    """A volume of a service."""

    target: str
    """Absolute, in the container."""
    source: Path | None
    """The directory or file of this machine; None for a volume of its own."""
    line: int
    read_only: bool = False


class ComposeService(msgspec.Struct, frozen=True):
    """A service of a compose file. Values that refer to unknown variables are left out."""

    name: str
    file: str
    """The path relative to the project, for messages."""
    line: int
    stack: str = ""
    """The path of the file that is started with it, which may add to that of another one."""
    image: str = ""
    context: Path | None = None
    """The directory that it is built from."""
    dockerfile: Path | None = None
    target: str = ""
    arguments: Mapping[str, str] = msgspec.field(default_factory=dict)
    command: tuple[str, ...] | str | None = None
    """Words, or a text that is split into words as a shell does; None if the image's is used."""
    command_line: int = 0
    entrypoint: tuple[str, ...] | None = None
    variables: Mapping[str, str] = msgspec.field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    """Names of variables without a value in the file."""
    ports: tuple[str, ...] = ()
    """TCP ports of the container."""
    mounts: tuple[ServiceMount, ...] = ()
    directory: str = ""
    depends_on: tuple[str, ...] = ()
    completed: tuple[str, ...] = ()
    """Those of `depends_on` that have to end, and well, before it starts."""
    profiles: tuple[str, ...] = ()
    """Those that start it; it starts by itself if there are none."""
    health: str = ""
    """The command of the health check, as one line."""
    variable_files: tuple[str, ...] = ()
    """Paths of files with environment variables, relative to the project."""

    @property
    def place(self) -> str:
        """The position as messages name it."""
        return f"{self.file}, line {self.line}"

    @property
    def is_for_production(self) -> bool:
        """True if the name of the file, of the service or of a profile says that it is for production."""
        names = (self.stack.rpartition("/")[2], self.name, *self.profiles)
        return any(not _words(name).isdisjoint(_PRODUCTION) for name in names)

    @property
    def words(self) -> tuple[str, ...]:
        """The command as words; empty if the image's is used, or if it cannot be split."""
        if not isinstance(self.command, str):
            return self.command or ()
        try:
            return tuple(shlex.split(self.command))
        except ValueError:
            return ()


def find_compose_services(folders: tuple[Path, ...], files: UserFiles) -> tuple[ComposeService, ...]:
    """Return the services of the compose files in and above a project that production may use."""
    root = folders[0]
    tables: dict[Path, YamlTable] = {}
    for path in sorted(_compose_files(folders), key=lambda path: _rank(path, root)):
        try:
            if path.stat().st_size <= _MAX_BYTES and _is_compose_file(path, files):
                tables[path] = parse_yaml(files.read_bytes(path))
        except OSError:
            continue
    found: list[ComposeService] = []
    for path in tables:
        values = {name: text for name, text in environment_beside(path.parent).items() if text and not is_secret(name, text)}
        found += _services(path, ComposeTables(tables, files), root, values)
    return tuple(found[:_MAX_SERVICES])


def _compose_files(folders: tuple[Path, ...]) -> Iterator[Path]:
    for folder in folders:
        for below in ("", *_FOLDERS):
            try:
                names = sorted(entry.name for entry in os.scandir(folder / below))
            except OSError:
                continue
            yield from (folder / below / name for name in names if _ANY.fullmatch(name) and not _words(name) & _OTHER_PURPOSE)


def _is_compose_file(path: Path, files: UserFiles) -> bool:
    """Return whether a file is one of Compose: by its name, or as Compose takes one of any name (`-f`).

    Compose refuses tables other than its own at the top, which another program's values have.
    """
    if _FILE.fullmatch(path.name):
        return True
    data = files.read_bytes(path)
    table = parse_yaml(data) if _SERVICES.search(data) else YamlTable()
    services = [*yaml_table(table.get("services")).values()]
    is_only_of_compose = all(key in _TOP_LEVEL or key.startswith("x-") for key in table)
    return is_only_of_compose and any(map(_has_image, map(yaml_table, services)))


def _has_image(service: YamlTable) -> bool:
    return bool(yaml_text(service.get("image"))) or isinstance(service.get("build"), (str, YamlTable))


def _words(name: str) -> frozenset[str]:
    return frozenset(re.split(r"[^a-z0-9]+", name.lower()))


def _rank(path: Path, root: Path) -> tuple[object, ...]:
    """Return the sort key of a compose file: one for production, then the plain one, then those that are added to it for some purpose."""
    relative, words = Path(os.path.relpath(path, root)).as_posix(), _words(path.name)
    return (relative.count("../"), relative.count("/"), not words & _PRODUCTION, bool(words - _PLAIN), relative)


def _services(path: Path, tables: ComposeTables, root: Path, values: Mapping[str, str]) -> Iterator[ComposeService]:
    stack = Path(os.path.relpath(path, root)).as_posix()
    for key, (table, line, own) in tables.services(path).items():
        name = Path(os.path.relpath(own, root)).as_posix()
        given = (yaml_text(it) or yaml_text(yaml_table(it).get("path")) for it in yaml_list(table.get("env_file")))
        named = tuple(Path(os.path.relpath(path.parent / each, root)).as_posix() for each in given if each)
        yield replace(_service(key, table, (line, path, name), values), stack=stack, variable_files=named)


def _service(key: str, table: YamlTable, place: tuple[int, Path, str], values: Mapping[str, str]) -> ComposeService:
    """Return a service. `values` are those of the .env file, which decide commands and ports, and no variable of an image."""
    line, path, name = place
    build = table.get("build")
    context = dockerfile = None
    target, arguments = "", dict[str, str]()
    if isinstance(build, (str, YamlTable)):
        fields = build if isinstance(build, YamlTable) else YamlTable()
        where = build if isinstance(build, str) else yaml_text(fields.get("context")) or "."
        context = Path(os.path.normpath(path.parent / (_filled(where, {**values, **_HERE}) or ".")))
        dockerfile = Path(os.path.normpath(context / (_filled(yaml_text(fields.get("dockerfile"))) or "Dockerfile")))
        target, arguments = yaml_text(fields.get("target")), dict(_pairs(fields.get("args"))[0])
    variables, unknown = _pairs(table.get("environment"))
    health = yaml_table(table.get("healthcheck")).get("test")
    return ComposeService(
        key,
        name,
        line,
        name,
        _filled(yaml_text(table.get("image"))) or "",
        context,
        dockerfile,
        target,
        arguments,
        _command(table.get("command"), values),
        table.line_of("command"),
        _entrypoint(table.get("entrypoint"), values),
        variables,
        unknown,
        tuple(dict.fromkeys(filter(None, (_port(it, values) for key in ("ports", "expose") for it in yaml_list(table.get(key)))))),
        tuple(_mounts(table, path)),
        _filled(yaml_text(table.get("working_dir"))) or "",
        tuple(item for item in _names(table.get("depends_on")) if item),
        tuple(_completed(yaml_table(table.get("depends_on")))),
        tuple(map(yaml_text, yaml_list(table.get("profiles")))),
        " ".join(map(yaml_text, health)) if isinstance(health, list) else yaml_text(health),
    )


def _command(value: object, values: Mapping[str, str]) -> tuple[str, ...] | str | None:
    if isinstance(value, list):
        words = tuple(_filled(yaml_text(word), values) for word in value)
        return None if None in words else tuple(str(word) for word in words)
    # Compose replaces ${X} itself; $$X is left to the shell in the container.
    return _filled(value, values) if isinstance(value, str) else None


def _entrypoint(value: object, values: Mapping[str, str]) -> tuple[str, ...] | None:
    if isinstance(value, str):
        return tuple(value.split())
    return None if value is None else tuple(_command(value, values) or ())


def _names(value: object) -> list[str]:
    return [*value] if isinstance(value, YamlTable) else [yaml_text(item) for item in yaml_list(value)]


def _completed(conditions: YamlTable) -> Iterator[str]:
    return (name for name, value in conditions.items() if yaml_table(value).get("condition") == "service_completed_successfully")


def _pairs(value: object) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return (name -> value, names without a known value) of a mapping or a list of NAME=VALUE."""
    if isinstance(value, YamlTable):
        items = [(name, yaml_text(text) if text is not None else None) for name, text in value.items()]
    else:
        texts = (yaml_text(item).partition("=") for item in yaml_list(value))
        items = [(name, text if equals else None) for name, equals, text in texts]
    filled = {name: _filled(text) if text is not None else None for name, text in items if name}
    return {name: text for name, text in filled.items() if text is not None}, tuple(name for name, text in filled.items() if text is None)


def _filled(text: str, values: Mapping[str, str] = MappingProxyType({})) -> str | None:
    """Return a text with the values of its variables, or their defaults; None if one has neither."""
    unknown = False

    def value(match: re.Match[str]) -> str:
        nonlocal unknown
        if match[1]:
            return "$"
        operator, known = match[4] or "", values.get(match[2] or match[3])
        is_set = known is not None and (known != "" or not operator.startswith(":"))
        if is_set is operator.endswith("+"):
            found = _filled(match[5], values) if operator.endswith(("+", "-")) else None
        else:
            found = known if is_set else ""
        unknown = unknown or found is None
        return found or ""

    result = _VARIABLE.sub(value, text)
    return None if unknown else result


def _port(item: object, values: Mapping[str, str]) -> str:
    """Return the container's port of `8000`, `"80:8000"`, `"127.0.0.1:80:8000/tcp"` or the long form."""
    if isinstance(item, YamlTable):
        return parse_port(_filled(yaml_text(item.get("target")), values) or "") if yaml_text(item.get("protocol")) in ("", "tcp") else ""
    text = _filled(yaml_text(item), values) or yaml_text(item).rpartition(":")[2]
    return parse_port(text.rpartition(":")[2])


def _mounts(table: YamlTable, path: Path) -> Iterator[ServiceMount]:
    for item in yaml_list(table.get("volumes")):
        if isinstance(item, YamlTable):
            source, target = _filled(yaml_text(item.get("source")), _HERE) or "", yaml_text(item.get("target"))
            bound, options = item.get("type") == "bind", "ro" if item.get("read_only") == "true" else ""
        else:
            parts = (_filled(yaml_text(item), _HERE) or "").split(":")
            source, target = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
            bound, options = source.startswith((".", "/", "~")), parts[2] if len(parts) > 2 else ""
        if target.startswith("/"):
            where = Path(os.path.normpath(path.parent / source)) if bound and not source.startswith("~") else None
            yield ServiceMount(posixpath.normpath(target), where, table.line_of("volumes"), "ro" in options.split(","))
