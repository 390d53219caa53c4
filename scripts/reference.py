"""Write docs/reference from the code: `python scripts/reference.py DIR`. With --check, name the pages that are out of date instead.

The pages come from click's commands, the source of `Settings`, the tree of errors, and the docstrings of the public API.
"""

import ast
import copy
import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click
import msgspec
from settings_schema import settings_schema

import shipwheel
from shipwheel import errors
from shipwheel.cli.command import Command
from shipwheel.cli.commands import COMMANDS, cli
from shipwheel.settings.build import AssetSettings, StepSettings
from shipwheel.settings.services import ServiceSettings
from shipwheel.settings.settings import Settings

__all__ = ["pages"]

SOURCE = Path(__file__).resolve().parent.parent / "src" / "shipwheel"
T = TypeVar("T", bound=ast.AST)

NOTE = "<!-- Made by `make docs` from the code: do not edit. -->"

EXAMPLES = SOURCE.parent.parent / "docs" / "reference" / "python"

SECTIONS = {
    "Say what to build": (
        ("request", "store"),
        ("make_request", "Request", "LockMode", "Settings", "load_settings", "Platform", "Store", "default_root"),
    ),
    "See what would be built": (("plan",), ("plan", "BuildPlan", "PlatformPlan")),
    "Lock": (("lock",), ("lock", "Locked")),
    "Build": (("build", "build_and_push"), ("build", "Delivered")),
    "Push and copy": (("push", "copy"), ("push", "copy")),
    "Check images": (("validate",), ("validate", "Report", "ImageReport")),
    "Follow the progress": (("progress",), ("Reporter", "Event", "StageStarted", "Moved", "StageFinished", "Warned")),
    "Handle errors": (("errors",), ("ShipwheelError",)),
}
"""Heading -> (examples, names of the public API), in the order of the page."""

OPAQUE = {"Store"}
"""Classes whose members only shipwheel uses."""


def pages() -> dict[str, str]:
    """Return the text of every page by its file name."""
    return {
        "commands.md": _page(_commands()),
        "settings.md": _page(_settings()),
        "settings.schema.json": _schema(),
        "errors.md": _page(_errors()),
        "python.md": _page(_python()),
    }


def _page(lines: Iterator[str]) -> str:
    return "\n".join([NOTE, "", *lines]).rstrip("\n") + "\n"


# --- commands -----------------------------------------------------------------------------------------------------


_PREFACE = """\
Only the result goes to standard output; progress, warnings and errors go to standard error.
The exit code is 0 for success; see [errors](errors.md) for the others.

Every command has these options:

* `--json` prints the result as a JSON document. A command that fails prints one with an `error` that has `kind`, `exit-code`, `message` and
  `hint`.
* `--quiet` shows only warnings and errors; `--verbose` also shows each request, each program that is started, and stages that took no time.

On a terminal, rows of the stages in progress are drawn again and again. In a pipe, with `CI` set, or with `TERM=dumb` there are only lines.
`NO_COLOR` turns colours off, and `COLUMNS` sets the width.

Your shell completes commands and options after one of these lines in its start file:

```sh
eval "$(_SHIPWHEEL_COMPLETE=bash_source shipwheel)"     # ~/.bashrc
eval "$(_SHIPWHEEL_COMPLETE=zsh_source shipwheel)"      # ~/.zshrc
_SHIPWHEEL_COMPLETE=fish_source shipwheel | source      # ~/.config/fish/config.fish
```
"""


def _commands() -> Iterator[str]:
    yield "# Commands"
    yield ""
    yield from _PREFACE.splitlines()
    for name in COMMANDS:
        yield from _command(name)


def _command(name: str) -> Iterator[str]:
    command = _command_named(name)
    context = click.Context(command, info_name=name, parent=click.Context(cli, info_name="shipwheel", **cli.context_settings))
    yield ""
    yield f"## shipwheel {name}"
    yield ""
    yield (command.help or "").strip()
    yield ""
    yield "```text"
    yield f"{context.command_path} {' '.join(command.collect_usage_pieces(context))}"
    yield "```"
    yield ""
    yield from ("```sh", *command.examples, "```")
    for group, parameters in command.groups(context).items():
        yield ""
        yield f"| {group} | |"
        yield "|---|---|"
        for record in filter(None, (parameter.get_help_record(context) for parameter in parameters)):
            flags, meaning = record
            yield f"| `{_cell(flags)}` | {_cell(meaning)} |"


def _command_named(name: str) -> Command:
    command = cli.get_command(click.Context(cli), name)
    if not isinstance(command, Command):
        raise LookupError(name)
    return command


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


