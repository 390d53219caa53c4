"""Names that a person may have meant."""

from collections.abc import Iterable

from shipwheel.versions import normalized

__all__ = ["did_you_mean", "similar_names"]

_MAX_NAMES = 3


def similar_names(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return up to three names that differ little from `name`, the most similar first. Case, dashes and underscores do not count."""
    import difflib

    names = {normalized(each): each for each in known}
    return tuple(names[each] for each in difflib.get_close_matches(normalized(name), names, _MAX_NAMES))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question with the similar names and a space behind it; empty if there are none."""
    *others, last = similar_names(name, known) or ("",)
    return f"Did you mean {' or '.join(filter(None, (', '.join(others), last)))}? " if last else ""
