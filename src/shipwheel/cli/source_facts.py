"""Facts of a project's source for a trial of its image."""

import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from shipwheel.errors import ProjectError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.user.example_files import find_examples, ignored_files

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from shipwheel.pipeline.build import Built
    from shipwheel.project.entrypoint.module import Module
    from shipwheel.project.project import Project
    from shipwheel.trial.source_facts import HostRule, SourceFacts

__all__ = ["source_facts"]

_WITHOUT_CONTENT = frozenset({"mkdir", "chown", "chmod", "rm", "touch", "ln"})

_READ_VARIABLE = lazy_pattern(
    r"^[ \t]*(?:\w+\.)*(?:(?P<name>\w+)[ \t]*(?::[^=\n]+)?|\w+\[[\"'](?P<key>\w+)[\"']\][ \t]*)="
    r"[ \t]*(?:str\()?(?:os\.)?(?:getenv|environ\.get)\("
    r"[ \t]*[\"'](?P<variable>[A-Za-z_]\w*)[\"'][ \t]*"
    r"(?:,[ \t]*(?:\"\"|''|None|(?:os\.)?(?:getenv|environ\.get)\([\"']\w+[\"'](?:,[ \t]*(?:\"\"|''|None))?\))[ \t]*)?"
    r"\)\)?[ \t]*(?:#.*)?$",
    re.MULTILINE | re.ASCII,
)
_ADDRESS_OF_DATABASE = lazy_pattern(r"\bdj_database_url\.config\((?P<arguments>[^()]*)\)")
_COMPOSED = lazy_pattern(
    r"^[ \t]*(?:\w+\.)*(?P<name>\w+)[ \t]*(?::[^=\n]+)?=[ \t]*(?P<text>[rf]{1,2}[\"'][^\n]*|\((?:\s*[rf]{0,2}[\"'][^\n]*)+)",
    re.MULTILINE | re.ASCII | re.IGNORECASE,
)
"""A name that is given a text with values of others, in one line or in several in parentheses."""
_PART = lazy_pattern(
    r"\{(?:\w+\.)*(?P<name>\w+)\}|\{(?:os\.)?(?:getenv\(|environ\.get\(|environ\[)[\"'](?P<variable>[A-Za-z_]\w*)[\"'][)\]]\}", re.ASCII
)
_SKIPPING = lazy_pattern(r"\b(?:Raw|Safe)?ConfigParser\(|\bdotenv_values\(")
"""Readers of files that pass over one which is not there."""
_SKIPPED = lazy_pattern(r"[\"']((?:[\w.-]+/)*[\w.-]*\w\.(?:ini|cfg|conf)|(?:[\w.-]+/)*\.env)[\"']")
_TLS = lazy_pattern(r"certfile|ssl_context|SSLContext")
_MAX_SOURCE = 1 << 20
_MCP = frozenset({"mcp", "fastmcp"})
"""Python packages of servers that speak over their standard input unless they are told otherwise."""
_DEVELOPMENT = lazy_pattern(r"(^|[/._-])(tests?|dev|development|local|ci)([/._-]|$)")


