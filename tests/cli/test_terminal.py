"""What a person sees on a terminal: the screens are drawn from what was written to a real one."""

import re
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.screen import Screen, run_on_terminal

from shipwheel.cli import progress
from shipwheel.cli.terminal import Terminal
from shipwheel.cli.text import columns
from shipwheel.errors import LockError
from shipwheel.events import Moved, StageFinished, StageStarted, Warned
from shipwheel.testing.world import World

BAR = re.compile("[━╸╺]")
COLOURS = re.compile(rb"\x1b\[[0-9;]*m")
MOVES = re.compile(rb"\x1b\[[0-9;?]*[A-HJKhlfsu]")


class Clock:
    """The time that the terminal shows."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(progress, "monotonic", found)
    return found


@pytest.fixture(params=[80, 120])
def screen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """A terminal with 80 and with 120 columns."""
    with Screen(request.param) as made:
        for name in ("CI", "NO_COLOR", "COLUMNS"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm-256color")
        yield made


def redraw(terminal: Terminal) -> None:
    """Draw the rows now, and not at the next tick."""
    assert terminal._progress is not None
    assert terminal._progress._live is not None
    terminal._progress._live.refresh()


def test_a_stage_is_one_row_that_becomes_one_line(screen: Screen, clock: Clock) -> None:
    terminal = Terminal(screen.stream)
    terminal.report(StageStarted("lock"))
    clock.now = 1.5
    redraw(terminal)
    assert screen.lines() == ["lock          1.5 s -"]
    terminal.report(StageFinished("lock", "14 Python packages"))
    terminal.report(StageStarted("fetch"))
    terminal.report(StageStarted("wheels", 4_000_000, "bytes", detail=True))
    terminal.report(Moved("wheels", "a.whl", 1_000_000, 2_000_000))
    redraw(terminal)
    assert screen.lines() == [
        "lock          1.5 s  14 Python packages",
        "fetch         0.0 s - wheels ━━━━╺━━━━━━━━━━━ 1.0 of 4.0 MB",
    ]
    terminal.report(Moved("wheels", "a.whl", 2_000_000, 2_000_000))
    terminal.report(Moved("wheels", "b.whl", 2_000_000, 2_000_000))
    clock.now = 3.5
    terminal.report(StageFinished("wheels", "2 files"))
    terminal.report(StageFinished("fetch"))
    terminal.stop()
    assert screen.lines() == [
        "lock          1.5 s  14 Python packages",
        "fetch         2.0 s  2 files, 4.0 MB",
    ]


def test_an_upload_has_its_own_row_beside_other_stages(screen: Screen, clock: Clock) -> None:
    terminal = Terminal(screen.stream)
    terminal.report(StageStarted("wheels"))
    terminal.report(StageStarted("push", 0, "bytes"))
    terminal.report(StageStarted("layers", 2, detail=True))
    terminal.report(Moved("layers", "", 1, 2))
    terminal.report(Moved("push", "a", 2_500_000, 9_000_000))
    redraw(terminal)
    assert screen.lines() == ["wheels        0.0 s - layers ━━━━━━━━╺━━━━━━━ 1/2", "push          0.0 s -                         2.5 MB"]
    clock.now = 1.0
    terminal.report(StageFinished("layers", "2 layers"))
    terminal.report(StageFinished("wheels"))
    terminal.report(StageStarted("system"))
    terminal.report(StageStarted("layers", 1, detail=True))
    clock.now = 2.0
    terminal.report(StageFinished("layers", "1 layer"))
    terminal.report(StageFinished("system"))
    terminal.report(StageFinished("push", "pushed 9.0 MB", notable=True))
    terminal.stop()
    assert screen.lines() == ["wheels        1.0 s  2 layers", "system        1.0 s  1 layer", "push          2.0 s  pushed 9.0 MB"]


def test_a_detail_that_failed_ends_with_its_stage(screen: Screen, clock: Clock) -> None:
    terminal = Terminal(screen.stream)
    terminal.report(StageStarted("system"))
    terminal.report(StageStarted("lists", 9_000_000, "bytes", detail=True))
    clock.now = 1.0
    terminal.report(StageFinished("system", "1 layer"))
    terminal.report(StageStarted("write"))
    redraw(terminal)
    assert screen.lines() == ["system        1.0 s  1 layer", "write         0.0 s -"]
    terminal.stop()


def test_warnings_and_errors_stand_above_the_rows(screen: Screen, clock: Clock) -> None:
    terminal = Terminal(screen.stream)
    terminal.report(StageStarted("base"))
    message = "a library was not found in any of the packages that the mirror lists at the moment, which may change"
    for _ in range(2):
        terminal.report(Warned(message, "Use https://mirror.example/a/long-address/that/nobody-may-break/debian"))
    redraw(terminal)
    lines = screen.lines()
    assert lines[-1] == "base          0.0 s -"
    assert sum("warning:" in line for line in lines) == 1
    assert " ".join(" ".join(lines).split()).startswith(
        f"warning: {message} Use https://mirror.example/a/long-address/that/nobody-may-break/debian"
    )
    assert all(line.startswith((" " * 9, "warning: ")) for line in lines[:-1]), lines
    terminal.error(LockError("no version\n  of a\n  of b", hint="Choose others."))
    assert screen.lines()[-4:] == ["error: no version", "         of a", "         of b", "hint: Choose others."]
    assert b"\x1b[?25h" in screen.written, "the cursor is shown again"


def test_lines_from_many_threads_stay_whole(screen: Screen, clock: Clock) -> None:
    terminal = Terminal(screen.stream)
    terminal.report(StageStarted("fetch"))

    def work(name: str) -> None:
        for number in range(20):
            terminal.report(StageStarted("files", 1000, "bytes", detail=True))
            terminal.report(Moved("files", f"{name}{number}", 1000, 1000))
            terminal.report(Warned(f"warning {number} of {name}"))
            terminal.report(StageFinished("files", "1 file"))

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    clock.now = 1.0
    terminal.report(StageFinished("fetch"))
    terminal.stop()
    expected = {f"warning: warning {number} of {name}" for name in "abcd" for number in range(20)}
    assert Counter(screen.lines()) == Counter([*expected, "fetch         1.0 s  80 files, 80.0 kB"])


@pytest.mark.parametrize("variable", ["NO_COLOR", "CI"])
def test_obeys_variables(screen: Screen, clock: Clock, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "true")
    terminal = Terminal(screen.stream)
    terminal.report(StageStarted("lock"))
    clock.now = 1.0
    terminal.report(Warned("look"))
    terminal.report(StageFinished("lock", "done"))
    terminal.stop()
    assert screen.lines() == ["warning: look", "lock          1.0 s  done"]
    assert bool(MOVES.search(screen.written)) == (variable != "CI"), "a log of CI keeps every redrawn row"
    colours = {code for code in COLOURS.findall(screen.written) if code not in (b"\x1b[0m", b"\x1b[1m", b"\x1b[m")}
    assert bool(colours) == (variable != "NO_COLOR"), colours


def test_text_from_elsewhere_cannot_control_the_terminal(screen: Screen, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(screen.stream)
    terminal.warn("evil \x1b[2J\x1b[31m\x9b1m \u202ename\r")
    terminal.note("tag \x07")
    terminal.result(dict, ["tag \x1b]0;x\x07"])
    assert screen.lines() == ["warning: evil ?[2J?[31m?1m ?name?", "tag ?"]
    assert capsys.readouterr().out == "tag ?]0;x?\n"


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("pipe", [False, True], ids=["terminal", "piped"])
def test_a_build_leaves_each_stage_once_and_no_bar(world: World, width: int, pipe: bool) -> None:
    place = world.app("small\nnative\n")
    env = {**world.environment(), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    command = world.command("build", place, "--no-bytecode", "-t", "registry.example/team/shop:1", "-o", "shop.oci")
    shown = run_on_terminal(command, width, env, cwd=world.root, pipe=pipe)
    assert shown.code == 0, shown.lines
    stages = [line.split()[0] for line in shown.lines if re.match(r"[a-z]+ +[0-9.]+ s  ", line)]
    assert stages
    assert sorted(stages) == sorted(set(stages)), shown.lines
    assert not [line for line in shown.lines if BAR.search(line)]
    header = next(line for line in shown.lines if line.startswith("platform"))
    assert header.split() == ["platform", "digest", "MB", "unpacked", "MB", "layers", "packages"]
    images = [line for line in shown.lines if line.startswith("linux/")]
    assert [len(line.split()) for line in images] == [9, 9]
    assert max(map(len, (header, *images))) <= 80
    result = shown.out if pipe else f"{''.join(shown.lines[-2:] if width == 80 else shown.lines[-1:])}\n"
    assert re.search(r"registry\.example/team/shop@sha256:[0-9a-f]{64}\n$", result)


def test_an_interrupted_build_leaves_no_row(screen: Screen, clock: Clock) -> None:
    terminal = Terminal(screen.stream)
    terminal.report(StageStarted("fetch"))
    redraw(terminal)
    terminal.interrupted("Interrupted.")
    assert screen.lines() == ["Interrupted."]
    assert screen.written.rindex(b"\x1b[?25h") > screen.written.rindex(b"\x1b[?25l")


def test_only_the_terminal_writes() -> None:
    """Text that another module writes would end up in the middle of the rows."""
    folder = Path(progress.__file__).parent
    writes = re.compile(r"click\.(echo|secho|prompt|confirm)\(|(?<![._])\bprint\(|sys\.(stdout|stderr)(?!\.(isatty|flush)\(\))")
    found = [path.name for path in sorted(folder.glob("*.py")) if writes.search(path.read_text(encoding="utf-8"))]
    assert found == ["terminal.py"]


def test_columns_are_aligned() -> None:
    assert columns([("a", "bb", "c"), ("long", "1", "22")], left=[0]) == "a     bb   c\nlong   1  22"
