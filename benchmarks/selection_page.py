"""The page of the comparison: the questions, the agreements, and the reason for each difference."""

import datetime
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import msgspec
from selection_peers import Where

__all__ = ["Answer", "Run", "page", "unexplained"]

_BOUND = (
    "Its files say Requires-Python: {0}. pip respects that; uv, which makes our lock, ignores upper bounds when it resolves, and leaves "
    "them out of its lock."
)
REASONS = {
    "pyside2": _BOUND.format("<3.11"),
    "shiboken2": _BOUND.format("<3.11"),
}
"""Package -> why the peers choose another file."""

_HEAD = """# Selection compared with pip and uv

`locking/selection.py` chooses the wheel of a package for a target by the target's tags. This page compares it with what pip and uv choose
for the same target. `python benchmarks/selection.py --save docs/selection.md` writes it; `tests/locking/test_selection_peers.py` compares
some of the packages, and made-up ones with every unusual tag, in each test run.

On {day}, with {peers}: {count} widely used packages, most with binary wheels, for {targets} targets, in the version of our lock for that
Python. All three read the same recorded pages of the package index. pip ran as
`install --dry-run --report --no-deps --only-binary=:all: --implementation cp --python-version … --abi … --platform …` with every platform
tag of the target's glibc, uv as `pip compile --no-deps --only-binary :all: --python-version … --python-platform …` (2.40 is its newest
glibc, and stands for 2.41). No part of shipwheel takes part in their answers.

**{questions} questions: all three agree in {agreed} and differ in {differ}.**
"""

_MADE_UP = """
## Made-up packages

Made-up pages cover what is rare on an index: build numbers, `linux_x86_64`, free-threaded wheels, compressed tag sets, other implementations,
single yanked files, and more. Only these differ:

| case | shipwheel | pip | uv | why |
|---|---|---|---|---|
| `manylinux_2_16` beside `manylinux2010` (glibc 2.12) | `manylinux_2_16` | `manylinux2010` | `manylinux_2_16` | pip expands `--platform manylinux2014` to 2010 and 1, which then come before 2.16 to 2.13. On the target itself, pip takes `manylinux_2_16`. |
| `manylinux_2_41`, on glibc 2.41 | it | it | another, or none | uv has no name for a platform newer than 2.40. |
| one file of a version is yanked | it | another | it | A lock (PEP 751) does not record which files are yanked. Wholly yanked versions are not locked, and files are usually yanked together. |
| one file of a version has another Requires-Python | it | another | it | The lock has no Requires-Python per file, and uv takes a version's from one of its files. They seldom differ. |
"""  # noqa: E501


class Answer(msgspec.Struct, frozen=True):
    """The answers for one version and target: names of wheels, empty for none. `why` is our reason for none."""

    name: str
    version: str
    where: Where
    ours: str
    why: str
    theirs: tuple[str, ...] = ()

    @property
    def agreed(self) -> bool:
        """Whether all chose the same file, or none."""
        return set(self.theirs) == {self.ours}


@dataclass(frozen=True, slots=True)
class Run:
    """All answers of a day, and the peers' names with versions, in the order of `Answer.theirs`."""

    day: datetime.date
    peers: tuple[str, ...]
    answers: tuple[Answer, ...]


def page(run: Run) -> str:
    """Return the page as Markdown."""
    different = [answer for answer in run.answers if not answer.agreed]
    head = _HEAD.format(
        day=run.day.isoformat(),
        peers=" and ".join(run.peers),
        count=len({answer.name for answer in run.answers}),
        targets=len({answer.where for answer in run.answers}),
        questions=len(run.answers),
        agreed=len(run.answers) - len(different),
        differ=len(different),
    )
    return head + "\n".join(["", *_by_target(run), "", *_by_kind(run), "", *_differences(run, different)]) + "\n" + _MADE_UP


def unexplained(run: Run) -> list[str]:
    """Return the packages that differ without a reason in REASONS."""
    return sorted({answer.name for answer in run.answers if not answer.agreed and answer.name not in REASONS})


def _by_target(run: Run) -> Iterator[str]:
    yield "| target | same wheel | no wheel for any | different |"
    yield "|---|---:|---:|---:|"
    for where, group in groupby(run.answers, key=lambda answer: answer.where):
        answers = list(group)
        same = sum(answer.agreed and bool(answer.ours) for answer in answers)
        none = sum(answer.agreed and not answer.ours for answer in answers)
        yield f"| {where} | {same} | {none} | {len(answers) - same - none} |"


def _by_kind(run: Run) -> Iterator[str]:
    kinds = Counter(_kind(answer.ours) for answer in run.answers if answer.agreed and answer.ours)
    kinds["none: sdists, other systems, other machines, a newer glibc, another Python"] = sum(
        answer.agreed and not answer.ours for answer in run.answers
    )
    yield "| what all three take | answers |"
    yield "|---|---:|"
    yield from (f"| {kind} | {count} |" for kind, count in kinds.most_common())


def _kind(filename: str) -> str:
    _, abi, platform = filename.removesuffix(".whl").split("-")[-3:]
    if platform == "any":
        return "a wheel for every machine"
    libc = " beside musl, in one file" if "musllinux" in platform else ""
    if abi == "abi3":
        return f"the stable ABI{libc}"
    return f"any Python, this machine{libc}" if abi == "none" else f"this Python, this machine{libc}"


def _differences(run: Run, different: list[Answer]) -> Iterator[str]:
    names = [peer.partition(" ")[0] for peer in run.peers]
    yield "## Differences"
    yield ""
    yield f"| package | shipwheel | {' | '.join(names)} | targets | why |"
    yield f"|---|---|{'---|' * len(names)}---|---|"
    found: dict[tuple[str, ...], list[Where]] = {}
    for answer in different:
        files = map(_tags, (answer.ours, *answer.theirs))
        found.setdefault((answer.name, f"{answer.name} {answer.version}", *files), []).append(answer.where)
    for (name, *cells), targets in found.items():
        pythons = ", ".join(dict.fromkeys(where.python.rpartition(".")[0] for where in targets))
        yield f"| {' | '.join(cells)} | {len(targets)} of Python {pythons} | {REASONS.get(name, 'not known')} |"


def _tags(filename: str) -> str:
    """Return the part that differs between the wheels of a version."""
    return f"`{filename.removesuffix('.whl').split('-', 2)[2]}`" if filename else "none"
