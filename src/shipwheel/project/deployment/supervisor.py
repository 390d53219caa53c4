"""The programs that supervisord starts, by its configuration (supervisord's documentation, "Configuration File")."""

import posixpath
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from typing import TYPE_CHECKING

import msgspec

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.script import Script, ScriptFiles

if TYPE_CHECKING:
    import configparser

__all__ = ["Program", "is_supervisor", "supervised"]

_DEFAULTS = ("/etc/supervisord.conf", "/etc/supervisor/supervisord.conf")
"""The places that supervisord looks at, after the working directory."""
_USUAL = "/etc/supervisor/conf.d/*.conf /etc/supervisord.d/*.ini /etc/supervisord.d/*.conf"
"""The files that the configurations of Debian, of Fedora, and of people who write one in the image include."""
_MAX_BYTES = 1 << 16
_MAX_PROGRAMS = 20
_ENV = lazy_pattern(r"%\(ENV_(\w+)\)s")
_PAIR = lazy_pattern(r"\b(\w+)=(\"[^\"]*\"|'[^']*'|[^,]*)")
_BESIDE = frozenset(
    """
    nginx apache2 httpd caddy haproxy traefik varnishd cron crond rsyslogd syslog-ng sshd redis-server memcached postgres mysqld mongod
    rabbitmq-server fail2ban-server tail
    """.split()  # noqa: SIM905
)
"""Programs that production has in containers of their own."""
_SERVERS = lazy_pattern(r"\b(gunicorn|uvicorn|hypercorn|daphne|granian|uwsgi\w*|waitress-serve)\b")
_WORKERS = lazy_pattern(r"\b(celery|rq|rqworker|dramatiq|huey_consumer|arq|beat|worker|scheduler|flower)\b", re.IGNORECASE)


class Program(msgspec.Struct, frozen=True):
    """A section `program` of the configuration."""

    name: str
    command: str
    """A command line, in the syntax of a shell."""
    file: str
    """The path in the repository, for messages."""
    line: int
    directory: str = ""
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def rank(self) -> int:
        """The likelihood that it is what the container is for, the smallest first."""
        if posixpath.basename(self.command.split()[0]) in _BESIDE:
            return 3
        if _SERVERS.search(self.command):
            return 0
        return 2 if _WORKERS.search(f"{self.name} {self.command}") else 1


def is_supervisor(words: Sequence[str]) -> bool:
    """Return whether a command starts supervisord."""
    return posixpath.basename(words[0]) == "supervisord"


def supervised(words: Sequence[str], directory: str, files: ScriptFiles) -> tuple[Program, ...]:
    """Return the programs that supervisord starts, the one that the container is for first; none if its configuration is not known.

    `words` are its command line, `directory` is absolute.
    """
    named = _option(words)
    places = (posixpath.join(directory, named),) if named else (posixpath.join(directory, "supervisord.conf"), *_DEFAULTS)
    found = next(((place, script) for place in places if (script := files.read_script(posixpath.normpath(place))) is not None), None)
    place, script = found if found is not None else (places[-1], None)
    programs = [*_programs(script, place), *(each for included in _included(script, place, files) for each in _programs(*included))]
    return tuple(sorted(programs[:_MAX_PROGRAMS], key=lambda program: program.rank))


def _option(words: Sequence[str]) -> str:
    for word, following in zip(words[1:], (*words[2:], ""), strict=False):
        if word in ("-c", "--configuration"):
            return following
        if word.startswith("--configuration="):
            return word.partition("=")[2]
    return ""


def _parsed(script: Script | None) -> "configparser.RawConfigParser":
    import configparser

    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    try:
        parser.read_string(script.data.decode("utf-8", "replace") if script is not None and len(script.data) <= _MAX_BYTES else "")
    except configparser.Error:
        return configparser.RawConfigParser()
    return parser


def _included(script: Script | None, place: str, files: ScriptFiles) -> Iterator[tuple[Script, str]]:
    patterns = _parsed(script).get("include", "files", fallback="") if script is not None else _USUAL
    for pattern in patterns.split():
        path = posixpath.normpath(posixpath.join(posixpath.dirname(place), pattern.replace("%(here)s", posixpath.dirname(place))))
        folder, name = posixpath.split(path)
        for each in files.names_in(folder):
            inside = files.read_script(posixpath.join(folder, each)) if fnmatch(each, name) else None
            if inside is not None:
                yield inside, posixpath.join(folder, each)


def _programs(script: Script | None, place: str) -> Iterator[Program]:
    parser = _parsed(script)
    for section in parser.sections() if script is not None else ():
        kind, _, name = section.partition(":")
        values = parser[section]
        command = " ".join(_filled(values.get("command", ""), name, place).split())
        if script is None or kind != "program" or not command or values.get("autostart", "true").lower() == "false":
            continue
        lines = script.data.decode("utf-8", "replace").splitlines()
        line = next((number for number, text in enumerate(lines, 1) if text.strip() == f"[{section}]"), 1)
        pairs = _PAIR.findall(_filled(values.get("environment", ""), name, place))
        variables = tuple((key, value.strip("\"'")) for key, value in pairs)
        yield Program(name.strip(), command, script.name, line, _filled(values.get("directory", ""), name, place), variables)


def _filled(text: str, name: str, place: str) -> str:
    """Return a value with its expressions; a variable of the environment becomes the shell's."""
    here = text.replace("%(here)s", posixpath.dirname(place)).replace("%(program_name)s", name)
    return _ENV.sub(r"${\1}", here).replace("%(process_num)s", "0").replace("%%", "%")
