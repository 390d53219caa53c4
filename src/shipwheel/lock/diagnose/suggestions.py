"""What a user could do about requirements that do not go together: the lines they wrote, and which changes are worth trying."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from shipwheel.lock.diagnose.conflicts import Asking, Way, loosened, pins
from shipwheel.lock.inputs import LockRequest
from shipwheel.lock.synthetic import Synthetic
from shipwheel.project.last_commit import last_commit
from shipwheel.project.metadata import read_group
from shipwheel.project.python_version import DEBIAN_PYTHONS
from shipwheel.project.requirements import Requirements
from shipwheel.settings import read_text, read_toml
from shipwheel.versions import end_of_day, minor_number, normalized

__all__ = ["asking_of", "ways_of"]

_OLD = 30
"""Days since the last commit after which that day is another one to try."""


def asking_of(request: LockRequest, listed: Requirements | None, synthetic: Synthetic) -> list[Asking]:
    """The user's own requirements, with file and line."""
    if listed is not None:
        lines = [*listed.lines, *listed.constraints]
        return [Asking(name, line.text, line.place) for line in lines if (name := synthetic.name_of(line))]
    path = request.script or request.root / "pyproject.toml"
    if not path.is_file():
        return []
    numbers = _numbers(read_text(path))
    found = []
    for text in _texts(request, synthetic):
        name = _name(text)
        place = f"{path.name}, line {numbers[name]}" if name in numbers else path.name
        found.append(Asking(name, text, place))
    return found


def _numbers(text: str) -> dict[str, int]:
    """Name -> the first line that begins a requirement of it: "name>=1" in a list, or name = "1" in a table of Poetry's."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        for match in re.finditer(r"""["']([A-Za-z0-9][\w.-]*)|^\s*([A-Za-z0-9][\w.-]*)\s*=""", line):
            found.setdefault(normalized(match[1] or match[2]), number)
    return found


def _name(text: str) -> str:
    found = re.match(r"\s*([A-Za-z0-9][\w.-]*)", text)
    return normalized(found[1]) if found else ""


def _texts(request: LockRequest, synthetic: Synthetic) -> list[str]:
    """All that the project asks for itself, where it can be read."""
    table = _static(request) if synthetic.project else None
    own = [text for text in synthetic.dependencies if _name(text) != synthetic.project]
    if table is None:
        return own
    texts = list(table.get("project", {}).get("dependencies", ()))
    for extra in request.extras:
        texts += table.get("project", {}).get("optional-dependencies", {}).get(extra, ())
    for group in request.groups:
        texts += read_group(table, group)
    return list(dict.fromkeys([*texts, *own]))


def _static(request: LockRequest) -> dict[str, Any] | None:
    path = request.root / "pyproject.toml"
    data = read_toml(path) if path.is_file() else {}
    project = data.get("project", {})
    return data if "dependencies" in project and "dependencies" not in project.get("dynamic", ()) else None


def ways_of(request: LockRequest, synthetic: Synthetic, limit: str | None, names: Sequence[str]) -> Iterator[Way]:
    """What is worth trying: one of the lines in conflict left open, another Python of Debian's, another day."""
    free = not synthetic.project or _static(request) is not None
    texts = _texts(request, synthetic)
    known = pins(texts)
    for name in [name for name in dict.fromkeys(names) if name in known][:2] if free else ():
        advice = f"leave out {known[name]} behind {name} (then {{version}})"
        yield Way(advice, _unbound(loosened(synthetic, texts, name)), limit, name)
    if day := _day(request):
        yield Way(f"resolve as of another day: --as-of {day}", replace(synthetic, kept=()), end_of_day(day))
    elif request.as_of:
        yield Way("resolve as of today: without --as-of", replace(synthetic, kept=()), None)
    if other := _other_python(synthetic.python):
        yield Way(f"another Python: --python {other}", replace(synthetic, python=other, kept=()), limit)


def _unbound(synthetic: Synthetic) -> Synthetic:
    """Without the user's own distribution, whose metadata would ask for the same again."""
    sources = {name: source for name, source in synthetic.sources.items() if name != synthetic.project}
    return replace(synthetic, sources=sources, project="")


def _other_python(python: str) -> str:
    """The next older of Debian's, else the next newer."""
    order = sorted(DEBIAN_PYTHONS, key=minor_number)
    older = [version for version in order if minor_number(version) < minor_number(python)]
    newer = [version for version in order if minor_number(version) > minor_number(python)]
    return older[-1] if older else newer[0] if newer else ""


def _day(request: LockRequest) -> date | None:
    if request.as_of:
        return None
    day = last_commit(Path(request.root))
    return day if day is not None and (date.today() - day).days > _OLD else None
