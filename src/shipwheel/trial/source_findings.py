"""Additions of the project's source to the findings of a trial: where a missing file or module is, which variable was not set. Pure."""

import posixpath
import re
from collections.abc import Container, Iterator, Mapping

import msgspec

from shipwheel.container.venv import VENV
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.signs.outgrown import is_outgrown, own_absent_name, python_2_place, unreadable_place
from shipwheel.signs.output import Sign, SignKind, plain_lines
from shipwheel.signs.tracebacks import error_line, is_of_others, last_traceback
from shipwheel.trial.finding import Finding, FindingKind, Setting
from shipwheel.trial.observation import Observation
from shipwheel.trial.source_facts import SourceFacts
from shipwheel.user.example_files import example_of_module, ignored_file_of_module

__all__ = [
    "asks_for_input",
    "at_end_of_input",
    "for_production",
    "is_beside_packages",
    "looked_for",
    "prefixed",
    "unmade",
    "unset_variables",
    "with_origin",
]

_FRAME = lazy_pattern(r'  File "(?P<path>[^"]+)", line \d+')
_READ = lazy_pattern(r"(?:getenv|environ\.get)\([\"'](?P<variable>[A-Za-z_]\w*)[\"'](?:, ?(?:\"\"|''|None))?\)(?! +or\b)", re.ASCII)
_ASKED = lazy_pattern(r"\b(?i:(?:(?!env)\w)*+env\w*+)\((?:(?:\w+ ?= ?)?[\"'](?P<variable>[A-Z][A-Z0-9_]*)[\"']|$)", re.ASCII)
"""A call of the project's own function for variables: get_env_var(key="SECRET_KEY"), or its first line."""
_OF_ENVIRONMENT = lazy_pattern(r"(?:\w+_)?(?:ENV|ENVIRONMENT|STAGE)")
"""Names of variables that say where a program runs: FLASK_ENV, ENVIRONMENT."""
_PRODUCTION = lazy_pattern(r"[`'\"‘“](production|prod)[`'\"’”]")
_NAME = lazy_pattern(r"[A-Za-z_]\w*", re.ASCII)
_NOT_OF_VARIABLES = lazy_pattern(r"(?:SyntaxError|IndentationError|TabError|NameError): |OSError: \[Errno \d+\] ")
"""The start of an error that no environment variable takes away: of the source itself, or one in which the kernel says why."""
_LACKS_KEY = lazy_pattern(r"(?:configparser\.)?(?:NoSectionError|NoOptionError): |KeyError: ")
_NO_METADATA = lazy_pattern(r"(?:importlib[._]metadata\.)?PackageNotFoundError: (?:No package metadata was found for )?([\w.-]+)$")
_NONE = lazy_pattern(r"(?P<port>int\(\) with base 10: 'None')|(?P<host>(?:://|@)None\b)|(?P<token>/botNone/|Bearer None\b)")
_ROLES = {"port": {"PORT"}, "host": {"HOST", "HOSTNAME", "SERVER", "ADDRESS", "URL"}, "token": {"TOKEN", "KEY"}}
"""Words in the names of variables, by what a text has as None."""
_HERE = frozenset({"localhost", "127.0.0.1"})
_NO_APPLICATION = lazy_pattern(
    r"Attribute \"(?P<name>[\w.]+)\" not found in module \"(?P<module>[\w.]+)\""
    r"|Failed to find attribute '(?P<attribute>\w+)' in '(?P<of>[\w.]+)'"
)
"""The words of uvicorn and gunicorn about a module without the application that their command names."""
_MAX_NAMES = 6
_LAST_LINES = 8
"""Lines at the end of a log in which a program says why it ends."""
_FLASK_SQLALCHEMY = "SQLALCHEMY_DATABASE_URI"
_OF_DATABASE = lazy_pattern(r"(?:DB|DATABASE|SQL|POSTGRES|POSTGRESQL|PG|MYSQL|MARIADB)_?(?:URL|URI|DSN)(?:_|$)", re.ASCII)
_OF_HOST = lazy_pattern(r"(?:HOST|HOSTNAME|SERVER|ADDRESS|URL|URI|DSN)(?:_|$)", re.ASCII)
_OF_DATABASE_HOST = lazy_pattern(r"(?:DB|DATABASE|SQL|POSTGRES|POSTGRESQL|PG|MYSQL|MARIADB)_?(?:HOST|SERVER|ADDRESS|URL|URI|DSN)", re.ASCII)


