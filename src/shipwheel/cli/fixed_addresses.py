"""Addresses of servers in a project's code: those that it has as they are, and those that a variable of the environment changes."""

import re
from collections.abc import Iterator

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
    for pattern in (_READ, _FIELD) if has_settings else (_READ,):
        for match in pattern.finditer(text):
            if (address := _URL.match(match["default"])) is not None:
                port = address["port"] or _PORTS[address["scheme"]]
                yield match["variable"].upper(), address["host"], port, _place(file, text, match)


def _place(file: str, text: str, match: re.Match[str]) -> str:
    return f"{file}, line {text.count(chr(10), 0, match.start()) + 1}"
