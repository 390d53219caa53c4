"""What a token is for: `repository:team/app:pull,push` and lists of such (distribution's token scope documentation)."""

from collections.abc import Iterable

__all__ = ["covers", "in_words", "merged"]

_MOST = 32
_LONGEST = 1024


def merged(scopes: Iterable[str]) -> tuple[str, ...]:
    """One scope a resource, with all its actions, in the order in which they come. What cannot be a scope is left out."""
    found: dict[str, dict[str, None]] = {}
    for scope in scopes:
        # Only the last colon is sure: a resource's name may begin with host:port.
        resource, colon, actions = scope.rpartition(":")
        sound = scope.isascii() and scope.isprintable() and not set(scope) & set(' "\\')
        if colon and actions and sound and len(scope) <= _LONGEST and (resource in found or len(found) < _MOST):
            found.setdefault(resource, {}).update(dict.fromkeys(filter(None, actions.split(","))))
    return tuple(f"{resource}:{','.join(actions)}" for resource, actions in found.items())


def covers(have: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether all that is wanted was asked for already, perhaps with more."""
    known = {resource: set(actions.split(",")) for resource, _, actions in (scope.rpartition(":") for scope in have)}
    asked = (scope.rpartition(":") for scope in merged(wanted))
    return all(set(actions.split(",")) <= known.get(resource, set()) for resource, _, actions in asked)


def in_words(scopes: Iterable[str]) -> str:
    """For messages: `pull and push of team/app`; nothing for no scope."""
    parts = []
    for scope in merged(scopes):
        resource, _, actions = scope.rpartition(":")
        parts.append(f"{' and '.join(actions.split(','))} of {resource.partition(':')[2] or resource}")
    return ", ".join(parts)[:300]