def prefixed(sign: Sign, source: SourceFacts) -> Sign:
    """Return the sign of a settings field, or of a setting that the code reads from a variable, with the full name of that variable."""
    prefix = next((prefix for name, prefix in source.prefixes if name == sign.model), "") if sign.model else ""
    subject = f"{prefix.upper()}{sign.subject}"
    if sign.kind is SignKind.VARIABLE and all(variable != subject for _, variable, _ in source.variables):
        subject = next((variable for name, variable, _ in source.variables if name == subject), subject)
        if subject == _FLASK_SQLALCHEMY and len(addresses := {name for _, name, _ in source.variables if _OF_DATABASE.search(name)}) == 1:
            # It is a key of the app's configuration, which the code sets elsewhere.
            subject = addresses.pop()
    return msgspec.structs.replace(sign, subject=subject)


def with_origin(finding: Finding, source: SourceFacts, log: str, environment: Mapping[str, str]) -> Finding:
    """Return the finding with what the project has of a missing file or module, and the setting that brings it; or of an address."""
    if finding.kind is FindingKind.COMPANION:
        return _with_place(finding, source, environment)
    if finding.kind is FindingKind.MODULE:
        return _in_folder(finding, source, log)
    return _with_file(finding, source) if finding.kind is FindingKind.FILE else finding


def _with_place(finding: Finding, source: SourceFacts, environment: Mapping[str, str]) -> Finding:
    """Return the finding of a server that does not answer with the line that has its address, if nothing configures that."""
    host, _, port = finding.subject.rpartition(":")
    same = _HERE if host in _HERE else {host}
    place = next((place for name, number, place in source.fixed if name in same and number in ("", port)), "")
    hint = f"Start that server. Its address is in the code ({place}): let that come from the environment."
    if place:
        return msgspec.structs.replace(finding, hint=hint)
    read = next(((name, place) for name, at, number, place in source.defaults if at in same and number == port), None)
    hint = f"{finding.hint} {read[0]} holds its address ({read[1]}): -e {read[0]}=…" if read is not None else finding.hint
    return msgspec.structs.replace(finding, hint=hint + (_host_of_database(finding, source, environment) if host.startswith("/") else ""))


def _host_of_database(finding: Finding, source: SourceFacts, environment: Mapping[str, str]) -> str:
    """Return a sentence about the variable with the host of a database that a client looks for at a socket, as it does without a host."""
    named = ((name, place) for of, name, place in source.variables if of == "DATABASES" or _OF_DATABASE_HOST.search(name))
    if (found := next(((name, place) for name, place in named if _OF_HOST.search(name) and not environment.get(name)), None)) is not None:
        return f" It was given no host: {found[0]}, which {found[1]} reads without a default, is not set: -e {found[0]}=…"
    takes_one = ".s.PGSQL." in finding.evidence and not environment.get("PGHOST")
    return " It was given no host, and its client takes one from PGHOST: -e PGHOST=…" if takes_one else ""


def _in_folder(finding: Finding, source: SourceFacts, log: str) -> Finding:
    """Return the finding of a module that the project has in a directory which is not on the import path, or as an example.

    Of several directories, the one of the file that imports it is meant.
    """
    top = finding.subject.partition(".")[0]
    *above, last = finding.subject.split(".")
    # Of a package that is there, a directory of the path would have no more.
    folders = [folder for name, folder in source.modules if name == top and (top == finding.subject or top not in source.packaged)]
    folders = [folder for folder in folders if (last, posixpath.join(folder, *above)) in source.modules]
    importing = [posixpath.dirname(frame["path"]) for frame in map(_FRAME.match, plain_lines(log)) if frame is not None][-1:]
    folder = next((each for each in (*importing, *folders) if each in folders), "")
    path = finding.subject.replace(".", "/")
    has_file = not source.beside.isdisjoint((f"{top}.py", f"{top}/__init__.py"))
    if not folder and (has_file or not {f"{path}.py", f"{path}/__init__.py"}.isdisjoint(source.unpackaged)):
        message = f"the Python module {finding.subject} is missing: the project has it, and the image has its wheel alone"
        hint = 'Set install = "source", which takes the directory as it is, or name it in the metadata.'
        return msgspec.structs.replace(finding, message=message, hint=hint, setting=Setting("install", "source"))
    if not folder:
        return _unmade_module(finding, source)
    message = f"the Python module {finding.subject} is missing: the project has {top} in {folder}, which is not on the import path"
    setting = Setting("env", {"PYTHONPATH": folder})
    hint = f'Set env = {{PYTHONPATH = "{folder}"}}; or build that directory if it is a project of its own, or require it as a package.'
    return msgspec.structs.replace(finding, message=message, hint=hint, setting=setting)


