"""Writes docs/reference from the code: `python scripts/reference.py DIR`; with --check, says which pages are not as the code is.

The pages are made of click's own commands, of the source of config.Settings, of the tree of errors, and of the docstrings of the
modules that can be used from Python.
"""

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from shipwheel import errors
from shipwheel.cli import COMMANDS, cli

__all__ = ["pages"]

SOURCE = Path(__file__).resolve().parent.parent / "src" / "shipwheel"
NOTE = "<!-- Made by `make docs` from the code: do not edit. -->"

NAMES = {
    "shipwheel.pipeline.deliver": ("build_and_deliver", "Delivered", "deliver"),
    "shipwheel.request": ("Request",),
    "shipwheel.pipeline.build": ("build", "resolved", "Built", "BuiltPlatform"),
    "shipwheel.pipeline.plan": ("make_plan", "BuildPlan", "PlatformPlan"),
    "shipwheel.settings": ("Settings", "load_settings"),
    "shipwheel.oci.validate.check": ("validate", "Report", "ImageReport"),
    "shipwheel.store": ("Store", "default_root"),
    "shipwheel.events": ("Event", "Reporter", "StageStarted", "Moved", "StageFinished", "Warned"),
}
"""Module -> what a program that builds images needs of it, in the order of the page."""


def pages() -> dict[str, str]:
    """File name -> text of every page."""
    return {
        "commands.md": _page(_commands()),
        "settings.md": _page(_settings()),
        "errors.md": _page(_errors()),
        "python.md": _page(_python()),
    }


def _page(lines: Iterator[str]) -> str:
    return "\n".join([NOTE, "", *lines]).rstrip("\n") + "\n"


# --- commands -----------------------------------------------------------------------------------------------------


def _commands() -> Iterator[str]:
    yield "# Commands"
    yield ""
    yield "Progress, warnings and errors go to standard error; the result alone goes to standard output."
    yield "Exit codes: 0 when all went well, else as in [errors.md](errors.md)."
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
    yield "| option | meaning |"
    yield "|---|---|"
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            flags, meaning = record
            yield f"| `{_cell(flags)}` | {_cell(meaning)} |"


