"""Turn the findings of a trial into settings to try next.

A finding may bring its setting. For the others evidence is asked for: the command's own help text, the project's files, the package index.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

import msgspec

from shipwheel.known_packages import GENERATED_SUFFIXES, extends_django, requirement_of_module
from shipwheel.signs.outgrown import is_outgrown, misfit, outdated_module, python_2_place, unreadable_place
from shipwheel.trial.finding import OUTSIDE, Finding, FindingKind, Setting
from shipwheel.trial.trial import Trial
from shipwheel.versions import requirement_name

__all__ = [
    "Advisor",
    "Change",
    "change_for_module",
    "changes_for",
    "listed_commands",
    "listening_option",
    "serving_command",
    "with_unlisted",
]

_SERVING = ("serve", "server", "runserver", "run-server", "start", "run", "web", "webserver", "api", "http", "up", "daemon", "ui", "launch")
"""Sub-commands that start a server, surest first."""

_EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - in the container
_ADDRESS_OPTIONS = ("--host", "--bind", "--address", "--listen", "--hostname", "--ip", "--bind-address", "--bind-host", "--server-address")

_NAMESPACES = frozenset({"google", "azure"})
"""Namespaces of many packages: the name does not tell which."""

_PROGRAM_PACKAGES = {
    "7z": "p7zip-full",
    "convert": "imagemagick",
    "dot": "graphviz",
    "exiftool": "libimage-exiftool-perl",
    "ffplay": "ffmpeg",
    "ffprobe": "ffmpeg",
    "gs": "ghostscript",
    "identify": "imagemagick",
    "node": "nodejs",
    "pdftoppm": "poppler-utils",
    "pdftotext": "poppler-utils",
    "poppler": "poppler-utils",
    "pg_dump": "postgresql-client",
    "psql": "postgresql-client",
    "soffice": "libreoffice",
    "ssh": "openssh-client",
    "tesseract": "tesseract-ocr",
}
"""Program -> Debian package, where the two differ."""


class Change(msgspec.Struct, frozen=True):
    """A setting to try, and the reason in one sentence. A `tentative` one stays only if the program comes further with it."""

    setting: Setting
    reason: str
    tentative: bool = False


class Advisor(Protocol):
    """Answers questions that a finding leaves open, from the project, the image and the package indexes."""

    def application(self) -> tuple[str, ...]:
        """Return the command that would serve the web application in the source, if the image's command is another program."""

    def alternatives(self) -> tuple[tuple[str, ...], ...]:
        """Return the commands that may serve the project in place of the one that was found; none for a declared one."""

    def help_text(self, arguments: tuple[str, ...]) -> str:
        """Return what the image's command prints when it is asked for help, with these words before `--help`."""

    def command(self) -> tuple[str, ...]:
        """Return the image's command."""

    def has_module(self, name: str) -> bool:
        """Return whether a module or package of this name is among the project's own files, or is made from one of them."""

    def has_package(self, requirement: str) -> bool:
        """Return whether the image has the Python package of a requirement, in any version that it allows."""

    def unlisted(self) -> tuple[str, ...]:
        """Return the requirements that the project has only as long as the setting `dependencies` names none."""

    def library_package(self, name: str) -> str | None:
        """Return the Debian package with a shared library."""

    def program_package(self, name: str) -> str | None:
        """Return the Debian package with a program."""

    def package_setting(self, name: str) -> Setting | None:
        """Return the setting that brings a Python package, or a module, from the project's own extras, groups or other lists."""

    def left_out(self, path: str) -> str:
        """Return the pattern that includes a file which the project has and the image lacks; empty for any other path."""

    def other_pythons(self) -> tuple[str, ...]:
        """Return the Python versions that the project may have been written for beside the one that was chosen, the best first."""

    def newer_pythons(self) -> tuple[str, ...]:
        """Return those of `other_pythons` that are newer than the image's."""

    def days(self) -> tuple[str, ...]:
        """Return the days (YYYY-MM-DD) whose packages may suit the project, the surest first.

        That of its last change, or the first after it on which packages had files for a Python that there is. Empty if the last change is
        not known, or was not long ago.
        """

    def version_then(self, module: str, user: str) -> str:
        """Return the requirement for the version of the package of a module when that of the module `user` was published.

        Empty if it has that version or an older one, or if either day is not known.
        """

    def later_in_series(self, module: str) -> Mapping[str, str]:
        """Return the entry of the setting `replace` that takes a later release of the major version that the package of a module has.

        Empty if its package is not known.
        """

    def before_major(self, module: str) -> str:
        """Return the requirement for the versions before the major one that the package of a module has; empty before 1.0."""

    def example_environment(self) -> tuple[str, Mapping[str, str]]:
        """Return the project's example of a file of environment variables that it has not, and its values; empty without one."""

    def table_steps(self) -> tuple[tuple[str, ...], ...]:
        """Return the commands that make the database's tables."""

    def first_steps(self, path: str) -> tuple[tuple[str, ...], ...]:
        """Return the project's commands that may make a file in a volume at the first start."""