def _unmade_module(finding: Finding, source: SourceFacts) -> Finding:
    """Return the finding of a module that a person makes: from an example, as a file that git ignores, or else in the project's package."""
    example = example_of_module(finding.subject, source.examples)
    package = finding.subject.rpartition(".")[0]
    is_own = not package or package in source.packages
    # A name such as config.py stands for a file in every directory of the project, and for none of an installed package.
    ignored = ignored_file_of_module(finding.subject, source.ignored) if is_own else ""
    if not (example or ignored or (package and is_own)):
        return finding
    made = f" from {example}" if example else ""
    why = f".gitignore names {ignored}, so each machine has its own" if ignored else f"the project has {package}, and no such file in it"
    message = f"the Python module {finding.subject} is missing" + ("" if example else f": {why}")
    hint = f"Make it{made} before the build. It is part of the image: let it read secrets from the environment."
    return msgspec.structs.replace(finding, kind=FindingKind.NOT_MADE, message=message, hint=hint)


def is_beside_packages(path: str) -> bool:
    """Return whether a path is that of something beside the installed packages, where only code looks that expects its source's layout."""
    folder, _, below = path.removeprefix(f"/{VENV}/lib/").partition("/")
    return path.startswith(f"/{VENV}/lib/") and bool(folder and below) and not below.startswith("site-packages")


def _with_file(finding: Finding, source: SourceFacts) -> Finding:
    """Return the finding with the setting that brings a missing file, if the project's packages have it, or the example of it."""
    inside = finding.subject.rpartition("/site-packages/")[2].lstrip("/")
    file = next((path for path in source.unpackaged if f"/{path}".endswith(f"/{inside}")), None)
    is_there = posixpath.normpath(finding.subject) in source.beside
    if file is None and (is_there or (source.beside and is_beside_packages(finding.subject))):
        where = "it is in the project" if is_there else "a module looks for it beside the installed packages"
        message = f"the file {finding.subject} is missing: {where}, and the image has the project's wheel alone"
        hint = 'Set install = "source", which takes the directory as it is; or let the code find the file from its own `__file__`.'
        return msgspec.structs.replace(finding, message=message, hint=hint, setting=Setting("install", "source"))
    if file is None:
        example = next((example for path, example in source.examples if f"/{finding.subject}".endswith(f"/{path}")), "")
        hint = f"Make it from {example}, and mount it at this path, or put it into the project before the build if it holds no secret."
        if posixpath.basename(finding.subject).startswith(".env"):
            hint = f"Make it from {example}, and mount it at this path where the container runs: such a file is left out of images."
        line, place = next(((line, place) for line, place in source.made if finding.subject in line.split()), ("", ""))
        if line:
            hint = (
                f"{place} makes it with `{line}`, and no RUN instruction is run here: make it before the build and name it in `copy`,"
                " or let a step of `before-start` make it in a directory that `state` names."
            )
        elif not example and any(f"/{finding.subject}".endswith(f"/{path}") for path in source.ignored):
            hint = ".gitignore names it, since each machine has its own: make it, and mount it at this path where the container runs."
            return msgspec.structs.replace(finding, hint=hint)
        return msgspec.structs.replace(finding, hint=hint) if example or line else finding
    message = f"the file {finding.subject} is missing: the project has {file}, and its wheel lacks it"
    hint = 'Declare it as package data, or set install = "source", which takes the directory as it is.'
    return msgspec.structs.replace(finding, message=message, hint=hint, setting=Setting("install", "source"))


def unmade(source: SourceFacts, log: str, *, blocks: bool) -> Iterator[Finding]:
    """Yield what was to be made before the build: the cause of a failure if the log names it."""
    for path, instruction, place in source.unmade:
        message = f"{path} is not in the project, so the image lacks it"
        hint = f"Make it, and build again: {instruction}" if instruction else "Make it before the build."
        yield Finding(FindingKind.NOT_MADE, message, hint, path, place, blocks=blocks and path in log)


def at_end_of_input(seen: Observation, source: SourceFacts) -> Iterator[Finding]:
    """Yield a note about a program that ended well at once, since nobody speaks to it in a trial."""
    if source.dialogue and seen.ended == 0:
        message = f"it ends when its standard input does: it is {source.dialogue}, and may be spoken to over that"
        hint = (
            "Keep it open: shipwheel run -i, docker run -i. To serve a port in place of it, give it the option or variable that it has for"
            " that, such as --transport, in `command` or `env`, and set `ports`."
        )
        yield Finding(FindingKind.TERMINAL, message, hint)


