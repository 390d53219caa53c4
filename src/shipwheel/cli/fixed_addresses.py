"""Addresses of servers in a project's code: those that it has as they are, and those that a variable of the environment changes."""

import re
from collections.abc import Iterator, Mapping

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["default_addresses", "fixed_addresses"]

_PORTS = {"postgres": "5432", "postgresql": "5432", "mysql": "3306", "mariadb": "3306", "mongodb": "27017", "redis": "6379", "amqp": "5672"}
_URL = lazy_pattern(
    rf"""["'](?P<scheme>{"|".join(_PORTS)})(?:\+\w+)?://(?:[^@"'\s/{{}}]*@)?(?P<host>[A-Za-z0-9][\w.-]*)(?::(?P<port>\d+))?(?=[/"'?])"""
)
_HOST = lazy_pattern(r"""["']HOST["'][ \t]*:[ \t]*["'](?P<host>[A-Za-z0-9][\w.-]*)["']""")
"""The host in Django's DATABASES."""
_READ = lazy_pattern(
    r"""(?:getenv|environ\.get|\b\w*env(?:\.\w+)?|\bconfig)\(\s*["'](?P<variable>[A-Z][A-Z0-9_]*)["']"""
    r"""\s*,\s*(?:default\s*=\s*)?(?P<default>["'][^"'\n]+["'])""",
    re.ASCII,
)
"""A variable that is read with a text for want of it."""
_FIELD = lazy_pattern(r"""^[ \t]+(?P<variable>\w+)[ \t]*:[^=\n]+=[ \t]*(?P<default>["'][^"'\n]+["'])""", re.MULTILINE | re.ASCII)
"""A field of pydantic's settings, which is a variable as well."""
_HOST_VARIABLE = lazy_pattern(r"(?P<start>(?:\w*_)?(?P<kind>[A-Z]+?)_?)HOST(?:NAME)?", re.ASCII)
"""A variable for the host of a server of some kind: DB_HOST, SHOP_REDIS_HOST, PGHOST."""
_PORT = lazy_pattern(r"\b(?P<start>\w*)PORT\b[^\n\d]{0,40}(?P<port>\d{2,5})\b", re.IGNORECASE | re.ASCII)
"""The port beside a host: `os.getenv("DB_PORT", 5433)`, `db_port: int = 5433`."""
_NAME = lazy_pattern(r"""["'](?P<host>[A-Za-z0-9][\w.-]*)["']""", re.ASCII)
_DATABASES = ("5432", "3306")
_KINDS = {
    **dict.fromkeys(("DB", "DATABASE", "SQL"), _DATABASES),
    **dict.fromkeys(("POSTGRES", "POSTGRESQL", "PG"), ("5432",)),
    **dict.fromkeys(("MYSQL", "MARIADB"), ("3306",)),
    **dict.fromkeys(("MONGO", "MONGODB"), ("27017",)),
    **dict.fromkeys(("RABBITMQ", "RABBIT", "AMQP"), ("5672",)),
    "REDIS": ("6379",),
}
"""Word of a variable's name -> the ports that such a server may have."""
_CHANGED = lazy_pattern(r"env|config|default|Field|:[ \t]*str|\bor\b|argument", re.IGNORECASE)
_NEAR = 120
"""Characters before a URL in which something may read another one."""


def fixed_addresses(file: str, text: str) -> Iterator[tuple[str, str, str]]:
    """Yield (host, port, file and line) of the databases and queues that a source file names; an empty port stands for any."""
    for match in _URL.finditer(text):
        end = text.find("\n", match.end())
        if _CHANGED.search(text[max(match.start() - _NEAR, 0) : end if end >= 0 else len(text)].replace(match[0], "")) is None:
            yield match["host"], match["port"] or _PORTS[match["scheme"]], _place(file, text, match)
    yield from ((match["host"], "", _place(file, text, match)) for match in _HOST.finditer(text))


def default_addresses(file: str, text: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield (variable, host, port, file and line) of the servers whose addresses a file reads from variables, with these as defaults."""
    has_settings = "BaseSettings" in text and "env_prefix" not in text
    ports = {match["start"].upper(): match["port"] for match in _PORT.finditer(text)}
    for pattern in (_READ, _FIELD) if has_settings else (_READ,):
        for match in pattern.finditer(text):
            variable = match["variable"].upper()
            for host, port in _addresses(variable, match["default"], ports):
                yield variable, host, port, _place(file, text, match)


def _addresses(variable: str, default: str, ports: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield (host, port) of what a variable has by default: one address, or a host, with each port that its server may have."""
    if (address := _URL.match(default)) is not None:
        yield address["host"], address["port"] or _PORTS[address["scheme"]]
    of_host, name = _HOST_VARIABLE.fullmatch(variable), _NAME.fullmatch(default)
    if of_host is not None and name is not None and of_host["kind"] in _KINDS:
        beside = ports.get(of_host["start"])
        yield from ((name["host"], port) for port in ((beside,) if beside else _KINDS[of_host["kind"]]))


def _place(file: str, text: str, match: re.Match[str]) -> str:
    return f"{file}, line {text.count(chr(10), 0, match.start()) + 1}"