def changes_for(trial: Trial, advisor: Advisor) -> Iterator[Change]:
    """Yield the changes that the findings of a trial ask for, most direct first."""
    for finding in trial.findings:
        if (reason := _why_another(finding, trial)) is not None:
            for command in advisor.alternatives():
                yield Change(Setting("command", command), reason, tentative=True)
        if not finding.blocks and finding.kind not in (FindingKind.OTHER_PORT, FindingKind.USAGE):
            continue
        mend = _MENDS.get(finding.kind)
        setting = mend(finding, advisor) if mend is not None else finding.setting
        is_no_server = finding.kind is FindingKind.USAGE or (finding.kind is FindingKind.LOOPBACK and setting is None)
        if is_no_server and (application := advisor.application()):
            yield Change(Setting("command", application), "The project has a web application, which it serves", tentative=True)
        # Where a file names the address, that is for its owner to change.
        is_fixed = finding.kind is FindingKind.LOOPBACK and setting is None and not finding.evidence
        if is_fixed:
            yield from _opened_by_program(advisor, finding.subject)
        if finding.kind is FindingKind.USAGE:
            # Fire prints its list of commands only if it is asked for nothing.
            setting = setting or _sub_command(trial.seen.log, advisor)
        if setting is not None:
            guessed = finding.kind is FindingKind.FILE and setting.key == "before-start"
            change = Change(setting, _reason(finding), tentative=guessed or finding.kind in _GUESSES)
            yield with_unlisted(change, advisor.unlisted())
    place = unreadable_place(trial.seen.log) if trial.blocking else ""
    for version in advisor.newer_pythons() if place and not python_2_place(trial.seen.log) else ():
        yield Change(Setting("python", version), f"{place}, may be written for a newer Python than the image's", tentative=True)
    if not OUTSIDE.intersection(finding.kind for finding in trial.blocking) and trial.blocking and is_outgrown(trial.seen.log):
        if (module := outdated_module(trial.seen.log)) and (later := advisor.later_in_series(module)):
            reason = f"The {module} in the image is older than its Python: a later release of the same major version may know that"
            yield Change(Setting("replace", dict(later)), reason, tentative=True)
        yield from _fitting(trial.seen.log, advisor)
        yield from _older(advisor)


def _why_another(finding: Finding, trial: Trial) -> str | None:
    """Return why the command that was found may be the wrong one."""
    if finding.kind is FindingKind.ENDED and trial.seen.ended == 0 and finding.blocks and not trial.seen.log.strip():
        return "The command that was found ends at once, and prints nothing"
    return _OTHER_COMMANDS.get(finding.kind)


def with_unlisted(change: Change, unlisted: Iterable[str]) -> Change:
    """Return a change of the dependencies with the requirements whose place they would take; any other as it is."""
    if change.setting.key != "dependencies":
        return change
    setting = Setting("dependencies", tuple(dict.fromkeys((*unlisted, *change.setting.value))))
    return msgspec.structs.replace(change, setting=setting)


def _fitting(log: str, advisor: Advisor) -> Iterator[Change]:
    """Yield what brings the version of a package that another one, or the program itself, was written for, the likeliest first."""
    found = misfit(log)
    if found is None:
        return
    older = []
    if found.user:
        # What is locked beside the two may allow no version as old as that.
        then = f"{found.user} wants what {found.module} no longer has: this was its version when that came out"
        older.append((advisor.version_then(found.module, found.user), then))
    who = found.user or "It"
    before = f"{who} wants what this version of {found.module} has not: it may be written for the one before"
    older.append((advisor.before_major(found.module), before))
    for requirement, why in older:
        if requirement:
            yield with_unlisted(Change(Setting("dependencies", (requirement,)), why, tentative=True), advisor.unlisted())


