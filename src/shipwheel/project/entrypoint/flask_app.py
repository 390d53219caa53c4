"""The application that `flask run` would serve: FLASK_APP in a deployment file or a file of variables, and the option --app."""

import posixpath
import re
from collections.abc import Iterator, Sequence

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.process import RELEASE
from shipwheel.project.entrypoint.applications import FLASKS, Application
from shipwheel.project.entrypoint.command_address import tool_of
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.reached import modules_by_name, reached_modules
from shipwheel.project.entrypoint.scan import Scan

__all__ = ["with_flask_app_first"]

_FLASK_APP = "FLASK_APP"
_ASSIGNED = lazy_pattern(r"^[ \t]*(?:export[ \t]+)?FLASK_APP[ \t]*=[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)
_FILES = (".flaskenv", ".env", ".env.example", "env.example")
"""Files of variables that Flask reads by itself, and what they are made from."""
_TARGET = lazy_pattern(r"(?P<path>[\w./-]+?)(?:\.py)?(?::(?P<name>\w+)(?:\(.*\))?)?")


def with_flask_app_first(apps: list[Application], evidence: Evidence, scan: Scan) -> list[Application]:
    """Return the applications with the one first that `flask run` would serve, unless the first one is built on it, as a wsgi.py is."""
    rivals = len({app.module.file for app in apps if app.framework.distribution in FLASKS})
    if rivals < 2 or apps[0].framework.distribution not in FLASKS:
        return apps
    named = next((found for text in _named(evidence, scan) if (found := _matching(text, apps))), [])
    if not named or apps[0] in named:
        return apps
    by_name = modules_by_name(scan.modules, (apps[0].module.import_root,))
    built_on = {module.file for module in reached_modules(apps[0].module.name, by_name)}
    return apps if named[0].module.file in built_on else [*named, *(app for app in apps if app not in named)]


def _named(evidence: Evidence, scan: Scan) -> Iterator[str]:
    """Yield what files name, the surest first."""
    yield from filter(None, [evidence.settings.env.get(_FLASK_APP)])
    for process in scan.deployment.processes:
        for command in process.commands({}) if process.name != RELEASE else ():
            if tool_of(command.words) == "flask" and "run" in command.words:
                yield from _option(command.words)
                yield from filter(None, [dict(command.env).get(_FLASK_APP), process.variables.get(_FLASK_APP)])
    for settings in scan.deployment.settings:
        yield from filter(None, [settings.variables.get(_FLASK_APP)])
    for name in (*_FILES, *scan.deployment.variable_files):
        if match := _ASSIGNED.search(evidence.read_text(name)):
            yield match[1]


def _option(words: Sequence[str]) -> Iterator[str]:
    for word, following in zip(words, (*words[1:], ""), strict=True):
        option, equals, value = word.partition("=")
        if option in ("-A", "--app"):
            yield value if equals else following


def _matching(text: str, apps: Sequence[Application]) -> list[Application]:
    """Return the applications of the module, or the one, that a value of FLASK_APP names."""
    match = _TARGET.fullmatch(text)
    if match is None:
        return []
    path = posixpath.normpath(match["path"] if "/" in match["path"] else match["path"].replace(".", "/")).removeprefix("/app/")
    files = {f"{path}.py", f"{path}/__init__.py", f"src/{path}.py", f"src/{path}/__init__.py"}
    inside = [app for app in apps if app.module.file in files]
    return [app for app in inside if app.variable == match["name"]] or inside
