"""The figures in the READMEs are those of the newest committed result."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

from publish import COMPILING, PAGES, compiled, newest, published  # noqa: E402
from timeline_chart import chart, shortened  # noqa: E402

STEPS = {"cold": 12.34, "no-op": 0.26, "one line edited": 0.5, "one dependency changed": 1.0}


def result_of(**more: object) -> dict[str, object]:
    """Return a result with all parts, in which the peer takes ten times as long."""
    steps = {step: {"shipwheel": {"s": value}, "BuildKit": {"s": 10 * value}} for step, value in STEPS.items()}
    large = {
        "steps": {
            "linux/amd64": {"cold": {"s": 30.0}, "no-op": {"s": 0.4}},
            "BuildKit": {"cold": {"s": 99.0}, "no-op": {"s": 0.5}},
        },
        "memory": {"tree": 250_400_000, "process": 180_000_000},
    }
    sections = {"app": {"wheels": 33, "steps": steps}, "pair": {"wheels": 33, "steps": steps}, "large": large}
    return {"cores": 2, "runs": 3, "sections": sections, **more}


@pytest.mark.parametrize("name", PAGES)
def test_a_readme_has_the_figures_of_the_newest_result(name: str) -> None:
    page = (ROOT / name).read_text(encoding="utf-8")
    assert published(page, json.loads(newest().read_text()), PAGES[name], newest().stem) == page, "run `python benchmarks/publish.py`"


def test_the_chart_is_that_of_the_committed_timeline() -> None:
    for path in (ROOT / "benchmarks" / "results").glob("*-timeline.json"):
        drawn = chart(json.loads(path.read_text()), path.with_suffix(".svg").read_text().partition('aria-label="')[2].partition('"')[0])
        assert path.with_suffix(".svg").read_text() == drawn, "run `python benchmarks/publish.py`"


def test_the_page_on_compiling_has_the_figures_of_the_newest_result() -> None:
    page, path = (ROOT / COMPILING).read_text(encoding="utf-8"), newest("compile")
    result = json.loads(path.read_text())
    assert compiled(page, result, path.stem) == page, "run `python benchmarks/publish.py`"
    assert all(found["imported"] == ["amd64", "arm64"] for found in result["sections"]["compile"].values()), "as the page says"


@pytest.mark.parametrize("name", PAGES)
def test_all_parts_of_a_result_are_published(name: str) -> None:
    page = (ROOT / name).read_text(encoding="utf-8")
    text = published(page, result_of(timeline="day-timeline"), PAGES[name], "day")
    added = [line for line in text.splitlines() if line not in page]
    for figure in ("12.3", "123.4", "30.0", "99.0", "250 MB", "180 MB", "results/day.md", "results/day-timeline.svg"):
        assert any(figure in line for line in added), figure
    assert published(text, result_of(timeline="day-timeline"), PAGES[name], "day") == text
    assert published(text, json.loads(newest().read_text()), PAGES[name], newest().stem) == page


def event(kind: str, name: str, began: float, lasted: float, thread: int = 1, **details: object) -> dict[str, object]:
    """Return an event of a timeline; times in seconds."""
    return {"ph": "X", "cat": kind, "name": name, "pid": 1, "tid": thread, "ts": began * 1e6, "dur": lasted * 1e6, "args": details}


def test_a_chart_has_a_row_for_each_kind_of_work_and_platform() -> None:
    events = [
        event("stage", "lock", 0, 1),
        event("work", "layer", 1, 3, 1, platforms=["linux/amd64"]),
        event("work", "segment", 1, 2, 1, about="numpy"),
        event("work", "layer", 1, 3, 2, platforms=["linux/amd64", "linux/arm64"]),
        event("work", "segment", 1, 3, 2, about="<pure>"),
        event("piece", "hash", 1, 1, 3, busy_ms=500.0),
        event("stage", "validate", 4, 0.001),
    ]
    drawn = chart({"traceEvents": events}, "a & b")
    assert "a &amp; b" in drawn
    rows = [line.partition(">")[2].partition("<")[0] for line in drawn.splitlines() if 'text-anchor="end"' in line]
    assert rows == ["s, all threads", "lock", "1.00", "segments amd64", "2.00", "segments both", "3.00", "hash", "0.50"]
    assert drawn.count("<rect") == 4


def test_a_shortened_timeline_keeps_the_work() -> None:
    events = [event("piece", "hash", number / 1000, 0.0001, 3, busy_ms=0.1, pieces=2) for number in range(1000)]
    events += [event("piece", "hash", 2, 0.0001, 3, busy_ms=0.1, pieces=2), event("work", "segment", 3, 1)]
    short = shortened({"traceEvents": events})["traceEvents"]
    assert [(each["name"], each["ts"], each["dur"]) for each in short] == [
        ("hash", 0, 999_100),
        ("hash", 2_000_000, 100),
        ("segment", 3_000_000, 1_000_000),
    ]
    assert short[0]["args"] == {"busy_ms": 100.0, "pieces": 2000}