def source_facts(built: "Built") -> "SourceFacts":
    """Return the facts of a project that was built, from the modules that were read to find its command, and from its wheel."""
    from shipwheel.cli.declared_pages import declared_pages
    from shipwheel.cli.fixed_addresses import default_addresses, fixed_addresses
    from shipwheel.cli.refusals import find_refusals
    from shipwheel.project.entrypoint.config_addresses import find_config_addresses
    from shipwheel.trial.source_facts import SourceFacts

    project = built.resolution.project
    modules = project.scanner.scan_modules() if project.scanner is not None else ()
    production = [module for module in modules if not _DEVELOPMENT.search(module.file)]
    binds = tuple((f"{module.file}, line {module.bind_line}", module.bind) for module in production if module.bind)
    binds += find_config_addresses(project.root, project.files) if not project.only else ()
    files = project.scanner.scan_deployment().built if project.scanner is not None else ()
    deployed = project.scanner.scan_deployment().settings if project.scanner is not None else ()
    ours = {assets.to or assets.output for assets in project.assets}
    unmade = tuple((it.path, it.instruction, it.place) for it in files if not (it.is_there or it.is_made or it.path in ours))
    unpackaged = tuple(file for wheel in built.wheels for file in wheel.unpackaged)
    prefixes = tuple(prefix for module in production for prefix in module.prefixes)
    hosts = tuple(rule for module in production for rule in _rules(module))
    texts = [(module.file, _text(project, module)) for module in production]
    variables = tuple(found for file, text in texts for found in _variables(file, text))
    variables += tuple(found for file, text in texts for found in _composed(file, text, variables))
    return SourceFacts(
        hosts=hosts,
        addresses=binds,
        unmade=unmade,
        unpackaged=unpackaged,
        prefixes=prefixes,
        serving=_serving(project),
        examples=tuple(find_examples(project.root)),
        made=tuple(_made(project)),
        variables=variables,
        modules=tuple(_modules(project, production)),
        guess=_guess(project),
        companions=project.scanner.scan_deployment().companions if project.scanner is not None else (),
        dialogue=_dialogue(project, production),
        beside=_beside(project),
        refusals=tuple(found for file, text in texts for found in find_refusals(file, text)),
        packaged=project.packaged,
        packages=frozenset(name for module in modules if (name := module.name.rpartition(".")[0])),
        ignored=ignored_files(project.root),
        withheld=tuple((name, each.place) for each in deployed for name in each.withheld if name not in project.settings.env),
        pages=declared_pages([text for _, text in texts]),
        passed_over=tuple(found for file, text in texts for found in _passed_over(project.root, file, text)),
        installed=frozenset(item.name for platform in built.platforms[:1] for item in platform.resolved.selection.distributions),
        http_server=_http_server(project, (text for _, text in texts)),
        fixed=tuple(found for file, text in texts for found in fixed_addresses(file, text)),
        defaults=tuple(found for file, text in texts for found in default_addresses(file, text)),
    )


def _http_server(project: "Project", texts: "Iterable[str]") -> str:
    """Return the program of the command if that speaks HTTP, and nothing says that it does so over TLS; else empty."""
    from shipwheel.project.entrypoint.servers import PROGRAM_PACKAGES

    words = project.launch.source_command if project.launch is not None else ()
    program = posixpath.basename(words[0]) if words else ""
    over_tls = any(_TLS.search(text) for text in (*words, *texts))
    return program if program in PROGRAM_PACKAGES and not over_tls else ""


def _beside(project: "Project") -> frozenset[str]:
    """Return the paths of a project whose wheel alone is in the image."""
    from shipwheel.files.entry import directories_above
    from shipwheel.project.app_tree import list_app

    if project.kind != "package" or project.launch is None or project.launch.needs_source:
        return frozenset()
    try:
        files = [file.path for file in list_app(project.root, exclude=project.settings.exclude).files]
    except ProjectError:
        # Such a directory is no image's source.
        return frozenset()
    return frozenset({*files, *directories_above(files)})


def _dialogue(project: "Project", modules: "Sequence[Module]") -> str:
    """Return what a project is that requires the protocol's package, unless its code only calls the servers of others."""
    from shipwheel.project.entrypoint.protocol_servers import SERVERS

    names = (name for module in modules for name in (*module.calls, *(name for name, _ in module.required)))
    used = [name for name in names if name.partition(".")[0] in _MCP]
    is_client = bool(used) and not any(name.startswith(SERVERS) for name in used)
    return "" if is_client or project.dependencies.isdisjoint(_MCP) else "a server of the Model Context Protocol"


def _text(project: "Project", module: "Module") -> str:
    """Return the text of a source file; empty if it can no longer be read."""
    try:
        return project.files.read_start(project.root / module.file, _MAX_SOURCE).decode("utf-8", "replace").replace("\r\n", "\n")
    except OSError:
        return ""


def _variables(file: str, text: str) -> "Iterator[tuple[str, str, str]]":
    """Yield (name, variable, place) of what a file assigns from the environment, without a default or with an empty one."""
    for match in _READ_VARIABLE.finditer(text):
        yield match["name"] or match["key"], match["variable"], f"{file}, line {text.count(chr(10), 0, match.start()) + 1}"
    for match in _ADDRESS_OF_DATABASE.finditer(text):
        if "default" not in match["arguments"]:
            named = re.search(r"env\s*=\s*[\"'](\w+)[\"']", match["arguments"])
            place = f"{file}, line {text.count(chr(10), 0, match.start()) + 1}"
            yield "DATABASES", named[1] if named is not None else "DATABASE_URL", place


