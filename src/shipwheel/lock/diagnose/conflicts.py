"""Requirements that do not go together: uv's explanation in the user's own lines, and ways out that were tried before they are named."""

import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from shipwheel.errors import LockError
from shipwheel.events import Reporter, StageFinished, StageStarted
from shipwheel.lock import uv
from shipwheel.lock.diagnose.uv_errors import UNKNOWN
from shipwheel.lock.synthetic import SYNTHETIC, Synthetic
from shipwheel.versions import normalized

__all__ = ["Asking", "Way", "chain", "loosened", "pins", "refused", "ways_out"]

_CONFLICT = re.compile(r"unsatisfiable|No solution found")
_ASKED = r"([A-Za-z0-9][\w.-]*)(\[[^\]]*\])?((?:[<>=!~]\S*)?)"
_EDGE = re.compile(rf"(?:all versions of )?([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?((?:[<>=!~]\S*)?) depends? on {_ASKED}")
_ANOTHER = re.compile(rf"{_ASKED}$")
_ABSENT = re.compile(r"([A-Za-z0-9][\w.-]*) was not found in the package registry")
_TRIES = 4
_PATIENCE = 20.0
"""Seconds that one try may take."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A requirement that the user wrote: the name, its text, and the file and line."""

    name: str
    text: str
    place: str


@dataclass(frozen=True, slots=True)
class Way:
    """A way out to try: what the user would do, the project that uv then locks, and as of which instant."""

    advice: str
    synthetic: Synthetic
    limit: str | None
    name: str = ""
    """The distribution whose version the advice should name."""


def refused(
    error: LockError, asking: Sequence[Asking], project: str, ways: Callable[[Sequence[str]], Sequence[Way]], reporter: Reporter
) -> LockError:
    """The error to raise: as it is, or for a conflict the chain that matters and the ways out that work.

    `project` is the user's own distribution; `ways` are the ones to try, given the names that the user's lines of the chain ask for.
    """
    if not _CONFLICT.search(error.explanation) or error.names_python:
        return error
    head = error.message.partition(" cannot be locked")[0]
    if unknown := _unknown(error, asking):
        hint = "Check how it is spelled, and which index is asked (UV_DEFAULT_INDEX); a private one has to be named."
        return LockError(f"{head} cannot be locked: not found on the package index: {', '.join(unknown)}", hint=hint)
    links, names = chain(error.explanation, asking, project)
    tried = ways(names)[:_TRIES]
    found = ways_out(tried, reporter)
    message = "\n  ".join((f"{head} cannot be locked: these do not go together:", *links)) if links else error.message
    if found:
        return LockError(message, hint="Tried, and it works: " + "; or ".join(found) + ".")
    failed = "; ".join(way.advice.replace(" (then {version})", "") for way in tried)
    return LockError(message, hint=f"{error.hint} Tried, and not enough alone: {failed}." if tried else error.hint)


def _unknown(error: LockError, asking: Sequence[Asking]) -> list[str]:
    """What the user asks for by a name that the index does not have: no other version, Python or day helps."""
    absent = {normalized(name) for name in _ABSENT.findall(" ".join(error.explanation.split()))}
    return [f"{item.name} ({item.place})" for item in asking if item.name in absent] if error.hint == UNKNOWN else []


def chain(explanation: str, asking: Sequence[Asking], project: str = "", least: int = 2) -> tuple[list[str], list[str]]:
    """The lines of the explanation's premises, and the names that the user's own lines among them ask for.

    Empty when the explanation is not one that can be said in the user's lines, `least` of them all.
    """
    text = " ".join(explanation.split())
    mine = {item.name: item for item in asking}
    links: list[str] = []
    names: list[str] = []
    for asker, version, asked, extras, specifier in _premises(text):
        asker = SYNTHETIC if asker == project else asker
        if asked in names and asker == SYNTHETIC:
            continue
        item = mine.get(asked)
        if asker == SYNTHETIC and item is not None:
            links.append(f"{item.place}: {item.text}")
            names.append(asked)
        elif asker != SYNTHETIC and asked != SYNTHETIC:
            links.append(f"{asker} {version.removeprefix('==')} wants {asked}{extras}{specifier}".replace("  ", " "))
    # A chain that does not begin with the user's lines would explain nothing to them.
    askers = {link.split(" ", 1)[0] for link in links}
    order = sorted(names, key=lambda name: name not in askers)
    return (_ordered(links, names), order) if names and len(links) >= least else ([], order)


