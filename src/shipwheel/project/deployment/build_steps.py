"""Commands that end: those that write files of the image from those of the project, the same ones each time, and those of a database."""

import posixpath
from collections.abc import Sequence

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["is_build_step", "is_of_database", "is_question", "makes_files"]

_DJANGO_STEPS = frozenset({"collectstatic", "compress", "compilescss", "compilejsi18n"})
_FLASK_STEPS = (("assets", "build"), ("digest", "compile"), ("translate", "compile"), ("scss", "compile"))
_DATABASE_STEPS = {
    "manage.py": frozenset({"migrate", "syncdb", "createcachetable", "loaddata"}),
    "alembic": frozenset({"upgrade", "stamp"}),
    "aerich": frozenset({"upgrade", "init-db"}),
    "flask": frozenset({"upgrade", "stamp"}),
}
"""Programs -> their subcommands that do no harm when they run again: a second `createsuperuser` fails."""
_DJANGO = ("manage.py", "django-admin", "django")
_PYTHON = lazy_pattern(r"python[\d.]*")
_MAX_OPTIONS = 6
_MAKES = lazy_pattern(r"\.(?:dump|save|save_model|save_pretrained|to_pickle|to_csv|to_parquet|savez)\(")
_OF_DATABASE = lazy_pattern(r"\b(?:db|session|sqlalchemy|sqlite3|django|psycopg2?|pymongo|peewee|sqlmodel)\b")
_EXITS = lazy_pattern(r"\b(?:exit|quit)\(")
"""Calls of inline code that give an exit status."""


def is_build_step(words: Sequence[str]) -> bool:
    """Return whether a command is one that needs neither a database nor a network: `python manage.py collectstatic`."""
    name, found = _program(words)
    if name == "flask":
        return any(found[number : number + 2] in _FLASK_STEPS for number in range(1, min(len(found), _MAX_OPTIONS)))
    if name in ("grpc_tools.protoc", "python-grpc-tools-protoc"):
        return any(word.endswith(".proto") for word in found)
    return name in _DJANGO and not _DJANGO_STEPS.isdisjoint(found[1:3])


def is_of_database(words: Sequence[str]) -> bool:
    """Return whether a command brings a database up to date, and ends: `alembic upgrade head`."""
    name, found = _program(words)
    return not _DATABASE_STEPS.get(_DJANGO[0] if name in _DJANGO else name, frozenset()).isdisjoint(found[1:_MAX_OPTIONS])


def is_question(words: Sequence[str], *, is_condition: bool) -> bool:
    """Return whether a command is there for its exit status: inline code that gives one, or a condition that changes nothing known."""
    if "-c" in words and _EXITS.search(words[-1]):
        return True
    return is_condition and not (is_of_database(words) or is_build_step(words))


def makes_files(text: str) -> bool:
    """Return whether a script makes files, as one that trains a model does, and has nothing to do with a database."""
    return _MAKES.search(text) is not None and _OF_DATABASE.search(text) is None


def _program(words: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return (the name of the program or module that a command starts, the words from there on)."""
    found = tuple(words)
    if found and _PYTHON.fullmatch(posixpath.basename(found[0])):
        found = found[1:]
        while found and found[0].startswith("-") and found[0] != "-m":
            found = found[1:]
        found = found[1:] if found[:1] == ("-m",) else found
    return (posixpath.basename(found[0]) if found else ""), found