def asks_for_input(line: str) -> Finding:
    """Return the note about a program without a port that reads a line from its standard input, which a trial has not."""
    hint = "Run it with a terminal: shipwheel run --interactive, docker run -it. Alone, it has to get its values by options or variables."
    return Finding(FindingKind.TERMINAL, "it asks for input and ends, since nobody answers in a trial", hint, evidence=line)


def for_production(finding: Finding, log: str) -> Finding:
    """Return the finding of a variable that says where the program runs with the setting of it, if the output offers production."""
    offered = _PRODUCTION.search(log) if finding.kind is FindingKind.VARIABLE and _OF_ENVIRONMENT.fullmatch(finding.subject) else None
    if offered is None or finding.setting is not None:
        return finding
    hint = f'Set env = {{{finding.subject} = "{offered[1]}"}} in the settings: an image is for production.'
    return msgspec.structs.replace(finding, hint=hint, setting=Setting("env", {finding.subject: offered[1]}))


def looked_for(finding: Finding, log: str, source: SourceFacts, environment: Mapping[str, str]) -> Finding:
    """Return a failure that the project's code words itself, or has itself, with what the code has looked for."""
    said = (*plain_lines(log)[-_LAST_LINES:], finding.evidence)
    refusal = next((each for each in source.refusals if any(each.sentence in line for line in said)), None)
    if refusal is None:
        name, file = own_absent_name(log)
        hint = f"{file} has no {name}: the project's own files do not fit together. Correct the import, or take a commit where they do."
        if place := python_2_place(log):
            hint = (
                f"{place}, is written for Python 2, and images have Python 3: port the program, where 2to3 or futurize do most of the work."
            )
        elif place := unreadable_place(log):
            hint = f"{place}, is no code that the image's Python can read: correct it, or name the newer Python that it is for (--python)."
        elif asked := _NO_METADATA.match(finding.evidence):
            hint = (
                f"It asks for the version of {asked[1]}, of which no package is installed: if that is the project itself, install it"
                f' (install = "wheel"), or let the code do without; if not, add {asked[1]} to `dependencies`.'
            )
            name = asked[1]
        elif lacking := _NO_APPLICATION.search(finding.evidence):
            name, module = lacking["name"] or lacking["attribute"], lacking["module"] or lacking["of"]
            hint = (
                f"The command asks for {name} of {module}, whose code defines none: set `command` to serve the module that makes the"
                f" application, or the function that returns it (gunicorn '{module}:create_app()', uvicorn --factory {module}:create_app)."
            )
        if name or place:
            return msgspec.structs.replace(finding, hint=hint)
        return _with_passed_over(finding, log, source) or _with_withheld(finding, log, source, environment)
    hint = f"{refusal.place}, says so, where the code looks for {', '.join(refusal.read)}: give it what it wants."
    examples = (example for path, example in source.examples if any(f"/{name}".endswith(f"/{path}") for name in refusal.read))
    if example := next(examples, ""):
        hint += f" {example} is an example of the file."
    hint += " A file can be mounted, a variable set where the container runs: -e NAME=VALUE."
    return msgspec.structs.replace(finding, hint=f"{hint} {finding.hint}".rstrip())


def _with_passed_over(finding: Finding, log: str, source: SourceFacts) -> Finding | None:
    """Return the failure of a program that lacks a value of a file which the code passes over where it is not there; None for another."""
    if _LACKS_KEY.match(finding.evidence) is None:
        return None
    frames = [match["path"] for match in map(_FRAME.match, plain_lines(last_traceback(log))) if match is not None]
    in_parser = any(path.endswith("/configparser.py") for path in frames)
    for path, place in source.passed_over:
        if in_parser or any(frame.endswith(f"/{place.partition(',')[0]}") for frame in frames):
            example = next((f" from {example}" for made, example in source.examples if f"/{made}".endswith(f"/{path}")), "")
            hint = f"{place}, reads {path} if it is there, and the project has none: make it{example}, and mount it where the container"
            hint += " runs, or put it into the project before the build if it holds no secret."
            return msgspec.structs.replace(finding, hint=hint)
    return None


def _with_withheld(finding: Finding, log: str, source: SourceFacts, environment: Mapping[str, str]) -> Finding:
    """Return a failure without another cause with the variables that a deployment file sets, and the container has not."""
    unset = {name: place for name, place in source.withheld if not environment.get(name)}
    if not unset or is_outgrown(log) or _NOT_OF_VARIABLES.match(finding.evidence):
        return finding
    first, place = next(iter(unset.items()))
    hint = f"It may want {', '.join([*unset][:_MAX_NAMES])}, which {place}, sets for it, and the image has not."
    hint += f" Give it where the container runs: -e {first}=…"
    return msgspec.structs.replace(finding, hint=f"{hint} {finding.hint}".rstrip())


