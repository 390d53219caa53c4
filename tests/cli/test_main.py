"""Help, errors, exit codes, and which stream each output goes to."""

import io
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable
from types import ModuleType

import click
import msgspec
import pytest
from support.digests import ANY

from shipwheel import __version__, cli, errors
from shipwheel.cli import progress as reporting
from shipwheel.cli.progress import progress
from shipwheel.errors import DamagedBlob, ShipwheelError
from shipwheel.events import Moved, Reporter, StageFinished, StageStarted, Warned


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "shipwheel", *arguments], capture_output=True, text=True, check=False)


def test_prints_the_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"shipwheel, version {__version__}\n", "")


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_command(flag: str) -> None:
    done = run(flag)
    assert (done.returncode, done.stderr) == (0, "")
    for name, text in cli.COMMANDS.items():
        assert name in done.stdout
        assert text.split(".")[0] in " ".join(done.stdout.split())


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0, done.stderr
    usage, _, text = done.stdout.partition("\n\n")
    assert usage.startswith(f"Usage: python -m shipwheel {name} ")
    assert text.split()[0] == cli.COMMANDS[name].split()[0], "the list of commands and the command start with the same verb"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(("biuld",), "Did you mean 'build'?"), (("zzz",), "zzz"), (("--nope",), "--nope"), (("build", "--nope"), "--nope")],
)
def test_usage_errors_exit_with_2(arguments: tuple[str, ...], text: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_no_arguments_show_help() -> None:
    done = run()
    assert done.returncode in (0, 2)
    assert "Commands" in done.stdout + done.stderr


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], int]:
    """Return a function that runs the command line with one command of this body, and returns the exit code."""

    def start(body: Callable[[], object]) -> int:
        module = ModuleType("shipwheel.cli.boom")
        module.command = click.command("boom")(body)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "shipwheel.cli.boom", module)
        monkeypatch.setitem(cli.COMMANDS, "boom", "Fails.")
        monkeypatch.setattr(sys, "argv", ["shipwheel", "boom"])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert isinstance(caught.value.code, int)
        return caught.value.code

    return start


def raising(error: BaseException) -> Callable[[], object]:
    def body() -> None:
        raise error

    return body


def all_errors() -> list[ShipwheelError]:
    kinds = [getattr(errors, name) for name in errors.__all__]
    return [kind(ANY) if kind is DamagedBlob else kind("it went wrong", hint="do this") for kind in kinds]


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: type(error).__name__)
def test_an_error_is_shown_as_message_and_hint(
    command: Callable[[Callable[[], object]], int], capsys: pytest.CaptureFixture[str], error: ShipwheelError
) -> None:
    assert command(raising(error)) == error.exit_code
    out, text = capsys.readouterr()
    assert out == ""
    assert text == f"error: {error.message}\nhint: {error.hint}\n"


def test_the_documented_exit_codes_are_the_real_ones() -> None:
    lines = (errors.__doc__ or "").splitlines()
    for name in errors.__all__:
        if name != "ShipwheelError":
            line = next(line for line in lines if f" {name} " in line)
            assert str(getattr(errors, name).exit_code) in line.split(), line


def test_an_error_without_a_hint_is_one_line(command: Callable[[Callable[[], object]], int], capsys: pytest.CaptureFixture[str]) -> None:
    command(raising(ShipwheelError("it went wrong")))
    assert capsys.readouterr().err == "error: it went wrong\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interruption_exits_with_130(
    command: Callable[[Callable[[], object]], int], capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    assert command(raising(error)) == 130
    assert "run the same command to continue" in capsys.readouterr().err


def test_a_closed_pipe_exits_with_1(command: Callable[[Callable[[], object]], int]) -> None:
    assert command(raising(BrokenPipeError(32, "Broken pipe"))) == 1


