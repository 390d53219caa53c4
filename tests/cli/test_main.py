"""Help, errors, exit codes, and which stream each output goes to."""

import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import click
import pytest
from support.digests import ANY

from shipwheel import __version__, cli, errors
from shipwheel.cli import stages
from shipwheel.cli.terminal import Terminal
from shipwheel.errors import DamagedBlob, ShipwheelError
from shipwheel.events import Moved, StageFinished, StageStarted, Warned


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
    StageStarted("fetch"),
    StageStarted("files", 3_000_000, "bytes", detail=True),
    Moved("files", "a", 1_000_000, 2_000_000),
    Moved("files", "a", 2_000_000, 2_000_000),
    Moved("files", "b", 500_000, 1_000_000),
    Warned("look at this", "and do that"),
    Moved("files", "b", 1_000_000, 1_000_000),
    StageFinished("files", "2 files"),
    StageFinished("fetch"),
    StageFinished("never started"),
    StageStarted("count", 0, "items"),
    Moved("count", "x", 1, 0),
    StageStarted("count", 2, "items"),
    Moved("count", "x", 1, 2),
    StageFinished("count", "1 thing"),
)
WARNING = "warning: look at this\n         and do that\n"


def report_all(*, quiet: bool = False) -> None:
    terminal = Terminal()
    terminal.quiet = quiet
    for event in EVENTS:
        terminal.report(event)
    terminal.stop()


def test_prints_lines_without_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "_MIN_SHOWN_S", 0.0)
    report_all()
    out, text = capsys.readouterr()
    assert out == ""
    assert text.startswith(WARNING)
    assert [line.split(maxsplit=3)[0::3] for line in text.splitlines()[2:]] == [["fetch", "2 files, 3.0 MB"], ["count", "1 thing"]]


def test_a_quick_stage_leaves_a_line_only_if_it_is_notable(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "_MIN_SHOWN_S", 1e9)
    terminal = Terminal()
    terminal.report(StageFinished("plan", "nothing to do"))
    terminal.report(StageFinished("push", "1.0 MB uploaded", notable=True))
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == ["push"]


def test_quiet_shows_only_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    report_all(quiet=True)
    assert capsys.readouterr() == ("", WARNING)


def test_repeats_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    for _ in range(2):
        terminal.report(Warned("true for two platforms"))
    terminal.report(Warned("something else"))
    assert capsys.readouterr().err.count("warning:") == 2


@pytest.mark.parametrize(
    ("done", "started", "text"),
    [
        (1_500_000, StageStarted("s", 3_000_000, "bytes"), "1.5 of 3.0 MB"),
        (1_500_000, StageStarted("s", 0, "bytes"), "1.5 MB"),
        (3, StageStarted("s", 7), "3/7"),
        (3, StageStarted("s"), "3"),
    ],
)
def test_formats_amounts(done: int, started: StageStarted, text: str) -> None:
    found = stages.Stages()
    found.start(started, 0.0)
    found.move(Moved("s", "x", done, 0))
    assert [row.amount for row in found.rows(0.0)] == [text]