def _command_named(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    if command is None:
        raise LookupError(name)
    return command


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


# --- settings -----------------------------------------------------------------------------------------------------

_TYPES = {
    "str": "text",
    "bool": "true or false",
    "datetime.date": "day",
    "tuple[str, ...]": "list of texts",
    "tuple[tuple[str, ...], ...]": "list of lists of texts",
    "dict[str, str]": "table of texts",
}


def _settings() -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield "Keys of `[tool.shipwheel]` in pyproject.toml, or of shipwheel.toml beside it (one of the two), or of `[tool.shipwheel]` in a"
    yield "script's inline metadata. A flag of the same name wins over the file; `env`, `labels` and `annotations` are joined key by key."
    yield "An unknown key is an error."
    yield ""
    yield "| key | type | default | flag | meaning |"
    yield "|---|---|---|---|---|"
    flags = _flags()
    for name, annotation, default, text in _fields(SOURCE / "settings.py", "Settings"):
        key = name.replace("_", "-")
        flag = f"`{flags[name]}`" if name in flags else ""
        yield f"| `{key}` | {_TYPES[annotation.removesuffix(' | None')]} | {_default(default)} | {flag} | {_cell(_prose(text))} |"
    yield ""
    yield "## Environment variables"
    yield ""
    yield "| variable | meaning |"
    yield "|---|---|"
    for variable, meaning in _VARIABLES.items():
        yield f"| `{variable}` | {meaning} |"


_VARIABLES = {
    "SHIPWHEEL_CACHE": "Where the store is; else the user's cache directory.",
    "SHIPWHEEL_DEBIAN_MIRROR": "Address of a Debian archive, or of it and the security archive. `debian-mirror` wins over it.",
    "SHIPWHEEL_REGISTRY_HOST, SHIPWHEEL_REGISTRY_USER, SHIPWHEEL_REGISTRY_PASSWORD": "A registry (host, or host:port) and the user and "
    "password for it: for CI. They are sent to no other registry, and count before what docker's and podman's files have.",
    "DOCKER_AUTH_CONFIG": "The text of a docker config.json with credentials, for CI with more than one registry.",
    "REGISTRY_AUTH_FILE, DOCKER_CONFIG": "Where podman's auth.json, and the directory where docker's config.json is.",
    "SHIPWHEEL_PLAIN_HTTP": "Registries (host, or host:port; with commas between them) that are asked over http. Loopback ones are anyway.",
    "SSL_CERT_FILE, SSL_CERT_DIR": "The certificate authorities that are trusted, instead of the system's.",
    "SOURCE_DATE_EPOCH": "The time, in seconds since 1970, that every file and image carries; else 315619200 (1980-01-02).",
    "UV_DEFAULT_INDEX, UV_INDEX, …": "uv's own settings say where distributions come from; see uv's documentation.",
}


def _flags() -> dict[str, str]:
    """Name of a setting -> the flag that sets it."""
    options = [
        parameter for parameter in _command_named("build").params if isinstance(parameter, click.Option) and parameter.name is not None
    ]
    return {str(option.name): max(option.opts, key=len) for option in options}


def _fields(path: Path, class_name: str) -> Iterator[tuple[str, str, str, str]]:
    """(name, annotation, default, docstring) of the fields of a class, as its source has them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name).body
    for place, node in enumerate(body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            after = body[place + 1] if place + 1 < len(body) else None
            yield node.target.id, ast.unparse(node.annotation), ast.unparse(node.value), _docstring(after)


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


def _prose(text: str) -> str:
    return text.replace("`{site-packages}`; see `expand_env`", "`{site-packages}`, which stands for the image's own directory of that name")


# --- errors -------------------------------------------------------------------------------------------------------


def _errors() -> Iterator[str]:
    yield "# Errors"
    yield ""
    yield "Every error is shown as a message and, where there is one, a hint: the next step. The exit code tells the kind."
    yield "All problems of a kind are collected and shown at once."
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
    yield "| interrupted | 128 and the signal's number, 130 after Ctrl-C | Nothing is half-written; the same command goes on from there. |"


def _classes() -> list[tuple[str, type[errors.ShipwheelError]]]:
    return [(name, found) for name in errors.__all__ if issubclass(found := getattr(errors, name), errors.ShipwheelError)]


# --- Python -------------------------------------------------------------------------------------------------------


def _python() -> Iterator[str]:
    yield "# From Python"
    yield ""
    yield "What the command line does can be done from a program. Nothing but the command line prints; every error is a `ShipwheelError`."
    yield "Until version 1.0 these names may change."
    for module, names in NAMES.items():
        yield ""
        yield f"## {module}"
        yield ""
        found = importlib.import_module(module)
        yield (inspect.getdoc(found) or "").strip()
        tree = ast.parse(Path(str(found.__file__)).read_text(encoding="utf-8"))
        for name in names:
            yield from _member(next(node for node in tree.body if _defines(node, name)))


def _defines(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    return isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name


def _member(node: ast.stmt) -> Iterator[str]:
    yield ""
    yield f"### {node.name if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else ast.unparse(node).partition(' ')[0]}"
    yield ""
    yield "```python"
    yield from _signature(node)
    yield "```"
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        yield ""
        yield ast.get_docstring(node) or ""


def _signature(node: ast.stmt) -> Iterator[str]:
    if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        yield ast.unparse(node)
        return
    if isinstance(node, ast.FunctionDef):
        yield _head(node)
        return
    bases = f"({', '.join(map(ast.unparse, node.bases))})" if node.bases else ""
    yield f"class {node.name}{bases}:"
    lines = [line for item in node.body for line in _inside(item)]
    yield from (f"    {line}" for line in lines or ["..."])


def _inside(item: ast.stmt) -> Iterator[str]:
    if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and not item.target.id.startswith("_"):
        yield ast.unparse(item)
    elif isinstance(item, ast.FunctionDef) and (not item.name.startswith("_") or item.name == "__init__"):
        yield from (f"@{ast.unparse(decorator)}" for decorator in item.decorator_list)
        yield _head(item)


def _head(node: ast.FunctionDef) -> str:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    return f"def {node.name}({ast.unparse(node.args)}){returns}: ..."


def main(arguments: list[str]) -> int:
    """Writes the pages into a directory, or compares them with what is there."""
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
        print(f"not as the code is: {', '.join(stale)}; run make docs", file=sys.stderr)  # noqa: T201
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