# --- settings -----------------------------------------------------------------------------------------------------

_NAMES = {
    msgspec.inspect.StrType: "string",
    msgspec.inspect.BoolType: "boolean",
    msgspec.inspect.DateType: "date",
    msgspec.inspect.IntType: "number",
    msgspec.inspect.FloatType: "number",
}


class _Table(NamedTuple):
    """A table of settings with keys of its own."""

    key: str
    file: str
    kind: type[msgspec.Struct]
    title: str
    introduction: str


_TABLES = (
    _Table(
        "services",
        "settings/services.py",
        ServiceSettings,
        "Services",
        "The keys of `[tool.shipwheel.services.NAME]`: see [several services](../how-to/services.md).",
    ),
    _Table(
        "steps",
        "settings/build.py",
        StepSettings,
        "Steps",
        "The keys of `[[tool.shipwheel.steps]]`: see [steps](../how-to/steps.md).",
    ),
    _Table(
        "assets",
        "settings/build.py",
        AssetSettings,
        "Assets",
        "The keys of `[[tool.shipwheel.assets]]`: see [front ends](../how-to/assets.md).",
    ),
)


def _key(name: str) -> str:
    """Return the key of a field: `in_` has an underscore since `in` is a word of Python."""
    return name.rstrip("_").replace("_", "-")


def _table(table: _Table) -> Iterator[str]:
    yield from ("", f"## {table.title}", "", table.introduction, "", "| key | type | default | meaning |", "|---|---|---|---|")
    types = {field.name: field.type for field in _struct(table.kind).fields}
    for name, _, default, text in _fields(SOURCE / table.file, table.kind.__name__):
        yield f"| `{_key(name)}` | {_cell(_type(types[name]))} | {_default(default)} | {_cell(text)} |"


def _schema() -> str:
    structs = [("", "settings/settings.py", "Settings"), *((f"{table.key}.", table.file, table.kind.__name__) for table in _TABLES)]
    descriptions = {
        prefix + _key(name): " ".join(text.split())
        for prefix, file, struct in structs
        for name, _, _, text in _fields(SOURCE / file, struct)
    }
    return json.dumps(settings_schema(descriptions), indent=2, ensure_ascii=False) + "\n"


def _struct(kind: type[msgspec.Struct]) -> msgspec.inspect.StructType:
    found = msgspec.inspect.type_info(kind)
    assert isinstance(found, msgspec.inspect.StructType)  # noqa: S101 - what it returns for a Struct
    return found


def _type(kind: msgspec.inspect.Type, plural: str = "") -> str:
    """Return the words for a type, as a plural if `plural` is "s"."""
    match kind:
        case msgspec.inspect.UnionType(types):
            return " or ".join(_type(each, plural) for each in types if not isinstance(each, msgspec.inspect.NoneType))
        case msgspec.inspect.LiteralType(values):
            return " or ".join(f'"{value}"' for value in values)
        case msgspec.inspect.VarTupleType(item):
            return f"list{plural} of {_type(item, 's')}"
        case msgspec.inspect.DictType(_, value):
            return f"table{plural} of {_type(value, 's')}"
        case msgspec.inspect.StructType():
            return f"table{plural}"
    return _NAMES[type(kind)] + plural


def _settings() -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield "Settings are keys of `[tool.shipwheel]` in pyproject.toml, of a shipwheel.toml beside it (one of the two, not both), or of"
    yield "`[tool.shipwheel]` in a script's inline metadata. A flag overrides the setting of the same name; `env`, `labels` and"
    yield "`annotations` are merged key by key. An unknown key is an error."
    yield ""
    yield "[settings.schema.json](settings.schema.json) is a JSON schema of shipwheel.toml. Editors with Taplo or Tombi check and complete"
    yield "the file if its first line is `#:schema` and the path or URL of a copy."
    yield ""
    yield "| key | type | default | flag | meaning |"
    yield "|---|---|---|---|---|"
    flags = _flags()
    types = {field.name: field.type for field in _struct(Settings).fields}
    for name, _, default, text in _fields(SOURCE / "settings/settings.py", "Settings"):
        key = name.replace("_", "-")
        flag = f"`{flags[name]}`" if name in flags else ""
        yield f"| `{key}` | {_cell(_type(types[name]))} | {_default(default)} | {flag} | {_cell(text)} |"
    for table in _TABLES:
        yield from _table(table)
    yield ""
    yield "## Environment variables"
    yield ""
    yield "| variable | meaning |"
    yield "|---|---|"
    for variable, meaning in _VARIABLES.items():
        yield f"| `{variable}` | {meaning} |"


