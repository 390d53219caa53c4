"""Files that a person makes from an example in the project: config.yml from config.example.yml, settings.py from settings.py.tpl."""

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from shipwheel.lazy_pattern import lazy_pattern

__all__ = ["example_of_module", "find_examples"]

_WORDS = "(?:example|sample|dist|template|tmpl|tpl|default)"
_EXAMPLE = lazy_pattern(rf"{_WORDS}[._-](?P<name>.+)|(?P<stem>.+?)[._-]{_WORDS}(?P<end>\.\w+)?", re.IGNORECASE)
_MAX_FOLDERS = 500


def find_examples(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the paths of files that the project has not, each with that of its example, relative to the project."""
    for folder, below, names in islice(os.walk(root), _MAX_FOLDERS):
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in ("node_modules", "venv"))
        for name in sorted(names):
            if (match := _EXAMPLE.fullmatch(name)) is not None:
                made = Path(folder, match["name"] or match["stem"] + (match["end"] or ""))
                if not made.exists():
                    yield made.relative_to(root).as_posix(), Path(folder, name).relative_to(root).as_posix()


def example_of_module(module: str, examples: tuple[tuple[str, str], ...]) -> str:
    """Return the example, one of `find_examples`, that a module is made from; empty without one."""
    path = f"/{module.replace('.', '/')}.py"
    return next((example for made, example in examples if f"/{made}".endswith(path)), "")