def _composed(file: str, text: str, variables: "Sequence[tuple[str, str, str]]") -> "Iterator[tuple[str, str, str]]":
    """Yield (name, variable, place of the variable) of the texts that a file composes from values of the environment, such as a URL.

    A name in small letters means what the same file gives it.
    """
    known = {name: (variable, place) for name, variable, place in variables if name.isupper() or place.startswith(f"{file}, ")}
    for match in _COMPOSED.finditer(text):
        here = f"{file}, line {text.count(chr(10), 0, match.start()) + 1}"
        for part in _PART.finditer(match["text"]):
            found = (part["variable"], here) if part["variable"] else known.get(part["name"])
            if found is not None:
                yield match["name"], *found


def _passed_over(root: "Path", file: str, text: str) -> "Iterator[tuple[str, str]]":
    """Yield (path, place) of the files that a source file reads if they are there, and the project has not."""
    for match in _SKIPPED.finditer(text) if _SKIPPING.search(text) is not None else ():
        path = posixpath.normpath(match[1])
        if not any((root / folder / path).exists() for folder in ("", posixpath.dirname(file))):
            yield path, f"{file}, line {text.count(chr(10), 0, match.start()) + 1}"


def _modules(project: "Project", modules: "Sequence[Module]") -> "Iterator[tuple[str, str]]":
    """Yield the names of packages and files of the project that may not be on the import path, with their directory in the image.

    Shallow ones come first. An app's own directory is on the path, unless its command starts in one below; that of a package is beside its
    wheel, if it is in the image at all, and the wheel may lack what its metadata names.
    """
    from shipwheel.known_packages import PACKAGE_OF_MODULE

    is_app = project.kind == "app"
    if not is_app and (project.launch is None or not project.launch.needs_source):
        return
    starts_below = project.launch is not None and bool(project.launch.directory)
    for module in sorted(modules, key=lambda module: module.file.count("/")):
        folder, _, file = module.file.rpartition("/")
        is_package = bool(folder) and file == "__init__.py"
        above = folder.rpartition("/")[0] if is_package else folder
        name = folder.rpartition("/")[2] if is_package else file.removesuffix(".py")
        is_missed = above or starts_below if is_app else module.top_level not in project.packaged or name == module.top_level
        if is_missed and name not in PACKAGE_OF_MODULE:
            yield name, posixpath.join(project.settings.workdir, above).rstrip("/")
    if is_app and starts_below:
        tops = sorted({module.file.partition("/")[0] for module in modules if "/" in module.file})
        yield from ((top, project.settings.workdir) for top in tops if top not in PACKAGE_OF_MODULE)


def _made(project: "Project") -> "Iterator[tuple[str, str]]":
    """Yield the commands that the Dockerfile runs while its image is built."""
    dockerfile = project.scanner.scan_deployment().dockerfile if project.scanner is not None else None
    steps = {step.run[2:3] for step in project.steps}
    for command in dockerfile.stage.runs if dockerfile is not None else ():
        is_unknown = command.doubt or "\0" in "".join(command.words)
        if not is_unknown and command.words[0] not in _WITHOUT_CONTENT and command.words[2:3] not in steps:
            yield " ".join(command.words), command.place


def _serving(project: "Project") -> str:
    """Return why a project is a server although its command is a command-line program; empty if nothing says so."""
    launch = project.launch
    if launch is None or not launch.is_program or launch.ports:
        return ""
    if launch.application:
        return f"the project has a web application, which `{' '.join(launch.application)}` would serve"
    deployment = project.scanner.scan_deployment() if project.scanner is not None else None
    exposing = next((each for each in deployment.settings if each.ports), None) if deployment is not None else None
    return f"{exposing.place} exposes port {exposing.ports[0]}" if exposing is not None else ""


def _guess(project: "Project") -> str:
    launch, settings = project.launch, project.settings
    named = settings.command or settings.entrypoint or settings.processes
    return "" if launch is None or named or launch.declared_at or launch.is_program or launch.command[0] != "python" else launch.reason


def _rules(module: "Module") -> "Iterator[HostRule]":
    from shipwheel.trial.source_facts import HostRule

    for found in module.allowed_hosts:
        yield HostRule(f"{module.file}, line {found.line}", found.name, found.hosts, found.variables, found.is_json)