def unset_variables(source: SourceFacts, log: str, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the variables that the last traceback is about, and that were read without a default and are not set.

    They are those that its error names; or that the project's lines in it use; or whose words its error has: "needs an openai API key"; or
    that were put into a text as None: "postgresql://None:None@None:None/shop".
    """
    last = last_traceback(log)
    error = next((line for line in plain_lines(last)[1:] if line.strip() and not line[0].isspace()), "" if last else error_line(log))
    own = tuple(_own_lines(last, source.packaged))
    used = [(variable, place, line) for line in own for variable, place in (*_used(line, source), *_asked_for(line, error))]
    named = [(*found, error) for found in _named(error, source)]
    none = _NONE.search(error)
    others = _put_in(none, source, environment) if none is not None else (*_of_databases(error, source), *_spelled_out(error, source))
    for variable, place, line in named or used or [(*found, error) for found in others]:
        if not environment.get(variable):
            message = f"it wants the environment variable {variable}, which {place} reads without a default"
            hint = f"Give it a value where the container runs: -e {variable}=…; a value that is no secret can be in the setting `env`."
            yield Finding(FindingKind.VARIABLE, message, hint, variable, line.strip(), blocks=True)


def _used(line: str, source: SourceFacts) -> Iterator[tuple[str, str]]:
    """Yield (variable, place) of what a line of code reads or names."""
    yield from dict.fromkeys((match["variable"], "the line that failed") for match in _READ.finditer(line))
    names = frozenset(_NAME.findall(line))
    yield from ((variable, place) for name, variable, place in source.variables if name in names)


def _asked_for(line: str, error: str) -> Iterator[tuple[str, str]]:
    """Yield (variable, place) of what a line asks a function of the project for, if the error names it, in any language."""
    names = dict.fromkeys(_NAME.findall(error))
    for match in _ASKED.finditer(line):
        meant = [name for name in names if name == match["variable"] or (match["variable"] is None and "_" in name and name.isupper())]
        yield from ((name, "the line that failed") for name in meant)


def _named(error: str, source: SourceFacts) -> Iterator[tuple[str, str]]:
    """Yield (variable, place) of the variables that an error names, but for a file that would hold the value of another."""
    names = frozenset(_NAME.findall(error))
    places = {name: place for _, name, place in reversed(source.variables) if name in names and "_" in name and name.isupper()}
    yield from ((name, place) for name, place in reversed(places.items()) if name.removesuffix("_FILE") not in places.keys() - {name})


def _put_in(none: re.Match[str], source: SourceFacts, environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield (variable, place) of the first variable for what a text has as None, and of those of its file that begin as it does."""
    unset = {name: place for _, name, place in reversed(source.variables) if not environment.get(name)}
    first = next((name for name in reversed(unset) if set(name.split("_")) & _ROLES[none.lastgroup or ""]), "")
    start, file = first[: first.rfind("_") + 1], unset.get(first, "").partition(",")[0]
    for name in reversed(unset):
        if name == first or (start and name.startswith(start) and unset[name].partition(",")[0] == file):
            yield name, unset[name]


def _spelled_out(error: str, source: SourceFacts) -> Iterator[tuple[str, str]]:
    """Yield (variable, place) of the variables of several words that an error has, in any order and case."""
    words = frozenset(_NAME.findall(error.lower()))
    yield from ((name, place) for _, name, place in source.variables if "_" in name and words.issuperset(name.lower().split("_")))


def _of_databases(error: str, source: SourceFacts) -> Iterator[tuple[str, str]]:
    """Yield (variable, place) of what Django's databases come from, if the error is that they are none."""
    if "settings.DATABASES is improperly configured" in error:
        yield from dict.fromkeys((name, place) for of, name, place in source.variables if of == "DATABASES" or _OF_DATABASE.search(name))


def _own_lines(traceback: str, packaged: Container[str]) -> Iterator[str]:
    """Yield the lines of the project's code that a traceback shows, the innermost first. `packaged` is what its wheel has."""
    shown: list[str] = []
    is_own = False
    for line in plain_lines(traceback):
        if (frame := _FRAME.match(line)) is not None:
            installed = frame["path"].rpartition("/site-packages/")[2].partition("/")[0].removesuffix(".py")
            is_own = not is_of_others(frame["path"]) or installed in packaged
        elif is_own and line.startswith("    ") and line.strip(" ~^"):
            shown.append(line.strip())
    yield from reversed(shown)