_VARIABLES = {
    "SHIPWHEEL_CACHE": "Directory of the store. Default: the user's cache directory.",
    "SHIPWHEEL_CACHE_LIMIT": "Size, such as 5GB, to which each build and rebase prunes the store when it ends. Default: no limit.",
    "SHIPWHEEL_SANDBOX": "The only sandbox to use for what is compiled, for steps and for front ends: bwrap, docker or podman. "
    "Default: the first of them that works here.",
    "SHIPWHEEL_DEBIAN_MIRROR": "URL of a Debian archive, or two: the archive and the security archive. `debian-mirror` overrides it.",
    "SHIPWHEEL_REGISTRY_HOST, SHIPWHEEL_REGISTRY_USER, SHIPWHEEL_REGISTRY_PASSWORD": "A registry (HOST or HOST:PORT) with user and "
    "password, for CI. They are sent to no other registry, and override the credentials in docker's and podman's files.",
    "DOCKER_AUTH_CONFIG": "Text of a docker config.json with credentials, for CI with several registries.",
    "REGISTRY_AUTH_FILE, DOCKER_CONFIG": "Path of podman's auth.json; directory of docker's config.json.",
    "SHIPWHEEL_PLAIN_HTTP": "Registries (HOST or HOST:PORT, separated by commas) to use over plain HTTP. Loopback addresses need no entry.",
    "SSL_CERT_FILE, SSL_CERT_DIR": "Certificate authorities to trust instead of the system's.",
    "SOURCE_DATE_EPOCH": "Time of files and images, in seconds since 1970. Default: 1980-01-02 for files, the day of the lock for images.",
    "UV_DEFAULT_INDEX, UV_INDEX, …": "uv's settings for package indexes; see uv's documentation.",
}


def _flags() -> dict[str, str]:
    """Return the flag that sets each setting."""
    options = [
        parameter for parameter in _command_named("build").params if isinstance(parameter, click.Option) and parameter.name is not None
    ]
    return {str(option.name): max(option.opts, key=len) for option in options}