def _older(advisor: Advisor) -> Iterator[Change]:
    """Yield what brings older packages: those of the time of the project's last change, then those of an older Python."""
    for day in advisor.days():
        yield Change(Setting("as-of", day), f"The project was last changed by {day}, and newer packages do not fit it", tentative=True)
    for version in advisor.other_pythons():
        yield Change(Setting("python", version), f"The project comes further with Python {version}", tentative=True)


def _reason(finding: Finding) -> str:
    return finding.message[:1].upper() + finding.message[1:]


def change_for_module(name: str, reason: str) -> Change | None:
    """Return the change that adds the package of a module which the program imports; None if the name does not tell which."""
    requirement = requirement_of_module(name) or _guessed_requirement(name)
    return None if requirement is None else Change(Setting("dependencies", (requirement,)), reason)


def _guessed_requirement(module: str) -> str | None:
    """Return the package of a module's own name, None for names that a stranger's package on the index may have."""
    top = module.partition(".")[0]
    is_ambiguous = top.startswith("_") or top in _NAMESPACES or top in sys.stdlib_module_names
    return None if is_ambiguous or top.endswith(GENERATED_SUFFIXES) else top.replace("_", "-")


def _module(finding: Finding, advisor: Advisor) -> Setting | None:
    if finding.setting is not None:
        return finding.setting
    top = finding.subject.partition(".")[0]
    requirement = requirement_of_module(finding.subject) or (None if advisor.has_module(top) else _guessed_requirement(top))
    if requirement is None or advisor.has_package(requirement) or (extends_django(requirement) and not advisor.has_package("django")):
        return None
    package = requirement_name(requirement)
    settings = (advisor.package_setting(name) for name in dict.fromkeys((top, package)))
    return next(filter(None, settings), Setting("dependencies", (requirement,)))


def _package(finding: Finding, advisor: Advisor) -> Setting | None:
    is_there = "[" not in finding.subject and advisor.has_package(finding.subject)
    return None if is_there else Setting("dependencies", (finding.subject,))


def _library(finding: Finding, advisor: Advisor) -> Setting | None:
    package = advisor.library_package(finding.subject)
    return None if package is None else Setting("packages", (package,))


def _program(finding: Finding, advisor: Advisor) -> Setting | None:
    name = finding.subject.rpartition("/")[2].lower()
    package = _PROGRAM_PACKAGES.get(name) or advisor.program_package(name)
    return None if package is None else Setting("packages", (package,))


def _file(finding: Finding, advisor: Advisor) -> Setting | None:
    if finding.setting is not None:
        return finding.setting
    if left_out := advisor.left_out(finding.subject):
        return Setting("include", (left_out,))
    steps = advisor.first_steps(finding.subject)
    return Setting("before-start", steps[0]) if steps else None


def _loopback(_finding: Finding, advisor: Advisor) -> Setting | None:
    command = advisor.command()
    text = advisor.help_text(())
    option = listening_option(text)
    # Tornado's options take their value behind an equals sign only.
    joined = "tornado/log.py options" in text
    opened = _listening_on_all(command, option, joined=joined) if option is not None else command
    return None if opened == command else Setting("command", opened)


def _listening_on_all(command: tuple[str, ...], option: str, *, joined: bool = False) -> tuple[str, ...]:
    """Return a command with the option for every address, with the port that its value has: --bind 127.0.0.1:5000."""
    for number, word in enumerate(command):
        name, equals, value = word.partition("=")
        if name == option and equals:
            return (*command[:number], f"{option}={_opened(value)}", *command[number + 1 :])
        if word == option and number + 1 < len(command):
            return (*command[: number + 1], _opened(command[number + 1]), *command[number + 2 :])
    return (*command, f"{option}={_EVERY_ADDRESS}") if joined else (*command, option, _EVERY_ADDRESS)


def _opened(address: str) -> str:
    port = address.rpartition(":")[2]
    return f"{_EVERY_ADDRESS}:{port}" if port.isdecimal() and port != address else _EVERY_ADDRESS


_REBOUND = (
    "import socket; bind = socket.socket.bind; inside = [('127.0.0.1', {port}), ('localhost', {port})];"
    " socket.socket.bind = lambda own, to: bind(own, ('{every}', {port}) if to[:2] in inside else to)"
)
_NO_ARGUMENT = "Nothing lets it listen elsewhere than on 127.0.0.1"
_PROTOCOL_SERVERS = (
    ("mcp<2", "FastMCP", "__init__"),
    ("mcp>=2", "MCPServer", "run_sse_async", "run_streamable_http_async"),
)
"""(requirement, class in mcp.server, its functions that take a host). While that is the default, they refuse the callers of others."""