def _ordered(links: Sequence[str], names: Sequence[str]) -> list[str]:
    """The user's lines, those first that bring in others, with the wishes of what they bring in behind them."""
    own = [link for link in links if ": " in link and " wants " not in link]
    rest = [link for link in dict.fromkeys(links) if link not in own]
    found: list[str] = []
    askers = {link.split(" ", 1)[0] for link in rest}
    for link, name in sorted(zip(own, names, strict=False), key=lambda pair: pair[1] not in askers):
        found.append(link)
        reach = [name]
        for asker in reach:
            for other in [other for other in rest if other.split(" ", 1)[0] == asker]:
                found.append(f"  {other}")
                rest.remove(other)
                reach.append(re.split(r"[\[<>=!~]", other.partition(" wants ")[2], maxsplit=1)[0])
    return [*found, *rest]


def _premises(text: str) -> Iterator[tuple[str, str, str, str, str]]:
    """(asker, its version, asked, extras, specifier) of what is stated, not of what is concluded; the project itself is SYNTHETIC."""
    for sentence in re.split(r"(?<=\.) (?=And because|Because|cause:)", text):
        premise = sentence.partition(", we can conclude")[0].replace("your project", SYNTHETIC)
        asker = version = ""
        # "a depends on b<2 and c>1 and d depends on e": what follows an `and` may be the same asker's.
        for part in re.split(r"\band (?=\S)", premise):
            if edge := _EDGE.search(part.strip()):
                asker, version = normalized(edge[1]), edge[2]
                yield asker, version, normalized(edge[3]), edge[4] or "", edge[5].rstrip(",.")
            elif asker and (another := _ANOTHER.match(part.strip().rstrip(","))):
                yield asker, version, normalized(another[1]), another[2] or "", another[3]


def ways_out(ways: Sequence[Way], reporter: Reporter) -> list[str]:
    """Those that work, tried side by side, each within some seconds; at most two are worth naming."""
    if not ways:
        return []
    reporter(StageStarted("ways out", len(ways)))
    with ThreadPoolExecutor(len(ways), thread_name_prefix="way") as pool:
        found = [text for text in pool.map(uv.told_as_here(_tried), ways) if text]
    reporter(StageFinished("ways out", f"{len(found)} of {len(ways)} work"))
    return found[:2]


def _tried(way: Way) -> str:
    with tempfile.TemporaryDirectory(prefix="shipwheel-lock-") as place:
        folder = Path(place).resolve()
        way.synthetic.write(folder, everywhere=False)
        python = str(uv.local_python(way.synthetic.python) or sys.executable)
        text = uv.try_lock(folder, exclude_newer=way.limit, python=python, timeout=_PATIENCE)
    if text is None:
        return ""
    versions = {package["name"]: package.get("version", "") for package in tomllib.loads(text).get("package", [])}
    version = versions.get(way.name, "")
    return way.advice.replace("{version}", version) if version or not way.name else way.advice.replace(" (then {version})", "")


def loosened(synthetic: Synthetic, dependencies: Sequence[str], name: str) -> Synthetic:
    """The project with one requirement's version left open; `dependencies` are all that it asks for."""

    def open_(text: str) -> str:
        found = re.match(r"\s*([A-Za-z0-9][\w.-]*)\s*(\[[^\]]*\])?([^;@]*)(;.*)?$", text)
        if found is None or normalized(found[1]) != name:
            return text
        return f"{found[1]}{found[2] or ''} {found[4] or ''}".strip()

    return replace(synthetic, dependencies=[open_(text) for text in dependencies], kept=())


def pins(dependencies: Sequence[str]) -> Mapping[str, str]:
    """Normalised name -> specifier of those requirements that have one."""
    found = {}
    for text in dependencies:
        match = re.match(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?([^;@]*)(?:;.*)?$", text)
        if match is not None and match[2].strip():
            found[normalized(match[1])] = match[2].strip()
    return found
