"""Commands that write files of the image from those of the project, such as static files: the same ones each time."""

import posixpath
from collections.abc import Sequence

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["is_build_step"]

_DJANGO_STEPS = frozenset({"collectstatic", "compress", "compilescss", "compilejsi18n"})
_FLASK_STEPS = (("assets", "build"), ("digest", "compile"), ("translate", "compile"), ("scss", "compile"))
_PYTHON = lazy_pattern(r"python[\d.]*")
_MAX_OPTIONS = 6


def is_build_step(words: Sequence[str]) -> bool:
    """Return whether a command is one that needs neither a database nor a network: `python manage.py collectstatic`."""
    found = tuple(words)
    if found and _PYTHON.fullmatch(posixpath.basename(found[0])):
        found = found[1:]
        while found and found[0].startswith("-") and found[0] != "-m":
            found = found[1:]
        found = found[1:] if found[:1] == ("-m",) else found
    name = posixpath.basename(found[0]) if found else ""
    if name == "flask":
        return any(found[number : number + 2] in _FLASK_STEPS for number in range(1, min(len(found), _MAX_OPTIONS)))
    if name in ("grpc_tools.protoc", "python-grpc-tools-protoc"):
        return any(word.endswith(".proto") for word in found)
    return name in ("manage.py", "django-admin", "django") and not _DJANGO_STEPS.isdisjoint(found[1:3])