def _opened_by_program(advisor: Advisor, port: str) -> Iterator[Change]:
    """Yield what runs the same program with the default address of its server changed, or with its socket bound to every address."""
    for requirement, name, *functions in _PROTOCOL_SERVERS:
        changes = (f"{name}.{function}.__kwdefaults__['host'] = '{_EVERY_ADDRESS}'" for function in functions)
        program = "; ".join((f"from mcp.server import {name}", *changes))
        if advisor.has_package(requirement) and (command := _started_by(program, advisor.command())):
            yield Change(Setting("command", command), f"{_NO_ARGUMENT}: the default address of its server is changed", tentative=True)
    program = _REBOUND.format(every=_EVERY_ADDRESS, port=port)
    if port.isdecimal() and (command := _started_by(program, advisor.command())):
        reason = f"{_NO_ARGUMENT}: its socket for port {port} is bound to every address"
        yield Change(Setting("command", command), reason, tentative=True)


def _started_by(program: str, command: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command that runs a line of Python, then a file or module of Python; empty if `command` runs anything else."""
    words = command[1:] if command[:1] == ("python",) else ()
    words = words[1:] if words[:1] == ("-u",) else words
    is_module = words[:1] == ("-m",)
    target, *arguments = (words[1:] if is_module else words) or ("",)
    if not target or target.startswith("-") or not (is_module or target.endswith(".py")):
        return ()
    how, folder, more = ("module", "", ", alter_sys=True") if is_module else ("path", target.rpartition("/")[0], "")
    run = f"import runpy, sys; sys.path[0] = {folder!r}; runpy.run_{how}({target!r}, run_name='__main__'{more})"
    return ("python", "-c", f"{program}; {run}", *arguments)


def _usage(_finding: Finding, advisor: Advisor) -> Setting | None:
    return _sub_command(advisor.help_text(()), advisor)


def _sub_command(help_text: str, advisor: Advisor) -> Setting | None:
    found = serving_command(help_text)
    return None if found is None else Setting("command", (*advisor.command(), found))


def _table(_finding: Finding, advisor: Advisor) -> Setting | None:
    steps = advisor.table_steps()
    return None if not steps else Setting("before-start", steps[0])


_GUESSES = frozenset({FindingKind.USAGE, FindingKind.PACKAGE, FindingKind.NOT_WRITABLE})
"""Findings whose setting a program may not come further with: an error names a path, and not whether that is a file."""

_OTHER_COMMANDS = {
    FindingKind.NO_PAGE: "The command that was found answers 404 to every page",
    FindingKind.UNIMPORTABLE: "The command that was found cannot import the application",
}
"""Findings that another command may mend, with the reason."""

_MENDS: dict[FindingKind, Callable[[Finding, Advisor], Setting | None]] = {
    FindingKind.MODULE: _module,
    FindingKind.PACKAGE: _package,
    FindingKind.LIBRARY: _library,
    FindingKind.PROGRAM: _program,
    FindingKind.FILE: _file,
    FindingKind.LOOPBACK: _loopback,
    FindingKind.USAGE: _usage,
    FindingKind.TABLE: _table,
}


def listening_option(help_text: str) -> str | None:
    """Return the option of a help text that sets the address to listen on."""
    return next((option for option in _ADDRESS_OPTIONS if re.search(rf"(?<![\w-]){option}(?![\w-])", help_text)), None)


def serving_command(help_text: str) -> str | None:
    """Return the sub-command of a help text that starts a server."""
    commands = listed_commands(help_text)
    return next((word for word in _SERVING if word in commands), None)


def listed_commands(help_text: str) -> frozenset[str]:
    """Return the sub-commands of a help text: argparse's `{a,b}`, and the lines of a list of commands."""
    # The choices of an option follow its name: --mode {api,worker}.
    groups = re.findall(r"(?:^ *|[\]}] )\{([\w,.-]+)\}", help_text, re.MULTILINE)
    named = {word for group in groups for word in group.split(",")}
    return frozenset(named | set(re.findall(r"^[ │|]{2,8}([a-z][\w-]*)(?: {2,}|$)", help_text, re.MULTILINE)))
