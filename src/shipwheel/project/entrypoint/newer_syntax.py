"""Source code in the syntax of newer Pythons, written as the Python that runs this reads it, with every line where it was.

An app for Python 3.14 is looked at by whatever Python there is, and `ast` reads the syntax of its own. Rewritten are the f-strings of
PEP 701, which may have any string in their fields, the template strings of PEP 750, the type parameters and aliases of PEP 695, the types
of errors without parentheses of PEP 758, and the lazy imports of PEP 810. A field that cannot be written as before is left out.

The trees of libcst, parso and tree-sitter are not those of `ast`, which all that scans takes: a translation of every node would be longer
than this. libcst and parso also take eight times as long, and parso reads no nested quotes.
"""

import re
from collections.abc import Iterator

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["in_older_syntax", "newer_syntax"]

_QUOTE = r"\"\"\"|'''|\"|'"
_NEXT = lazy_pattern(
    rf"#[^\n]*|(?P<quote>{_QUOTE})|\b(?P<head>(?:def|class)[ \t]+\w+[ \t]*)(?=\[)"
    r"|^(?P<indent>[ \t]*)(?:type[ \t]+(?P<name>\w+[ \t]*)(?=\[|=(?!=))|lazy[ \t]+(?P<lazy>import\b|from\b))"
    # Python 2 has the name of the error behind the comma.
    r"|(?P<except>^[ \t]*except\b\*?[ \t]*)(?![\w.]+[ \t]*,[ \t]*[a-z_][a-z_0-9]*[ \t]*:)"
    r"(?P<types>[\w.]+(?:[ \t]*,[ \t]*[\w.]+)+)(?=[ \t]*:)",
    re.MULTILINE,
)
_INSIDE = lazy_pattern(rf"#[^\n]*|(?P<quote>{_QUOTE})|[(){{}}\[\]:\n\\]")
"""Signs that matter in a field of an f-string, or between brackets."""
_PLAIN = lazy_pattern(r"[^\\{}\"'\n]+")
_MAYBE_NEWER = lazy_pattern(
    rb"\b[fF][rR]?(?P<quote>[\"'])(?:(?!(?P=quote))[^\n\\]){0,400}?\{[^{}\n\"']*(?:(?P=quote)|\n|[\"'][^{}\n\"']*\\)"
    rb"|\b(?:def|class)[ \t]+\w+[ \t]*\[|^[ \t]*(?:type[ \t]+\w+[ \t]*(?:\[|=(?!=))|lazy[ \t]+(?:import|from)\b|except\b[^\n(,]*,)"
    rb"|(?<![\w\"'])(?:[tT][rR]?|[rR][tT])[\"']",
    re.MULTILINE,
)
"""A sign of an f-string with its own quote, a line's end or a backslash in a field, or of any other newer syntax."""
_PREFIXES = frozenset("r b u f t rb br fr rf tr rt".split())  # noqa: SIM905


def in_older_syntax(text: str) -> str:
    """Return a source text in older syntax. Raise ValueError if it is no Python of any version."""
    return "".join(older for older, _ in _rewritten(text))


def newer_syntax(data: bytes) -> tuple[int, int]:
    """Return the minor number of the newest Python, from 3.12 on, that brought syntax of the code, and the line of its first.

    (0, 0) if the code has none, or is no Python of any version.
    """
    newest, line = (0, 0), 1
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n") if _MAYBE_NEWER.search(data) is not None else ""
        for older, minor in _rewritten(text):
            if minor > newest[0]:
                newest = minor, line
            line += older.count("\n")
    except ValueError:
        return 0, 0
    return newest


def _rewritten(text: str) -> Iterator[tuple[str, int]]:
    """Yield the parts of a source text in older syntax, with the minor number of the Python that brought the newer; 0 if it is no newer."""
    at = 0
    while (match := _NEXT.search(text, at)) is not None:
        prefix = _prefix(text, match.start()) if match["quote"] else ""
        start = match.start() - len(prefix)
        yield text[at:start], 0
        at = match.end()
        if match["quote"]:
            at, body = _string(text, at, match["quote"], prefix)
            is_template = "t" in prefix
            older = f"{prefix.replace('t', 'f') if is_template else text[start : match.start()]}{match['quote']}{body}"
            yield older, 14 if is_template else 12 if older != text[start:at] else 0
        elif match["except"]:
            yield f"{match['except']}({match['types']})", 14
        elif match["lazy"]:
            yield f"{match['indent']}{match['lazy']}", 15
        elif match["head"] or match["name"]:
            end = _after_brackets(text, at) if text.startswith("[", at) else at
            yield (match["head"] or f"{match['indent']}{match['name']}") + "\\\n" * text.count("\n", at, end), 12
            at = end
        else:
            yield match[0], 0
    yield text[at:], 0


