"""Files that a person makes: config.yml from config.example.yml, settings.py from settings.py.tpl, or what .gitignore names."""

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["environment_beside", "example_environment", "example_of_module", "find_examples", "ignored_file_of_module", "ignored_files"]

_WORDS = "(?:example|sample|dist|template|tmpl|tpl|default)"
_EXAMPLE = lazy_pattern(rf"{_WORDS}[._-](?P<name>.+)|(?P<stem>.+?)[._-]{_WORDS}(?P<end>\.\w+)?", re.IGNORECASE)
_IGNORED = lazy_pattern(r"^/?(?P<path>[\w./-]+\.(?:py|ya?ml|json|toml|ini|cfg|conf))[ \t]*$", re.MULTILINE)
_ENVIRONMENT = lazy_pattern(r"(?:[\w.-]*\.)?env(?:\.[\w.-]+)?", re.IGNORECASE)
_ASSIGNED = lazy_pattern(r"^[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_]\w*)[ \t]*=(?P<value>.*)$", re.MULTILINE | re.ASCII)
_COMMENT = lazy_pattern(r"(?:^|\s)#")
_OF_THE_CONTAINER = lazy_pattern(
    r"(?:(?:APP|SERVER|WEB|HTTP|API|LISTEN|BIND)_)?(?:HOST|PORT|ADDRESS)|PATH|HOME|USER|PYTHON\w*|LD_\w+|\w*DEBUG\w*"
)
"""Variables whose values the image decides: what it listens on and runs with."""
_BESIDE = (".env", "env")
_MAX_FOLDERS = 500
_MAX_TEXT = 1 << 16


def find_examples(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the paths of files that the project has not, each with that of its example, relative to the project."""
    for folder, below, names in islice(os.walk(root), _MAX_FOLDERS):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in ("node_modules", "venv"))
        for name in sorted(names):
            if (match := _EXAMPLE.fullmatch(name)) is not None:
                made = Path(folder, match["name"] or match["stem"] + (match["end"] or ""))
                if not made.exists():
                    yield made.relative_to(root).as_posix(), Path(folder, name).relative_to(root).as_posix()


def example_environment(root: Path) -> tuple[str, dict[str, str]]:
    """Return the example of the file of environment variables that a project has not, such as .env.example, and its values.

    Those of several directories are not of one program: the one highest up counts. Empty values, and those that the image decides, such as
    the port, are left out. ("", {}) without an example.
    """
    found = [(made, example) for made, example in find_examples(root) if _ENVIRONMENT.fullmatch(made.rpartition("/")[2]) is not None]
    for _, example in sorted(found, key=lambda each: (each[0].count("/"), each[0] != ".env")):
        try:
            values = _values(root / example)
        except OSError:
            continue
        return example, {name: value for name, value in values.items() if value and _OF_THE_CONTAINER.fullmatch(name) is None}
    return "", {}


def environment_beside(folder: Path) -> dict[str, str]:
    """Return the values of the file .env of a directory, or else those of its example; none without either."""
    try:
        paths = sorted(folder.iterdir())
        examples = (path for path in paths if (found := _EXAMPLE.fullmatch(path.name)) and (found["name"] or found["stem"]) in _BESIDE)
        return next((_values(path) for path in (*(path for path in paths if path.name == ".env"), *examples)), {})
    except OSError:
        return {}


def _values(path: Path) -> dict[str, str]:
    """Return the variables of a file of the environment. Raise OSError if it cannot be read."""
    with path.open("rb") as stream:
        text = stream.read(_MAX_TEXT).decode("utf-8", "replace").replace("\r\n", "\n")
    return {match["name"]: _value(match["value"].strip()) for match in _ASSIGNED.finditer(text)}


def _value(text: str) -> str:
    """Return the value of a variable without its quotes, or the comment behind it."""
    if text[:1] in ("'", '"') and (end := text.find(text[0], 1)) > 0:
        return text[1:end]
    return _COMMENT.split(text, 1)[0].strip()


def example_of_module(module: str, examples: tuple[tuple[str, str], ...]) -> str:
    """Return the example, one of `find_examples`, that a module is made from; empty without one."""
    path = f"/{module.replace('.', '/')}.py"
    return next((example for made, example in examples if f"/{made}".endswith(path)), "")


def ignored_files(root: Path) -> tuple[str, ...]:
    """Return the code and configuration files that .gitignore names in full and the project has not: each machine has its own.

    Paths are relative to the project, or a file's name alone, as .gitignore has them.
    """
    try:
        text = (root / ".gitignore").read_text("utf-8", "replace")
    except OSError:
        return ()
    return tuple(match["path"] for match in _IGNORED.finditer(text) if not os.path.lexists(root / match["path"]))


def ignored_file_of_module(module: str, ignored: tuple[str, ...]) -> str:
    """Return the file, one of `ignored_files`, that a module would be; empty if none of them would."""
    path = f"{module.replace('.', '/')}.py"
    return next((file for file in ignored if f"/{path}".endswith(f"/{file}") or f"/{file}".endswith(f"/{path}")), "")
