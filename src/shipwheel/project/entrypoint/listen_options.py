"""Command-line options of a source file that say where its server listens, with their defaults: click, typer, argparse, tornado, absl."""

import ast
from collections.abc import Iterator

import msgspec

from shipwheel.project.entrypoint.listening import LOOPBACK
from shipwheel.project.entrypoint.syntax import SourceFile, called_name, full_name, keyword_value, walk
from shipwheel.signs.companions import is_companion_port

__all__ = ["ListenOptions", "find_listen_options"]

_HOSTS = frozenset("host bind address listen hostname ip bind-host bind-address server-host listen-address interface addr".split())  # noqa: SIM905
_PORTS = frozenset({"port", "bind-port", "server-port", "listen-port", "http-port"})

_Function = ast.FunctionDef | ast.AsyncFunctionDef


class ListenOptions(msgspec.Struct, frozen=True):
    """The option that sets the address, of a program that listens on the loopback interface without it."""

    option: str
    """For example "--host"."""
    default: str
    subcommand: str | None = ""
    """The subcommand that has the option; empty if there is none, None if that is not known."""
    port: str = ""
    """The default of the option for the port; empty if there is none."""


class _Option(msgspec.Struct, frozen=True):
    name: str
    """Without dashes."""
    option: str
    """The option as users write it."""
    default: object
    owner: str | None
    """The subcommand, as in `ListenOptions`."""


def find_listen_options(source: SourceFile) -> tuple[ListenOptions, ...]:
    """Return the options of a file whose default is the loopback interface, one for each subcommand.

    A default port such as Redis's is that of a server which the program is a client of, and so is the host beside it.
    """
    options = [*_of_functions(source), *_of_parsers(source), *_of_definitions(source)]
    ports = {option.owner: str(option.default) for option in options if option.name in _PORTS and _is_port(option.default)}
    hosts = {option.owner: option for option in reversed(options) if option.name in _HOSTS and option.default in LOOPBACK}
    return tuple(
        ListenOptions(option.option, str(option.default), owner, port)
        for owner, option in hosts.items()
        if not is_companion_port(port := ports.get(owner, ""))
    )


def _is_port(value: object) -> bool:
    return (isinstance(value, int) and 0 < value < 1 << 16) or (isinstance(value, str) and value.isascii() and value.isdecimal())


def _constant(node: ast.expr | None) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def _texts(call: ast.Call) -> list[str]:
    return [value for argument in call.args if isinstance(value := _constant(argument), str)]


def _named(texts: list[str]) -> tuple[str, str] | None:
    """Return (name, option) of the first long option."""
    option = next((text for text in texts if text.startswith("--")), None)
    return (option[2:].replace("_", "-"), option) if option is not None else None


def _of_functions(source: SourceFile) -> Iterator[_Option]:
    """Yield the options of functions that click or typer makes commands of."""
    functions = source.of(ast.FunctionDef, ast.AsyncFunctionDef)
    commands = [node for node in functions if any(_makes_command(decorator, source) for decorator in node.decorator_list)]
    typer = any(name.partition(".")[0] == "typer" for name in source.aliases.values())
    for function in commands:
        owner = "" if typer and len(commands) == 1 else _subcommand(function, source)
        for decorator in function.decorator_list:
            if isinstance(decorator, ast.Call) and called_name(decorator) == "option" and (named := _named(_texts(decorator))):
                yield _Option(*named, _constant(keyword_value(decorator, "default")), owner)
        if typer:
            yield from _of_parameters(function, owner)


def _makes_command(decorator: ast.expr, source: SourceFile) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return full_name(called, source.aliases).rpartition(".")[2] in ("command", "group", "callback")


def _subcommand(function: _Function, source: SourceFile) -> str:
    """Return the name of the subcommand that a function is; empty for a program's only command."""
    for decorator in function.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        owner, _, name = full_name(called, source.aliases).rpartition(".")
        if name == "command" and owner not in ("", "click", "typer", "rich_click", "asyncclick"):
            texts = _texts(decorator) if isinstance(decorator, ast.Call) else []
            return texts[0] if texts else function.name.replace("_", "-")
    return ""


def _of_parameters(function: _Function, owner: str) -> Iterator[_Option]:
    """Yield the options that typer makes of a function's parameters."""
    arguments = [*function.args.posonlyargs, *function.args.args]
    defaults = [None] * (len(arguments) - len(function.args.defaults)) + [*function.args.defaults]
    keywords = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    for argument, default in (*zip(arguments, defaults, strict=True), *keywords):
        calls = [node for node in (default, *walk(argument.annotation or ast.Constant(None))) if isinstance(node, ast.Call)]
        call = next((node for node in calls if called_name(node) == "Option"), None)
        value = _constant(default) if default is not call else _constant(call.args[0]) if call is not None and call.args else None
        name = argument.arg.replace("_", "-")
        named = _named(_texts(call)) if call is not None else None
        yield _Option(*(named or (name, f"--{name}")), value, owner)


def _of_parsers(source: SourceFile) -> Iterator[_Option]:
    """Yield the options of argparse's parsers."""
    owners = dict(_parsers(source))
    has_subparsers = any(called_name(node) == "add_parser" for node in source.of(ast.Call))
    for node in source.of(ast.Call):
        if called_name(node) == "add_argument" and (named := _named(_texts(node))):
            receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
            variable = receiver.id if isinstance(receiver, ast.Name) else ""
            yield _Option(*named, _constant(keyword_value(node, "default")), owners.get(variable, None if has_subparsers else ""))


def _parsers(source: SourceFile) -> Iterator[tuple[str, str]]:
    """Yield (variable, subcommand) of parsers; the main parser's subcommand is empty."""
    for node in source.of(ast.Assign):
        if isinstance(node.value, ast.Call) and isinstance(node.targets[0], ast.Name):
            name = called_name(node.value)
            if name == "add_parser" and (texts := _texts(node.value)):
                yield node.targets[0].id, texts[0]
            elif name == "ArgumentParser":
                yield node.targets[0].id, ""


def _of_definitions(source: SourceFile) -> Iterator[_Option]:
    """Yield the options that tornado's `define` and absl's `DEFINE_string` and `DEFINE_integer` make."""
    for node in source.of(ast.Call):
        if called_name(node) not in ("define", "DEFINE_string", "DEFINE_integer"):
            continue
        texts = _texts(node)
        default = keyword_value(node, "default") or (node.args[1] if len(node.args) > 1 else None)
        if texts:
            yield _Option(texts[0].replace("_", "-"), f"--{texts[0]}", _constant(default), "")
