"""What a server wants to see before it answers: WWW-Authenticate (RFC 9110, 11.3 and 11.6.1)."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["Challenge", "challenges"]

_LONGEST = 8 << 10
"""Characters that are looked at: what comes behind them is not from a server that wants to be understood."""

# "token = 1*tchar". Real servers also leave addresses and scopes unquoted, and commas out.
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 - a token of the grammar
_SCHEME = re.compile(rf"({_TOKEN})(?=[ \t,]|$)")
_PARAMETER = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",=][^\s",]*))(?=[ \t,]|$)', re.DOTALL)
# "token68 = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=""
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)")
_ANYTHING = re.compile(r"[^,]*")
_SEPARATORS = re.compile(r"[ \t,]*")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to prove who we are. Scheme and names of parameters are in lower case; of a parameter that comes twice, the first counts."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def challenges(values: Iterable[str]) -> tuple[Challenge, ...]:
    """Those of all WWW-Authenticate fields of an answer, in their order. What cannot be understood is passed over; it raises nothing."""
    return tuple(challenge for value in values for challenge in _parsed(value[:_LONGEST]))


def _parsed(text: str) -> Iterator[Challenge]:
    position = 0
    current: tuple[str, dict[str, str]] | None = None
    while (position := _end(_SEPARATORS.match(text, position), position)) < len(text):
        if found := _PARAMETER.match(text, position):
            # "a comma-separated list of parameters" and a list of challenges are told apart by the equals sign alone.
            if current is not None:
                quoted, bare = found[2], found[3]
                current[1].setdefault(found[1].lower(), bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL))
            position = found.end()
        elif found := _SCHEME.match(text, position):
            if current is not None:
                yield Challenge(*current)
            current = (found[1].lower(), {})
            position = _end(_SEPARATORS.match(text, found.end()) if text[found.end() : found.end() + 1] != "," else None, found.end())
            if not _PARAMETER.match(text, position) and (token := _TOKEN68.match(text, position)) and position > found.end():
                position = token.end()
        else:
            position = max(_end(_ANYTHING.match(text, position), position), position + 1)
    if current is not None:
        yield Challenge(*current)


def _end(found: "re.Match[str] | None", otherwise: int) -> int:
    return otherwise if found is None else found.end()
