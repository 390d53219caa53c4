"""Patterns as in .gitignore files (gitignore(5)), and those of .dockerignore files in the same form."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipwheel.errors import ProjectError
from shipwheel.quiet import without_warnings
from shipwheel.user.files import read_text

if TYPE_CHECKING:
    from pathspec import PathSpec

__all__ = ["dockerignore_spec", "gitignore_spec", "read_gitignore"]


def read_gitignore(path: Path) -> "PathSpec[Any]":
    """Return the patterns in a .gitignore file, without invalid ones, which git ignores. Raise ProjectError if it cannot be read."""
    lines = read_text(path).splitlines()
    try:
        return gitignore_spec(lines, str(path))
    except ProjectError:
        return gitignore_spec(filter(_is_valid, lines), str(path))


def _is_valid(pattern: str) -> bool:
    try:
        gitignore_spec((pattern,), "")
    except ProjectError:
        return False
    return True


def gitignore_spec(patterns: Iterable[str], origin: str) -> "PathSpec[Any]":
    """Return patterns, compiled. Raise ProjectError that names their `origin` if one is wrong."""
    from pathspec import GitIgnoreSpec

    # pathspec lets `a/**/` match `a/` itself; it means the directories below.
    lines = [re.sub(r"/\*\*/\s*$", "/**/*/", line) for line in patterns]
    return _compiled(lambda: GitIgnoreSpec.from_lines(lines), origin)


def dockerignore_spec(path: Path) -> "PathSpec[Any]":
    """Return the patterns in a .dockerignore file, which start at its directory. Raise ProjectError."""
    from pathspec import PathSpec

    return _compiled(lambda: PathSpec.from_lines("gitignore", _anchored(read_text(path).splitlines())), str(path))


def _anchored(lines: Iterable[str]) -> Iterator[str]:
    """Yield the patterns of a .dockerignore file as patterns of a .gitignore file."""
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        negation = "!" if text.startswith("!") else ""
        pattern = os.path.normpath(text.removeprefix("!").strip()).strip("/")
        if pattern and pattern != ".":
            yield f"{negation}/{pattern}"


def _compiled(compile_patterns: "Callable[[], PathSpec[Any]]", origin: str) -> "PathSpec[Any]":
    try:
        # The regular expression compiler warns about patterns like [[].
        with without_warnings():
            return compile_patterns()
    except (ValueError, re.error) as error:
        raise ProjectError(f"{origin}: {error}", hint="Correct the pattern. The syntax is that of .gitignore.") from error