def _fields(path: Path, class_name: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield (name, annotation, default, docstring) of each field of a class, read from its source."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name).body
    for number, node in enumerate(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            after = body[number + 1] if number + 1 < len(body) else None
            yield node.target.id, ast.unparse(node.annotation), ast.unparse(node.value) if node.value else "None", _docstring(after)


def _docstring(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return inspect.cleandoc(node.value.value)
    return ""


def _default(text: str) -> str:
    value: Any = ast.literal_eval(text)
    if value in (None, (), {}):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{', '.join(value) if isinstance(value, tuple) else value}`"


# --- errors -------------------------------------------------------------------------------------------------------


NEXT_STEPS = {
    1: "Correct the file or the disk that the message names, and run the command again.",
    2: "Correct the flag or setting that the message names. `--help` and [settings](settings.md) list what there is.",
    3: "Name what is missing, such as `command`, in the [settings](settings.md), or let `shipwheel init` find it.",
    4: "Take the versions that the hint suggests, or another Python (`--python`). `replace` puts one package in the place of another.",
    5: "Run the command again: it goes on where it was interrupted. If a server is slow or blocked, use a [mirror](../how-to/mirrors.md).",
    6: "Fetch the file again; if it stays so, do not use it, and tell those who made it.",
    7: "The message ends with the output of the step. For a package that does not compile, see [compiling](../how-to/compiling.md).",
    8: "Add what the message names to `packages` (Debian) or `dependencies` (Python), or leave out what imports it.",
    9: "Build or copy the image again, or tell those who made it.",
    10: "Free disk space, or let SHIPWHEEL_CACHE name a directory that you may write to; see [the cache](../how-to/cache.md).",
    11: "Start or install an engine, or name another one with `--engine`; see [running](../how-to/running.md).",
    12: "The findings name the cause. `shipwheel init` tries settings until it serves: see [init](../how-to/check-and-init.md).",
}
"""What to do after an error, by exit code, where its hint is not enough."""


def _errors() -> Iterator[str]:
    yield "# Errors"
    yield ""
    yield "An error is shown as a message and a hint with the next step. The exit code tells the kind."
    yield "Problems of one kind are collected and shown together."
    yield ""
    yield "| exit code | what to do, if the hint is not enough |"
    yield "|---|---|"
    for code in sorted({error.exit_code for _, error in _classes()}):
        yield f"| {code} | {NEXT_STEPS[code]} |"
    yield "| 128 and the signal's number, 130 after Ctrl-C | Run the same command again: it continues, and no partial files are left. |"
    yield ""
    yield "```text"
    tree = re.search(r"(?ms)^    ShipwheelError.*?(?=^\S)", errors.__doc__ or "")
    if tree is None:
        raise LookupError("the tree in the docstring of errors.py")
    yield inspect.cleandoc("\n" + tree[0])
    yield "```"
    yield ""
    yield "| error | exit code | meaning |"
    yield "|---|---|---|"
    for name, error in sorted(_classes(), key=lambda item: (item[1].exit_code, item[0])):
        yield f"| `{name}` | {error.exit_code} | {_cell((error.__doc__ or '').strip())} |"


def _classes() -> list[tuple[str, type[errors.ShipwheelError]]]:
    return [(name, found) for name in errors.__all__ if issubclass(found := getattr(errors, name), errors.ShipwheelError)]


# --- Python -------------------------------------------------------------------------------------------------------


def _python() -> Iterator[str]:
    yield "# The Python API"
    yield ""
    yield "What the command line does, a program can do. Import every name of this page from `shipwheel`. Functions print nothing; an error"
    yield "that a user can cause is a `ShipwheelError`. Names may change before version 1.0. The examples need a project in `shop`."
    modules = {name: module for module, names in shipwheel._MODULES.items() for name in names}
    for heading, (examples, names) in SECTIONS.items():
        yield from ("", f"## {heading}", "")
        for example in examples:
            yield from ("```python", (EXAMPLES / f"{example}.py").read_text(encoding="utf-8").rstrip("\n"), "```", "")
        for name in names:
            path = SOURCE / f"{modules[name].replace('.', '/')}.py"
            body = ast.parse(path.read_text(encoding="utf-8")).body
            place = next(place for place, node in enumerate(body) if _defines(node, name))
            yield from _member(body[place], _docstring(body[place + 1]) if place + 1 < len(body) else "")


def _defines(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    return isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name


def _member(node: ast.stmt, after: str) -> Iterator[str]:
    """Yield a section; `after` is the string behind an assignment, its docstring."""
    yield f"### {node.name if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else ast.unparse(node).partition(' ')[0]}"
    yield ""
    yield "```python"
    yield from _signature(node)
    yield "```"
    text = ast.get_docstring(node) or "" if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else after
    if text:
        yield from ("", text)
    yield ""


def _signature(node: ast.stmt) -> Iterator[str]:
    if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        yield ast.unparse(node)
        return
    if isinstance(node, ast.FunctionDef):
        yield _head(node)
        return
    bases = f"({', '.join(map(ast.unparse, node.bases))})" if node.bases else ""
    yield f"class {node.name}{bases}:"
    lines = [line for item in node.body for line in _inside(item)] if node.name not in OPAQUE else []
    yield from (f"    {line}" for line in lines or ["..."])


def _inside(item: ast.stmt) -> Iterator[str]:
    if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and not item.target.id.startswith("_"):
        yield ast.unparse(_unquoted(item))
    elif isinstance(item, ast.FunctionDef) and (not item.name.startswith("_") or item.name == "__init__"):
        yield from (f"@{ast.unparse(decorator)}" for decorator in item.decorator_list)
        yield _head(item)


def _head(node: ast.FunctionDef) -> str:
    bare = _unquoted(node)
    returns = f" -> {ast.unparse(bare.returns)}" if bare.returns is not None else ""
    return f"def {bare.name}({ast.unparse(bare.args)}){returns}: ..."


class _Unquote(ast.NodeTransformer):
    """Replace annotations that are strings by what they hold."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for name in ("annotation", "returns"):
            value = getattr(node, name, None)
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                setattr(node, name, ast.parse(value.value, mode="eval").body)
        return node


def _unquoted(node: T) -> T:
    found: T = _Unquote().visit(copy.deepcopy(node))
    return found


def main(arguments: list[str]) -> int:
    """Write the pages into a directory, or compare them with those in it; return the exit code."""
    check = "--check" in arguments
    names = [argument for argument in arguments if argument != "--check"]
    if len(names) != 1:
        print("usage: reference.py [--check] DIR", file=sys.stderr)  # noqa: T201 - a program of its own
        return 2
    folder, stale = Path(names[0]), []
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        path = folder / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text, encoding="utf-8")
    if check and stale:
        print(f"out of date: {', '.join(stale)}; run make docs", file=sys.stderr)  # noqa: T201
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