def test_a_command_sets_the_exit_code(command: Callable[[Callable[[], object]], int]) -> None:
    assert command(lambda: None) == 0
    assert command(lambda: 3) == 3
    assert command(lambda: click.get_current_context().exit(4)) == 4
    assert command(raising(click.UsageError("bad"))) == 2


def test_a_bug_keeps_its_traceback(command: Callable[[Callable[[], object]], int]) -> None:
    with pytest.raises(ZeroDivisionError):
        command(raising(ZeroDivisionError()))


EVENTS = (
    StageStarted("fetch", 3_000_000, "bytes"),
    Moved("fetch", "a", 1_000_000, 2_000_000),
    Moved("fetch", "a", 2_000_000, 2_000_000),
    Moved("fetch", "b", 500_000, 1_000_000),
    Warned("look at this", "and do that"),
    StageFinished("fetch", "2 files"),
    Moved("fetch", "b", 1_000_000, 1_000_000),
    StageFinished("never started"),
    StageStarted("count", 0, "items"),
    Moved("count", "x", 1, 0),
    StageStarted("count", 2, "items"),
    Moved("count", "x", 1, 2),
    StageFinished("count", "1 thing"),
)
WARNING = "warning: look at this\n         and do that\n"


def test_prints_lines_without_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "_MIN_SHOWN_S", 0.0)
    with progress(quiet=False) as report:
        for event in EVENTS:
            report(event)
    out, text = capsys.readouterr()
    assert out == ""
    lines = text.splitlines()
    assert text.startswith(WARNING)
    assert lines[2].split()[0] == "fetch"
    assert lines[2].endswith("s  2 files")
    assert lines[-1].endswith("s  1 thing")


def test_a_quick_stage_leaves_a_line_only_if_it_is_notable(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "_MIN_SHOWN_S", 1e9)
    with progress(quiet=False) as report:
        report(StageFinished("plan", "nothing to do"))
        report(StageFinished("push", "1.0 MB uploaded", notable=True))
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == ["push"]


def test_quiet_shows_only_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=True) as report:
        for event in EVENTS:
            report(event)
    assert capsys.readouterr() == ("", WARNING)


def test_repeats_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=True) as report:
        for _ in range(2):
            report(Warned("true for two platforms"))
        report(Warned("something else"))
    assert capsys.readouterr().err.count("warning:") == 2


def send(report: Reporter, name: str) -> None:
    """Send all events, in stages with this name."""
    for event in EVENTS:
        report(event if isinstance(event, Warned) else msgspec.structs.replace(event, stage=f"{event.stage} {name}"))


def test_shows_bars_on_a_terminal(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a real terminal only the lines remain at the end, and standard output is untouched."""
    ours, theirs = pty.openpty()
    pieces: list[bytes] = []

    def collect() -> None:
        while True:
            try:
                data = os.read(ours, 4096)
            except OSError:
                return
            if not data:
                return
            pieces.append(data)

    reader = threading.Thread(target=collect)
    reader.start()
    with io.TextIOWrapper(io.FileIO(theirs, "w"), write_through=True) as terminal:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setattr(reporting, "_MIN_SHOWN_S", 0.0)
        with progress(quiet=False) as report:
            threads = [threading.Thread(target=send, args=(report, str(number))) for number in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        monkeypatch.undo()
    reader.join()
    os.close(ours)
    text = b"".join(pieces).decode()
    assert text.count("look at this") == 1, "the same warning from three threads is one"
    assert text.count("2 files") == 3
    assert "\x1b[?25h" in text, "the cursor is shown again"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("done", "stage", "text"),
    [
        (1_500_000, StageStarted("s", 3_000_000, "bytes"), "1.5 of 3.0 MB"),
        (1_500_000, StageStarted("s", 0, "bytes"), "1.5 MB"),
        (3, StageStarted("s", 7), "3/7"),
        (3, StageStarted("s"), "3"),
    ],
)
def test_formats_amounts(done: int, stage: StageStarted, text: str) -> None:
    assert reporting._amount(done, stage) == text