def _prefix(text: str, quote: int) -> str:
    """Return the prefix of the string that begins with a quote, in small letters; empty for a word before it that is none."""
    start = quote
    while start and (text[start - 1].isalnum() or text[start - 1] == "_"):
        start -= 1
    word = text[start:quote].lower()
    return word if word in _PREFIXES else ""


def _string(text: str, at: int, quote: str, prefix: str, outer: str = "") -> tuple[int, str]:
    """Return the end of a string whose content begins here, and the content with the closing quote.

    A format after a field's colon is one that a brace closes, in a string with the quote `outer`.
    """
    has_fields, found = not {"f", "t"}.isdisjoint(prefix), []
    while not text.startswith(quote, at):
        if at >= len(text) or (text[at] == "\n" and len(outer or quote) == 1):
            raise ValueError("a string without an end")
        if (plain := _PLAIN.match(text, at)) is not None:
            found.append(plain[0])
            at = plain.end()
        elif has_fields and "r" not in prefix and text.startswith("\\N{", at) and (end := text.find("}", at)) > 0:
            found.append(text[at : end + 1])
            at = end + 1
        elif has_fields and text[at] == "{" and not text.startswith("{{", at):
            at, field = _field(text, at, outer or quote)
            found.append(field)
        else:
            is_escape = text[at] == "\\" and not (has_fields and text.startswith("{", at + 1))
            size = 2 if is_escape or (has_fields and text[at : at + 2] in ("{{", "}}")) else 1
            found.append(text[at : at + size])
            at += size
    return at + len(quote), "".join((*found, quote))


def _field(text: str, start: int, quote: str) -> tuple[int, str]:
    """Return the end of a field of an f-string that begins with this brace, and what to write for it."""
    found, at, depth, is_kept = ["{"], start + 1, 0, True
    while True:
        if (match := _INSIDE.search(text, at)) is None:
            raise ValueError("a field without an end")
        found.append(text[at : match.start()])
        at = match.end()
        if match["quote"]:
            prefix = _prefix(text, match.start())
            at, body = _string(text, at, match["quote"], prefix)
            written = _quoted_otherwise(match["quote"], body, quote)
            is_kept = is_kept and bool(written) and "t" not in prefix
            found.append(written)
        elif match[0] == "}" and not depth:
            found.append("}")
            break
        elif match[0] == ":" and not depth:
            at, body = _string(text, at, "}", "f", quote)
            found.append(f":{body}")
            break
        elif not match[0].startswith("#"):
            depth += (match[0] in "([{") - (match[0] in ")]}")
            is_kept = is_kept and match[0] != "\\"
            found.append(" " if match[0] == "\n" and len(quote) == 1 else match[0])
    field = "".join(found) if is_kept else "{0}"
    lines = text.count("\n", start, at) - field.count("\n")
    return at, field + ("\\\n" if len(quote) == 1 else "\n") * lines


def _quoted_otherwise(quote: str, body: str, outer: str) -> str:
    """Return a string for a field of another one, with other quotes if it has those of that; empty if it cannot be there."""
    content = body[: -len(quote)]
    if "\\" in content or "\n" in content:
        return ""
    if outer not in f"{quote}{body}":
        return f"{quote}{body}"
    other = "'" if outer[0] == '"' else '"'
    return f"{other}{content}{other}" if not {"'", '"'} & set(content) else ""


def _after_brackets(text: str, at: int) -> int:
    """Return the place behind the bracket that closes the one which is here."""
    depth = 0
    while (match := _INSIDE.search(text, at)) is not None:
        at = match.end()
        if match["quote"]:
            at, _ = _string(text, at, match["quote"], _prefix(text, match.start()))
        depth += (match[0] in ("(", "[", "{")) - (match[0] in (")", "]", "}"))
        if not depth:
            return at
    raise ValueError("a bracket without an end")
