"""The record of a build's work: what is in the file, and that nothing is recorded without one."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shipwheel import timeline
from shipwheel.events import Event, Moved, StageFinished, StageStarted, silent
from shipwheel.timeline import LAYERS, belongs, piece, recorded, span


class Clock:
    """A monotonic clock that stands still until it is told otherwise; the process has used a second before."""

    def __init__(self) -> None:
        self.now = 5_000_000_000

    def monotonic_ns(self) -> int:
        return self.now

    def process_time_ns(self) -> int:
        return 1_000_000_000

    def passes(self, milliseconds: float) -> None:
        self.now += int(milliseconds * 1e6)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timeline, "time", clock)
    return clock


def events(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the file's events by their names."""
    found: dict[str, list[dict[str, Any]]] = {}
    for event in json.loads(path.read_text())["traceEvents"]:
        if event["ph"] == "X":
            found.setdefault(event["name"], []).append(event)
    return found


def times(found: list[dict[str, Any]]) -> Iterator[tuple[float, float]]:
    """Yield begin and length of events in milliseconds."""
    return ((event["ts"] / 1e3, event["dur"] / 1e3) for event in found)


def test_spans_contain_each_other(tmp_path: Path, clock: Clock) -> None:
    with recorded(tmp_path / "t.json", silent), span("outer", "all"):
        clock.passes(1)
        with span("inner"):
            clock.passes(2)
        clock.passes(4)
    found = events(tmp_path / "t.json")
    assert [*times(found["start"])] == [(0, 1000)]
    assert [*times(found["outer"])] == [(1000, 7)]
    assert [*times(found["inner"])] == [(1001, 2)]
    assert found["outer"][0]["args"] == {"about": "all"}
    assert found["outer"][0]["tid"] == found["inner"][0]["tid"]


def test_close_pieces_become_one(tmp_path: Path, clock: Clock) -> None:
    with recorded(tmp_path / "t.json", silent):
        for pause in (1, 1, 50, 1):
            with piece("hash"):
                clock.passes(2)
            clock.passes(pause)
    found = events(tmp_path / "t.json")["hash"]
    assert [*times(found)] == [(1000, 8), (1058, 2)]
    assert [event["args"] for event in found] == [{"busy_ms": 6.0, "pieces": 3}, {"busy_ms": 2.0, "pieces": 1}]


def test_each_thread_has_a_track(tmp_path: Path, clock: Clock) -> None:
    def work() -> None:
        with span("segment"):
            clock.passes(1)

    with recorded(tmp_path / "t.json", silent):
        work()
        other = threading.Thread(target=work, name="other")
        other.start()
        other.join()
    tracks = {event["tid"] for event in events(tmp_path / "t.json")["segment"]}
    names = {
        event["tid"]: event["args"]["name"] for event in json.loads((tmp_path / "t.json").read_text())["traceEvents"] if event["ph"] == "M"
    }
    assert {names[track] for track in tracks} == {threading.current_thread().name, "other"}


def test_stages_come_from_the_events_and_pass_on(tmp_path: Path, clock: Clock) -> None:
    seen: list[Event] = []
    sent: list[Event] = [StageStarted("lock"), Moved("lock", "x", 1, 2), StageFinished("lock", "3 packages"), StageStarted("push")]
    with recorded(tmp_path / "t.json", seen.append) as report:
        for event in sent:
            report(event)
            clock.passes(3)
    found = events(tmp_path / "t.json")
    assert seen == sent
    assert [*times(found["lock"])] == [(1000, 6)]
    assert found["lock"][0]["args"] == {"about": "3 packages"}
    assert [*times(found["push"])] == [(1009, 3)]
    assert found["push"][0]["args"] == {"failed": True}


def test_layers_have_their_platforms(tmp_path: Path, clock: Clock) -> None:
    with recorded(tmp_path / "t.json", silent):
        with span(LAYERS, "numpy", key="k"):
            clock.passes(1)
        belongs("k", "linux/amd64")
        belongs("k", "linux/arm64")
    assert events(tmp_path / "t.json")[LAYERS][0]["args"] == {"about": "numpy", "platforms": ["linux/amd64", "linux/arm64"]}


def test_a_failed_build_has_a_file_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it"), recorded(tmp_path / "t.json", silent), span("segment"):
        raise ValueError("it")
    assert [*events(tmp_path / "t.json")] == ["start", "segment"]


def test_nothing_is_recorded_without_a_file(tmp_path: Path) -> None:
    with recorded(None, silent) as report:
        assert report is silent
        assert span("segment") is piece("hash") is span("layer", key="k")
    with recorded(tmp_path / "t.json", silent):
        pass
    assert [*events(tmp_path / "t.json")] == ["start"]


def test_a_file_that_cannot_be_written_stops_the_build_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"), recorded(tmp_path / "missing" / "t.json", silent):
        pytest.fail("the build began")
