"""gettext's catalogues: text (.po) compiled into what programs load (.mo)."""

import re
from collections.abc import Iterable
from functools import cache

from shipwheel.errors import ProjectError
from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["TRANSLATIONS_VERSION", "compile_catalogue", "uncompiled"]

TRANSLATIONS_VERSION = 1
"""Changes whenever the bytes of compiled catalogues do."""

_CHARSET = lazy_pattern(rb"charset=([\w.:-]+)")
_CATALOGUE = lazy_pattern(r"(.*/)?LC_[A-Z]+/[^/]+\.po")


def uncompiled(paths: Iterable[str]) -> frozenset[str]:
    """Return the paths of catalogues that have no compiled one beside them."""
    every = frozenset(paths)
    return frozenset(path for path in every if _CATALOGUE.fullmatch(path) and f"{path[:-3]}.mo" not in every)


@cache
def compile_catalogue(data: bytes, path: str) -> bytes:
    """Return a catalogue as msgfmt writes it, without fuzzy entries. Raises ProjectError if it has a syntax error."""
    import polib

    match = _CHARSET.search(data)
    charset = match[1].decode() if match is not None and match[1] != b"CHARSET" else "utf-8"
    try:
        text = data.decode(charset).removeprefix("\ufeff")
        # A text without a line break could be taken for the name of a file.
        return bytes(polib.pofile(f"{text}\n", encoding=charset).to_binary())  # type: ignore[no-untyped-call]
    except (OSError, ValueError, LookupError, IndexError) as error:
        reason = re.sub(r"\s+", " ", str(error))[-200:]
        raise ProjectError(
            f"{path} is no catalogue of translations: {reason}",
            hint="Correct it (`msgfmt --check` names the line), or leave it out by the setting `exclude`.",
        ) from None
